//! The peers' bar: what a public fault test of the nearest product found failing, played with the same
//! faults and nothing else ([`plan`]).
//!
//! ```text
//! Engine::run ─► request ─► name, connection, packets (tcp.rs) ─► the server's real router
//!      ▲  pauses in simulated time        │ cut? (link.rs)                │
//!      └──────────── answer, its first bytes, or an error ◄───────────────┘
//! ```
//! Here the phones drive themselves: the real sync loop with its pauses, its back-off and what the
//! system tells it decides when a round begins. What must hold besides everything that the oracle
//! looks at: within 11 s of the network's return (or of the start of an app that was killed) nothing of
//! what waited then waits any more, and in the end nothing waits at all and everybody has the same.

pub mod company;
pub mod link;
pub mod outage;
pub mod phone;
pub mod plan;
pub mod search;
pub mod tcp;

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

use self::company::Company;
use self::plan::Faults;
use crate::oracle::{Violation, panicked};
use crate::run::quiet_crashes;
use crate::world::Counts;

/// How a run of the bar went.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What did not hold.
    pub violation: Option<Violation>,
    /// Two runs of the same seed have the same.
    pub trace_hash: String,
    /// How much was done.
    pub counts: Counts,
    /// Faults of the plan.
    pub faults: u64,
    /// The longest that anything waited after a return, until it was at the server.
    pub slowest_us: i64,
}

/// Runs a seed. A panic anywhere is a violation like any other.
///
/// # Panics
/// When there is no runtime to be had.
#[must_use]
pub fn run(seed: u64, faults: Faults, telling: bool) -> Outcome {
    quiet_crashes();
    let plan = plan::draw(seed, faults);
    let hits = plan.links.iter().map(|link| link.cuts.len()).sum::<usize>() + plan.kills.len();
    let mut outcome = Outcome {
        violation: None,
        trace_hash: String::new(),
        counts: Counts::default(),
        faults: hits as u64,
        slowest_us: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut company = match Company::begin(&plan, telling).await {
            Ok(company) => company,
            Err(violation) => {
                outcome.violation = Some(violation);
                return;
            }
        };
        let ended = AssertUnwindSafe(company.whole()).catch_unwind().await;
        outcome.violation = match ended {
            Ok(checked) => checked.err(),
            Err(panic) => Some(panicked(panic.as_ref())),
        };
        if let Some(violation) = &outcome.violation {
            company.world.tell(format!("VIOLATED: {}: {}", violation.invariant, violation.found));
        }
        outcome.trace_hash = company.world.trace_hash();
        outcome.counts = company.world.counts;
        outcome.slowest_us = company.slowest_us;
    });
    outcome
}
