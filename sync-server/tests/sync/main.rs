//! Push, pull and review together, on a real database and without HTTP. Every test runs on every
//! store that is there: SQLite always, PostgreSQL where `CAMPO_TEST_POSTGRES_URL` names a cluster.

mod company;
mod convergence;
mod poison;
mod pulls;
mod receipts;
mod reviews;
mod shops;
