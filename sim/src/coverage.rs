//! What occurred in a search: each operation and fault, and each two of them in one run.

use std::collections::{BTreeMap, BTreeSet};

use crate::registry::names;

/// What has to occur besides operations and faults: what housekeeping takes, merges, and decisions.
pub const MERGES: &[&str] = &[
    "backup: put back",
    "housekeeping: content of a deleted row",
    "housekeeping: details of a receipt",
    "housekeeping: tokens",
    "merge: adopted",
    "merge: an edit of what waits",
    "merge: an insertion into a lost scope",
    "merge: clamped",
    "merge: concurrent lww",
    "merge: concurrent max",
    "merge: concurrent min",
    "merge: concurrent review",
    "merge: counter",
    "merge: deletion meets an edit",
    "merge: edit meets a deletion",
    "merge: held",
    "merge: in review",
    "merge: lww superseded",
    "merge: max or min superseded",
    "merge: repeated",
    "merge: set keeps what was not seen",
    "merge: uncertain time",
    "wipe: done",
    "wipe: refused",
    "review: claim",
    "review: made",
    "review: not made",
    "review: resolve",
    "review: undo",
];

/// Counts over many runs.
#[derive(Debug, Default)]
pub struct Coverage {
    runs: BTreeMap<String, u64>,
    pairs: BTreeSet<(String, String)>,
}

impl Coverage {
    /// Adds what occurred in a run.
    pub fn add(&mut self, seen: &BTreeSet<String>) {
        let table: BTreeSet<&str> = names().into_iter().collect();
        for name in seen {
            *self.runs.entry(name.clone()).or_default() += 1;
        }
        let all: Vec<&String> = seen.iter().filter(|name| table.contains(name.as_str())).collect();
        for (index, first) in all.iter().enumerate() {
            for second in &all[index..] {
                self.pairs.insert(((*first).clone(), (*second).clone()));
            }
        }
    }

    /// Adds what occurred in another search.
    pub fn join(&mut self, other: &Self) {
        for (name, runs) in &other.runs {
            *self.runs.entry(name.clone()).or_default() += runs;
        }
        self.pairs.extend(other.pairs.iter().cloned());
    }

    /// In how many runs something occurred.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.runs.get(name).copied().unwrap_or(0)
    }

    /// Operations, faults and merges that never occurred.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let all = names().into_iter().chain(MERGES.iter().copied());
        all.filter(|name| self.count(name) == 0).collect()
    }

    /// Pairs of operations and faults that never occurred in one run.
    #[must_use]
    pub fn missing_pairs(&self) -> Vec<(&'static str, &'static str)> {
        let mut all = names();
        all.sort_unstable();
        let pairs = all.iter().enumerate().flat_map(|(i, a)| all[i..].iter().map(|b| (*a, *b)));
        pairs.filter(|(a, b)| !self.pairs.contains(&((*a).to_owned(), (*b).to_owned()))).collect()
    }

    /// How many pairs there could be.
    #[must_use]
    pub fn pairs_max() -> usize {
        let n = names().len();
        n * (n + 1) / 2
    }
}
