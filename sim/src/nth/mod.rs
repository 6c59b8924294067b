//! Every nth step fails: the standard scenario ([`scenario`]) is run again and again, and each time one
//! more access of a phone to its disk fails ([`disk`]), or one byte later the line breaks. The run goes
//! on, and everything that the oracle looks at must hold.

pub mod disk;
pub mod scenario;
pub mod search;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

use self::disk::Failure;
use crate::oracle::{Checked, Violation, panicked};
use crate::rng::Rng;
use crate::run::{begin, heal};
use crate::world::World;

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// An access to a phone's disk.
    Disk(Failure),
    /// The line, after a byte of a body: requests and answers are counted together.
    Line,
}

/// How a run went.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What did not hold.
    pub violation: Option<Violation>,
    /// How many accesses, or bytes, there were.
    pub steps: u64,
    /// Whether something failed.
    pub fired: bool,
    /// What occurred.
    pub seen: BTreeSet<String>,
    /// Rounds of phones.
    pub syncs: u64,
}

/// Runs the scenario; the nth step (from 1) fails, or none.
///
/// The disk fails for the whole process, so one run at a time.
///
/// # Panics
/// When there is no runtime to be had.
#[must_use]
pub fn run(what: What, nth: Option<u64>, telling: bool) -> Outcome {
    let mut outcome =
        Outcome { violation: None, steps: 0, fired: false, seen: BTreeSet::new(), syncs: 0 };
    disk::install();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut world = World::begin(&scenario::setup(), telling).await;
        let ended = AssertUnwindSafe(whole(&mut world, what, nth, &mut outcome)).catch_unwind();
        outcome.violation = match ended.await {
            Ok(checked) => checked.err(),
            Err(panic) => Some(panicked(panic.as_ref())),
        };
        disk::disarm();
        if let Some(violation) = &outcome.violation {
            world.tell(format!("VIOLATED: {}: {}", violation.invariant, violation.found));
        }
        outcome.seen = world.seen.clone();
        outcome.syncs = world.counts.syncs;
    });
    outcome
}

async fn whole(world: &mut World, what: What, nth: Option<u64>, outcome: &mut Outcome) -> Checked {
    let mut rng = Rng::new(scenario::setup().seed ^ 0x5eed);
    begin(world, &mut rng).await?;
    match what {
        What::Disk(failure) => disk::arm(nth, failure),
        What::Line => (world.bytes, world.break_after) = (0, Some(nth.unwrap_or(u64::MAX) - 1)),
    }
    for (number, act) in scenario::ACTS.iter().enumerate() {
        world.note(&format!("{act:?}"));
        let mut rng = Rng::new(scenario::setup().seed << 8 | number as u64);
        let before = world.snapshot();
        let fired = disk::fired();
        let checked = scenario::act(world, &mut rng, *act).await;
        if disk::fired() == fired {
            checked?;
            continue;
        }
        world.tell(format!("{act:?}: the disk fails"));
        if let Err(violation) = checked
            && !is_explained(&violation)
        {
            return Err(violation);
        }
        disk::repair();
        let restarts = what == What::Disk(Failure::Broken);
        world.settle(&before, restarts).await?;
    }
    match what {
        What::Disk(_) => {
            let (accesses, fired) = disk::disarm();
            (outcome.steps, outcome.fired) = (accesses, fired > 0);
        }
        What::Line => {
            outcome.steps = world.bytes;
            outcome.fired = world.break_after.take().is_none();
        }
    }
    heal(world, &mut rng).await
}

/// Whether a broken disk can be the reason: calls of the library fail, and say that it is the disk; or an edit
/// whose commit failed, so that nobody noted it, is there.
fn is_explained(violation: &Violation) -> bool {
    match violation.invariant {
        "a phone's library does not fail" => {
            violation.found.contains("the disk cannot be read or written")
                || violation.found.contains("the disk is full")
        }
        "every edit has one receipt on its phone" => violation.found.starts_with("nobody made"),
        _ => false,
    }
}
