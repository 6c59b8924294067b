//! How long a push waits for rows that other sessions hold.
//!
//! Somebody may hold a row for an hour, in psql or in a service of the ERP. A chunk first waits as
//! long as ordinary contention lasts. If that is not enough, it is done one transaction at a time
//! with little patience, so that only those which need the row are answered `busy`. What a push
//! waits in all is bounded as well: once that is used up, every lock is tried and not waited for.
//!
//! Time is counted by the limits that were reached, so that the outcome does not depend on a clock.

use std::time::Duration;

/// How long a chunk waits for a lock: longer than other pushes and PostgreSQL's search for deadlocks
/// (1 s) take.
const TOGETHER: Duration = Duration::from_secs(3);
/// How long a transaction waits for a lock once its chunk has waited in vain.
const ALONE: Duration = Duration::from_millis(100);
/// The shortest wait that there is.
const LEAST: Duration = Duration::from_millis(1);
/// How long a push waits in vain, all in all.
const TOTAL: Duration = Duration::from_secs(8);

/// What is left of a push's patience.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    left: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { left: TOTAL }
    }
}

impl Patience {
    /// How long a chunk waits for a lock.
    pub fn together(&self) -> Duration {
        TOGETHER.min(self.left).max(LEAST)
    }

    /// How long a single transaction of a chunk that waited in vain waits for a lock.
    pub fn alone(&self) -> Duration {
        ALONE.min(self.left).max(LEAST)
    }

    /// Notes that a wait of this length was in vain.
    pub fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_that_meets_many_held_rows_ends_soon() {
        let mut patience = Patience::default();
        let mut waited = Duration::ZERO;
        for _ in 0..1_000 {
            let limit = patience.alone();
            patience.spend(limit);
            waited += limit;
        }
        assert!(waited <= TOTAL + LEAST * 1_000, "{waited:?}");
        assert_eq!(patience.together(), LEAST);
    }
}
