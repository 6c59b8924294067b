//! The simulator's own test. It has a process to itself, for which bugs are planted.
#![allow(missing_docs, reason = "tests are named by what they show")]

use std::collections::BTreeSet;

use sim::mutations::{CAUGHT_BY, hunt};

#[test]
fn planted_bugs_are_found_by_their_seeds() {
    let mut holding = BTreeSet::new();
    let missed: Vec<_> = CAUGHT_BY
        .iter()
        .filter(|(bug, seed)| hunt(*bug, *seed, 1, &mut holding).by.is_none())
        .map(|(bug, seed)| format!("{bug:?} by seed {seed}"))
        .collect();
    assert_eq!(missed, [""; 0], "`cargo xtask sim --mutations` says which seeds find them now");
}
