//! Push, pull and review together, on a real database and without HTTP. Every test runs on SQLite
//! and on a private PostgreSQL.

#[path = "../fresh/mod.rs"]
mod fresh;

mod company;
mod convergence;
mod digests;
mod evolution;
mod flags;
mod held_rows;
mod lost;
mod lost_insertions;
mod moves;
mod mutations;
mod pending_records;
mod poison;
mod psql;
mod pulls;
mod receipts;
mod restored;
mod reviews;
mod shops;
mod torre;
