//! `sync/…`: edits up, changes down, and when.

pub mod compare;
pub mod events;
pub mod pages;
pub mod pull;
pub mod push;
