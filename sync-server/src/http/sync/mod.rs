//! `sync/…`: edits up, changes down.

mod forms;
pub mod pages;
pub mod pull;
pub mod push;
