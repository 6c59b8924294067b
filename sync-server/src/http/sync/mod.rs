//! `sync/…`: edits up, changes down.

pub mod compare;
pub mod pages;
pub mod pull;
pub mod push;
