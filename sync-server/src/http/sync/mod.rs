//! `sync/…`: edits up, changes down.

pub mod pages;
pub mod pull;
pub mod push;
