//! `photos`: pictures that are here, and which are not.

pub mod missing;
pub mod range;
pub mod show;
