//! Tests that need a server, databases and devices together live in `tests/`.

pub mod pgbouncer;
pub mod postgres;
pub mod programs;
