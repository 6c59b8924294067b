//! Makes a failing plan short: elements are taken out as long as it still fails at the same invariant.

use crate::plan::{Setup, Step};
use crate::run::run;

/// Most runs that shrinking takes.
const RUNS_MAX: usize = 400;

/// The shortest plan found that violates the same invariant, and how many runs it took.
#[must_use]
pub fn shrink(setup: &Setup) -> (Setup, usize) {
    let Some((step, violation)) = run(setup, false).violation else { return (setup.clone(), 1) };
    let mut runs = 1;
    let mut shortest = setup.clone();
    // Nothing after the violation matters.
    shortest.steps.truncate(step);
    let mut fails = |candidate: &Setup| {
        runs += 1;
        runs <= RUNS_MAX
            && run(candidate, false)
                .violation
                .is_some_and(|(_, found)| found.invariant == violation.invariant)
    };
    if !fails(&shortest) {
        shortest = setup.clone();
    }
    // Steps, in blocks that get smaller.
    let mut block = shortest.steps.len().div_ceil(2);
    while block > 0 {
        let mut at = 0;
        while at < shortest.steps.len() {
            let end = shortest.steps.len().min(at + block);
            let without = |step: &Vec<Step>| [&step[..at], &step[end..]].concat();
            let candidate = Setup { steps: without(&shortest.steps), ..shortest.clone() };
            if fails(&candidate) {
                shortest = candidate;
            } else {
                at = end;
            }
        }
        block /= 2;
    }
    while shortest.devices > 1 {
        let candidate = Setup { devices: shortest.devices - 1, ..shortest.clone() };
        if !fails(&candidate) {
            break;
        }
        shortest = candidate;
    }
    (shortest, runs.min(RUNS_MAX))
}
