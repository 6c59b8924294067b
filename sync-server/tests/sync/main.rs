//! Push, pull and review together, on a real database and without HTTP. Every test runs on SQLite
//! and on a private PostgreSQL.

#[path = "../../../system-tests/src/postgres.rs"]
mod cluster;

mod company;
mod convergence;
mod poison;
mod pulls;
mod receipts;
mod reviews;
mod shops;
