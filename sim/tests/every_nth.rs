//! Every nth step of the standard scenario fails. It has a process to itself, for which the disk fails.
//!
//! Here a part of all n, spread over the whole scenario; `cargo xtask sim --every-nth disk-once` runs all.
#![allow(missing_docs, reason = "tests are named by what they show")]

use std::time::Duration;

use sim::nth::disk::Failure;
use sim::nth::scenario::SEEN;
use sim::nth::search::search;
use sim::nth::{What, run};

/// Runs of each kind.
const RUNS: u64 = 12;

#[test]
fn whatever_fails_in_the_standard_scenario_nothing_is_lost_nor_doubled() {
    let plain = run(What::Line, None, false);
    assert!(plain.violation.is_none(), "{plain:?}");
    let missing: Vec<_> = SEEN.iter().filter(|&&name| !plain.seen.contains(name)).collect();
    assert!(missing.is_empty(), "not in the scenario: {missing:?}; in it: {:?}", plain.seen);
    let mut failed = Vec::new();
    for what in [
        What::Disk(Failure::Once),
        What::Disk(Failure::Broken),
        What::Disk(Failure::Full),
        What::Line,
    ] {
        let steps = run(what, None, false).steps;
        assert!(steps > 100, "{what:?}: {steps}");
        let found = search(what, steps / RUNS / 2, steps / RUNS, Duration::MAX);
        assert!(found.runs >= RUNS, "{what:?}: {found:?}");
        failed.extend(found.failed.into_iter().map(|(nth, violation)| (what, nth, violation)));
    }
    assert!(failed.is_empty(), "{failed:?}");
}
