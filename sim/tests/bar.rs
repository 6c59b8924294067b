//! The peers' bar: a few runs of each kind, and what an outage costs.
#![allow(missing_docs, reason = "tests are named by what they show")]

use std::time::Duration;

use sim::bar;
use sim::bar::link::Break;
use sim::bar::outage::cost;
use sim::bar::plan::Faults;
use sim::bar::search::search;

/// Runs of each kind. Ten thousand of each are run by hand: `cargo xtask sim --bar partitions`.
const RUNS: u64 = 30;
/// What ten hours without a network may cost.
const OUTAGE_BYTES_MAX: u64 = 1024 * 1024;

fn none_fails(faults: Faults) {
    let found = search(faults, 1, RUNS, 2, Duration::MAX);
    assert_eq!(found.failed.len(), 0, "{:?}", found.failed);
    assert!(found.faults > RUNS && found.syncs > RUNS, "{found:?}");
}

#[test]
fn phones_that_were_cut_off_send_all_that_waits_within_eleven_seconds() {
    none_fails(Faults::Partitions);
}

#[test]
fn apps_that_were_killed_send_all_that_waits_within_eleven_seconds() {
    none_fails(Faults::Kills);
}

#[test]
fn ten_hours_of_outage_cost_less_than_a_mebibyte() {
    for what in [
        Break::NoRoute,
        Break::All,
        Break::Outbound,
        Break::Inbound,
        Break::NoDns,
        Break::SilentDns,
        Break::Hotel,
    ] {
        let cost = cost(what);
        assert!(cost.violation.is_none(), "{what:?}: {cost:?}");
        assert!(cost.bytes < OUTAGE_BYTES_MAX, "{what:?}: {cost:?}");
    }
}

/// Runs that failed once: kills 101202 inserts a record that is adopted by another and edits that one, both in
/// one transaction.
#[test]
fn seeds_that_failed_once_hold() {
    for (faults, seed) in [(Faults::Partitions, 47), (Faults::Kills, 101_202)] {
        let outcome = bar::run(seed, faults, false);
        assert!(outcome.violation.is_none(), "{faults:?}, seed {seed}: {:?}", outcome.violation);
    }
}

#[test]
fn a_run_of_the_bar_can_be_repeated_exactly() {
    for faults in [Faults::Partitions, Faults::Kills] {
        for seed in [2, 5] {
            let twice = [(); 2].map(|()| bar::run(seed, faults, false).trace_hash);
            assert_eq!(twice[0], twice[1], "{faults:?}, seed {seed}");
        }
    }
}
