//! Runs many seeds, some at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::coverage::Coverage;
use crate::oracle::Violation;
use crate::plan::{self, LeftOut, Setup};
use crate::run::run;
use crate::server::Database;

/// Which seeds.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The first seed.
    pub first: u64,
    /// How many at most.
    pub runs: u64,
    /// Until when at most.
    pub time_max: Duration,
    /// How many at once.
    pub jobs: usize,
    /// Ends with the first violation.
    pub stop_at_first: bool,
    /// Which database the servers have.
    pub database: Database,
    /// What is not played.
    pub left_out: LeftOut,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Found {
    /// Seeds with violations, in order.
    pub failed: Vec<(u64, usize, Violation)>,
    /// What occurred.
    pub coverage: Coverage,
    /// Runs that came to their end, or to a violation.
    pub runs: u64,
    /// Rounds of phones.
    pub syncs: u64,
    /// Requests that reached the server.
    pub requests: u64,
    /// Edits that phones accepted.
    pub edits: u64,
    /// Looks at phones.
    pub looks: u64,
    /// Sets of rows that phones compared with digests.
    pub digests: u64,
    /// Damages that were mended.
    pub damages: u64,
    /// Pictures that arrived at the server, as their phones heard.
    pub pictures: u64,
}

/// Runs seeds one after another, several at once.
#[must_use]
pub fn search(wanted: Wanted) -> Found {
    let found = Mutex::new(Found::default());
    let next = AtomicU64::new(wanted.first);
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..wanted.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let over = seed >= wanted.first.saturating_add(wanted.runs)
                        || begin.elapsed() >= wanted.time_max
                        || stop.load(Ordering::Relaxed);
                    if over {
                        return;
                    }
                    let plan = Setup { database: wanted.database, ..plan::draw(seed) };
                    let plan = plan.without(wanted.left_out);
                    let outcome = run(&plan, false);
                    let mut found = found.lock().expect("no run panics");
                    found.runs += 1;
                    found.syncs += outcome.counts.syncs;
                    found.requests += outcome.counts.requests;
                    found.edits += outcome.counts.edits;
                    found.looks += outcome.counts.looks;
                    found.digests += outcome.counts.digests;
                    found.damages += outcome.counts.damages;
                    found.pictures += outcome.counts.pictures;
                    found.coverage.add(&outcome.seen);
                    if let Some((step, violation)) = outcome.violation {
                        found.failed.push((seed, step, violation));
                        if wanted.stop_at_first {
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().expect("no run panics");
    found.failed.sort_by_key(|(seed, ..)| *seed);
    found
}
