//! People, for administrators.

pub mod view;
