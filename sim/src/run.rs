//! Runs a plan: the beginning, the steps, healing, and the last look at everything.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use sync_protocol::fault::{self, Crash, Point};

use crate::nth::disk::Looking;
use crate::ops::{damage, photos, server_clock, session, storage, sync};
use crate::oracle::photos::phone::{Seen, seen};
use crate::oracle::{self, Checked, Violation, checkpoint, conservation, panicked, violated};
use crate::plan::Setup;
use crate::registry::operations;
use crate::rng::Rng;
use crate::world::{Counts, World, broken};

/// How a run went.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What did not hold, and after how many steps.
    pub violation: Option<(usize, Violation)>,
    /// Two runs of the same plan have the same.
    pub trace_hash: String,
    /// What occurred.
    pub seen: BTreeSet<String>,
    /// How often somebody died at the armed fault point.
    pub fired: u32,
    /// How much was done.
    pub counts: Counts,
}

/// Rounds that a phone gets in the end to send and fetch everything.
const HEALING_ROUNDS_MAX: usize = 6;

/// Runs a plan. A panic anywhere is a violation like any other.
#[must_use]
pub fn run(setup: &Setup, telling: bool) -> Outcome {
    run_with(setup, telling, None)
}

/// Where a run kills a process: the point, at which of its visits, and how often.
pub type Armed = (Point, u32, u32);

/// Runs a plan, and kills whoever reaches a fault point.
#[must_use]
pub fn run_with(setup: &Setup, telling: bool, armed: Option<Armed>) -> Outcome {
    quiet_crashes();
    std::panic::catch_unwind(|| whole(setup, telling, armed)).unwrap_or_else(|panic| Outcome {
        violation: Some((0, panicked(panic.as_ref()))),
        trace_hash: String::new(),
        seen: BTreeSet::new(),
        fired: 0,
        counts: Counts::default(),
    })
}

/// Crashes at fault points are panics that nobody needs to read about.
pub(crate) fn quiet_crashes() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Crash>() {
                others(info);
            }
        }));
    });
}

fn whole(setup: &Setup, telling: bool, armed: Option<Armed>) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut world = World::begin(setup, telling).await;
        let result = steps(&mut world, setup, armed).await;
        if let Err((_, violation)) = &result {
            world.tell(format!("VIOLATED: {}: {}", violation.invariant, violation.found));
        }
        Outcome {
            violation: result.err(),
            trace_hash: world.trace_hash(),
            seen: world.seen.clone(),
            fired: world.fired,
            counts: world.counts,
        }
    })
}

async fn steps(
    world: &mut World,
    setup: &Setup,
    armed: Option<Armed>,
) -> Result<(), (usize, Violation)> {
    let table: BTreeMap<&str, _> = operations().into_iter().map(|o| (o.name, o)).collect();
    let mut rng = Rng::new(setup.seed ^ 0x5eed);
    begin(world, &mut rng).await.map_err(|violation| (0, violation))?;
    if let Some((point, nth, times)) = armed {
        fault::arm(point, nth, times);
    }
    for (number, step) in setup.steps.iter().enumerate() {
        let at = |violation| (number + 1, violation);
        world.note(step.operation);
        let mut rng = Rng::new(step.seed);
        let before = world.snapshot();
        let done = AssertUnwindSafe((table[step.operation].run)(world, &mut rng)).catch_unwind();
        match done.await {
            Ok(checked) => checked.map_err(at)?,
            Err(panic) if panic.is::<Crash>() => world.recover(&before).await.map_err(at)?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    if armed.is_some() {
        world.fired = fault::fired();
        fault::disarm();
    }
    heal(world, &mut rng).await.map_err(|violation| (setup.steps.len() + 1, violation))
}

/// Everybody signs in and has something to begin with.
pub(crate) async fn begin(world: &mut World, rng: &mut Rng) -> Checked {
    let table: BTreeMap<&str, _> = operations().into_iter().map(|o| (o.name, o)).collect();
    for _ in 0..6 {
        (table["office inserts"].run)(world, rng).await?;
    }
    for person in 0..world.people.len() {
        for project in world.projects.clone() {
            if rng.percent(70) {
                let user = world.people[person].id;
                world.server.grant(user, &World::scope(project), true).await;
            }
        }
    }
    for device in 0..world.devices.len() {
        let owner = device % world.people.len();
        session::login(world, rng, device, owner, false).await?;
        if rng.percent(80) {
            sync::healthy(world, rng, device).await?;
        }
    }
    Ok(())
}

/// All faults end; everybody signs in again and syncs until nothing is left to do. Then everything must
/// be the same everywhere.
pub(crate) async fn heal(world: &mut World, rng: &mut Rng) -> Checked {
    world.tell("healing".to_owned());
    world.time.advance(3_600 * crate::time::SECOND_US);
    server_clock::is_right_again(world, rng).await?;
    storage::works_again(world, rng).await?;
    for (device, request) in std::mem::take(&mut world.late) {
        world.deliver(device, &request).await?;
    }
    for device in 0..world.devices.len() {
        world.devices[device].online = true;
        sync::to_the_end(world, rng, device, false).await?;
    }
    for (device, person) in world.ledger.damaged() {
        session::login(world, rng, device, person, false).await?;
        damage::verify(world, rng, device, person).await?;
    }
    photos::nothing_is_in_the_way(world).await?;
    // What one phone sends, others fetch: everybody twice.
    for _ in 0..2 {
        for device in 0..world.devices.len() {
            for person in world.devices[device].people.clone() {
                session::login(world, rng, device, person, false).await?;
                if world.user_of(device) != Some(person) {
                    return violated("everybody can sign in", format!("phone {device}"));
                }
                drain(world, rng, device).await?;
            }
        }
    }
    let mut phones = BTreeMap::new();
    for device in 0..world.devices.len() {
        for person in world.devices[device].people.clone() {
            session::login(world, rng, device, person, false).await?;
            drain(world, rng, device).await?;
            compare(world, device, person)?;
            phones.insert((device, person), pictures_of(world, device)?);
        }
    }
    let (schema, snapshot) = (world.schema(), world.snapshot());
    let people: Vec<_> = world.people.iter().map(|person| (person.id, person.role)).collect();
    let here = world.server.shelf.pictures();
    oracle::photos::after_healing(&schema, &snapshot, &world.ledger, &people, (&phones, &here))
}

/// The pictures that the user of a phone has.
fn pictures_of(world: &World, device: usize) -> Result<Seen, Violation> {
    let engine = world.devices[device].core().engine().map_err(|error| broken(&error))?;
    let seen = engine.store().read(|db| Ok(seen(db)?));
    seen.map_err(|error| broken(&error))
}

/// Syncs until nothing waits and everything is settled.
async fn drain(world: &mut World, rng: &mut Rng, device: usize) -> Checked {
    // What the server would not have is left alone for hours; a person who presses "now" need not wait.
    let core = world.devices[device].core().clone();
    for view in core.photos().map_err(|error| broken(&error))? {
        let name = view.item.name;
        core.send_photo_now(&name.collection, name.record).map_err(|error| broken(&error))?;
    }
    for round in 1..=HEALING_ROUNDS_MAX {
        let before = photos::states(world);
        sync::healthy(world, rng, device).await?;
        let pending = world.devices[device].core().pending().map_err(|error| broken(&error))?;
        let open = pending.iter().any(|receipt| {
            use mobile_core::outbox::entry::State;
            !matches!(receipt.state, State::Parked)
        });
        let status = world.devices[device].core().status().map_err(|error| broken(&error))?;
        if let Some(failure) = status.last_failure {
            return violated(
                "a healthy round succeeds",
                format!("{}: {}", failure.code, failure.text),
            );
        }
        // What a round's own pictures change in their records comes with the next one. Whether all went
        // that should is looked at in the end.
        let sent = before != photos::states(world) || photos::waits(world, device)?;
        if !open && (!sent || round == HEALING_ROUNDS_MAX) {
            return Ok(());
        }
    }
    let left = world.devices[device].core().pending().map_err(|error| broken(&error))?;
    let left: Vec<String> = left
        .iter()
        .map(|view| format!("{} {:?} {:?}", view.id, view.state, view.waiting_for))
        .collect();
    violated("the outbox drains", format!("phone {device}: {}", left.join(", ")))
}

/// The end: phone and server say the same.
pub(crate) fn compare(world: &mut World, device: usize, person: usize) -> Checked {
    let _looking = Looking::begin();
    let snapshot = world.snapshot();
    let core = world.devices[device].core().clone();
    let receipts = core.receipts().map_err(|error| broken(&error))?;
    conservation::after_healing(&receipts, &snapshot)?;
    let visible = core.schema().map_err(|error| broken(&error))?;
    let user = world.people[person].id;
    let engine = core.engine().map_err(|error| broken(&error))?;
    engine
        .store()
        .read(|db| Ok(checkpoint::compare(db, &visible, user, &snapshot)))
        .map_err(|error| broken(&error))?
}
