//! Some seeds with a server on PostgreSQL: a private cluster of the test's own.
#![allow(missing_docs, reason = "tests are named by what they show")]

use std::time::Duration;

use sim::plan::LeftOut;
use sim::search::{Wanted, search};
use sim::server::Database;

#[test]
fn some_seeds_hold_on_postgresql() {
    let found = search(Wanted {
        first: 1,
        runs: 2,
        time_max: Duration::MAX,
        jobs: 2,
        stop_at_first: false,
        database: Database::Postgres,
        left_out: LeftOut::default(),
    });
    assert!(found.failed.is_empty(), "{:?}", found.failed);
    assert!(found.syncs > 40, "{found:?}");
}
