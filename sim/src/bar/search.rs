//! Many runs of the bar, some at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::plan::Faults;
use crate::oracle::Violation;

/// What came of it.
#[derive(Debug, Default)]
pub struct Found {
    /// Seeds with violations, in order.
    pub failed: Vec<(u64, Violation)>,
    /// Runs.
    pub runs: u64,
    /// Rounds of phones that sent something.
    pub syncs: u64,
    /// Requests that reached the server.
    pub requests: u64,
    /// Edits that phones accepted.
    pub edits: u64,
    /// Cuts of a phone's network, and killed apps.
    pub faults: u64,
    /// The longest that anything waited after a return, until it was at the server.
    pub slowest_us: i64,
}

/// Runs seeds one after another, several at once, for so long at most.
#[must_use]
pub fn search(faults: Faults, first: u64, runs: u64, jobs: usize, time_max: Duration) -> Found {
    let found = Mutex::new(Found::default());
    let next = AtomicU64::new(first);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first.saturating_add(runs) || begin.elapsed() >= time_max {
                        return;
                    }
                    let outcome = super::run(seed, faults, false);
                    let mut found = found.lock().expect("no run panics");
                    found.runs += 1;
                    found.syncs += outcome.counts.syncs;
                    found.requests += outcome.counts.requests;
                    found.edits += outcome.counts.edits;
                    found.faults += outcome.faults;
                    found.slowest_us = found.slowest_us.max(outcome.slowest_us);
                    if let Some(violation) = outcome.violation {
                        found.failed.push((seed, violation));
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().expect("no run panics");
    found.failed.sort_by_key(|(seed, _)| *seed);
    found
}
