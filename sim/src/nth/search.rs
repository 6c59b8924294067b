//! All n, one after another.

use std::time::{Duration, Instant};

use super::{What, run};
use crate::oracle::Violation;

/// What came of it.
#[derive(Debug, Default)]
pub struct Found {
    /// Which n violated what.
    pub failed: Vec<(u64, Violation)>,
    /// Runs.
    pub runs: u64,
    /// Rounds of phones.
    pub syncs: u64,
    /// Steps of the scenario when nothing fails.
    pub steps: u64,
}

/// Lets every nth step fail that is `first` and then every `stride`th, up to the last one.
#[must_use]
pub fn search(what: What, first: u64, stride: u64, time_max: Duration) -> Found {
    let mut found = Found { steps: run(what, None, false).steps, ..Found::default() };
    let begin = Instant::now();
    let mut nth = first.max(1);
    while begin.elapsed() < time_max {
        let outcome = run(what, Some(nth), false);
        found.runs += 1;
        found.syncs += outcome.syncs;
        if let Some(violation) = outcome.violation {
            found.failed.push((nth, violation));
        } else if !outcome.fired {
            break;
        }
        nth += stride.max(1);
    }
    found
}
