//! Campo's sync server: see `ARCHITECTURE.md` for the map.

pub mod auth;
pub mod cli;
pub mod clock;
pub mod http;
pub mod pull;
pub mod push;
pub mod review;
pub mod store;
