//! Campo's sync server: see `ARCHITECTURE.md` for the map.

pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod events;
pub mod housekeeping;
pub mod http;
pub mod metrics;
pub mod photos;
pub mod pull;
pub mod push;
pub mod random;
pub mod review;
pub mod schema_files;
pub mod server;
pub mod store;
mod stream;
pub mod view;

pub use config::{Config, Database};
pub use server::{RunningServer, ServeError, serve};
