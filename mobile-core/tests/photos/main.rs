//! Photos on a phone: saved with their record, sent in order and in pieces, kept until the server has them.
#![allow(missing_docs, reason = "tests are named by what they show")]

#[path = "../model/mod.rs"]
mod model;

mod keeping;
mod mending;
mod sending;
mod shot;
