//! `sync/…`: edits up, changes down, and when.

pub mod events;
pub mod pages;
pub mod pull;
pub mod push;
