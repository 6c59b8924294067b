//! Rounds of phones, step by step between everything else, over a network with faults.

use bytes::Bytes;
use mobile_core::CoreError;
use mobile_core::transport::{OfflineReason, TransportError};
use sync_protocol::fault::{self, Side};

use crate::device::Landed;
use crate::network::{End, Fate};
use crate::operation;
use crate::oracle::photos::server::{About, about};
use crate::oracle::{Checked, Violation, violated};
use crate::registry::Operation;
use crate::rng::Rng;
use crate::server::Response;
use crate::time::SECOND_US;
use crate::wire;
use crate::world::{World, broken, short};

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("sync", 30, whole),
    operation!("sync begins", 14, begins),
    operation!("network goes on", 40, goes_on),
    operation!("late request arrives", 4, late),
];

/// What the network does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestFault {
    /// Nothing.
    None,
    /// The name cannot be resolved.
    NoDns,
    /// Nobody answers.
    CannotConnect,
    /// It is lost on the way.
    Lost,
    /// Its line breaks amid its body: the server gets the beginning.
    Cut,
    /// It arrives twice, and the second answer is the one that comes back.
    Doubled,
    /// It arrives, and once more much later.
    DoubledLate,
}

/// What the network does to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFault {
    /// Nothing.
    None,
    /// It does not come.
    Lost,
    /// It is cut somewhere, and the phone notices.
    Cut,
    /// It is cut somewhere, and nothing more ever comes: the app is killed.
    StuckAndKilled,
    /// A hotel's login page comes instead.
    Hotel,
    /// A proxy says that it is busy, before or after the server did what was asked.
    Busy,
}

/// A fault with its name and weight.
pub struct Fault<T> {
    /// Its name in the coverage.
    pub name: &'static str,
    /// How often it is drawn.
    pub weight: u32,
    /// What it does.
    pub fault: T,
}

const fn fault<T>(name: &'static str, weight: u32, fault: T) -> Fault<T> {
    Fault { name, weight, fault }
}

/// What can happen to requests.
pub const REQUEST_FAULTS: &[Fault<RequestFault>] = &[
    fault("request arrives", 80, RequestFault::None),
    fault("no DNS", 2, RequestFault::NoDns),
    fault("cannot connect", 2, RequestFault::CannotConnect),
    fault("request lost", 4, RequestFault::Lost),
    fault("request cut", 4, RequestFault::Cut),
    fault("request doubled", 4, RequestFault::Doubled),
    fault("request doubled late", 4, RequestFault::DoubledLate),
];

/// What can happen to answers.
pub const ANSWER_FAULTS: &[Fault<AnswerFault>] = &[
    fault("answer arrives", 70, AnswerFault::None),
    fault("answer lost", 7, AnswerFault::Lost),
    fault("answer cut", 8, AnswerFault::Cut),
    fault("killed amid an answer", 5, AnswerFault::StuckAndKilled),
    fault("hotel login page", 2, AnswerFault::Hotel),
    fault("busy proxy", 2, AnswerFault::Busy),
];

fn offline(reason: OfflineReason, maybe_sent: bool) -> TransportError {
    TransportError::Offline { reason, maybe_sent }
}

/// Says how a flight ended, and what that means.
async fn landed(world: &mut World, device: usize, what: &str, landed: Landed) -> Checked {
    if let Some(point) = fault::died(Side::Device) {
        world.tell(format!("phone {device}: dies: {point:?}"));
        world.devices[device].crash(false).await;
        return world.look_at(device);
    }
    match landed {
        Ok(Some(report)) => {
            let states = world.states(device);
            world.tell(format!(
                "phone {device}: synced, {} sent, {} rows, {} exits, {} settled, {} pictures; {states:?}",
                report.sent, report.rows, report.exits, report.settled, report.photos
            ));
            world.counts.pictures += report.photos;
            if report.photos > 0 {
                world.note("photos: at the server");
            }
            if let Some(person) = world.user_of(device) {
                world.look_at_photos((device, person), true)?;
            }
        }
        Ok(None) => {
            world.tell(format!("phone {device}: done"));
            super::photos::was_shown(world, device)?;
        }
        Err(error) => {
            world.tell(format!("phone {device}: {}", error.code()));
            // Whether the store failed was looked at when the server said so; it may work again by now.
            let is_storage = is_storage_failed(&error);
            if !is_explained(&error, what) && !is_storage && !world.is_damaged(device) {
                return Err(broken(&error));
            }
        }
    }
    world.look_at(device)
}

/// Whether the reason is the server's object store. That it failed when the server answered was looked at then.
fn is_storage_failed(error: &CoreError) -> bool {
    matches!(error, CoreError::Transport(TransportError::Problem(problem))
        if problem.code == "storage_failed")
}

/// Whether a fault of the run can be the reason.
fn is_explained(error: &CoreError, what: &str) -> bool {
    match error {
        // Whoever wants to look at a picture may see its record no more.
        CoreError::Transport(TransportError::Problem(problem))
            if what == "look"
                && ["unknown_photo", "photo_not_stored"].contains(&problem.code.as_str()) =>
        {
            true
        }
        CoreError::PhotoUnlike => what == "look",
        // Whoever asked for it looks at what it came to.
        _ if what == "wipe" => true,
        CoreError::Transport(TransportError::Problem(problem)) => {
            matches!(
                problem.code.as_str(),
                "login_throttled"
                    | "conflict_changed"
                    | "conflict_closed"
                    | "conflict_claimed"
                    | "changed_since"
                    | "unknown_conflict"
                    | "forbidden"
                    | "unknown_candidate"
            ) || problem.status == 422
        }
        CoreError::Transport(_) | CoreError::SignedOut | CoreError::AlreadyRunning => true,
        _ => false,
    }
}

/// Lets the flight of a phone make one step: its request reaches the server, or its answer the phone.
///
/// # Errors
/// What the oracle finds.
pub async fn step(world: &mut World, rng: &mut Rng, device: usize, faults: bool) -> Checked {
    let Some(flight) = &mut world.devices[device].flight else { return Ok(()) };
    let what = flight.what;
    if let Some(answer) = flight.answer.clone() {
        return answered(world, rng, device, answer, faults).await;
    }
    let Some(request) = flight.request.clone() else {
        // It has not been let go yet.
        if let Some(end) = world.devices[device].go_on().await {
            return landed(world, device, what, end).await;
        }
        return Ok(());
    };
    world.time.advance(rng.between(5_000, if faults { 2_000_000 } else { 50_000 }));
    if !world.devices[device].online {
        let fate = Fate::Fails(offline(OfflineReason::CannotConnect, false));
        return resume(world, device, fate).await;
    }
    let index = if faults { rng.weighted(REQUEST_FAULTS.iter().map(|f| f.weight)) } else { 0 };
    let fault = &REQUEST_FAULTS[index];
    if faults {
        world.note(fault.name);
    }
    let whose = match about(&request) {
        About::Upload((_, record, variant)) => format!(" of {} {variant}", short(record)),
        _ => String::new(),
    };
    world.tell(format!(
        "phone {device}: {what}: {} {}{whose} ({})",
        request.method, request.path, fault.name
    ));
    let failed = match fault.fault {
        RequestFault::NoDns => Some(offline(OfflineReason::NoDns, false)),
        RequestFault::CannotConnect => Some(offline(OfflineReason::CannotConnect, false)),
        RequestFault::Lost => Some(offline(OfflineReason::Timeout, true)),
        _ => None,
    };
    if let Some(error) = failed {
        return resume(world, device, Fate::Fails(error)).await;
    }
    let mut breaks_after = world.passes(request.body.len());
    if fault.fault == RequestFault::Cut && !request.body.is_empty() {
        breaks_after = breaks_after.or(Some(rng.below(request.body.len())));
    }
    if let Some(bytes) = breaks_after {
        world.tell(format!(
            "phone {device}: the line breaks after {bytes} bytes of {}",
            request.path
        ));
        world.deliver_half(&request, bytes).await?;
        let fate = Fate::Fails(offline(OfflineReason::Interrupted, true));
        return resume(world, device, fate).await;
    }
    let mut response = world.deliver(device, &request).await?;
    match fault.fault {
        RequestFault::Doubled => response = world.deliver(device, &request).await?.or(response),
        RequestFault::DoubledLate => world.late.push((device, request)),
        _ => {}
    }
    let Some(response) = response else {
        let error = offline(OfflineReason::Interrupted, true);
        return resume(world, device, Fate::Fails(error)).await;
    };
    if let Some(flight) = &mut world.devices[device].flight {
        flight.answer = Some(response);
    }
    Ok(())
}

async fn answered(
    world: &mut World,
    rng: &mut Rng,
    device: usize,
    mut answer: Response,
    faults: bool,
) -> Checked {
    world.time.advance(rng.between(5_000, if faults { 2_000_000 } else { 50_000 }));
    let index = if faults { rng.weighted(ANSWER_FAULTS.iter().map(|f| f.weight)) } else { 0 };
    let fault = &ANSWER_FAULTS[index];
    if faults {
        world.note(fault.name);
    }
    let online = world.devices[device].online;
    let interrupted = offline(OfflineReason::Interrupted, true);
    if let Some(bytes) = world.passes(answer.body.len()) {
        world.tell(format!("phone {device}: the line breaks after {bytes} bytes of the answer"));
        answer.body = answer.body.slice(..bytes);
        return resume(world, device, Fate::Answered(answer, End::Broken(interrupted))).await;
    }
    let fate = match fault.fault {
        _ if !online => Fate::Fails(interrupted),
        AnswerFault::Lost => Fate::Fails(offline(OfflineReason::Timeout, true)),
        AnswerFault::Cut | AnswerFault::StuckAndKilled => {
            cut_off(world, rng, device, &mut answer, fault.name);
            let end = match fault.fault {
                AnswerFault::Cut => End::Broken(interrupted),
                _ => End::Never,
            };
            Fate::Answered(answer, end)
        }
        AnswerFault::Hotel => {
            answer.status = 200;
            answer.headers.clear();
            answer.body = Bytes::from_static(b"<html>Welcome! Please log in</html>");
            Fate::Answered(answer, End::Whole)
        }
        AnswerFault::Busy => {
            answer.status = 503;
            answer.headers.clear();
            answer.body = Bytes::new();
            Fate::Answered(answer, End::Whole)
        }
        AnswerFault::None => {
            let end = if answer.broken { End::Broken(interrupted) } else { End::Whole };
            super::photos::heard(world, device, &answer);
            Fate::Answered(answer, end)
        }
    };
    if !matches!(fault.fault, AnswerFault::None) {
        world.tell(format!("phone {device}: {}", fault.name));
    }
    resume(world, device, fate).await
}

/// An answer ends somewhere.
fn cut_off(world: &mut World, rng: &mut Rng, device: usize, answer: &mut Response, how: &str) {
    let pages = wire::pages(&answer.body).len();
    let at = rng.below(answer.body.len());
    answer.body = answer.body.slice(..at);
    let left = wire::pages(&answer.body).len();
    world.tell(format!("phone {device}: {how} after page {left} of {pages}"));
}

/// Lets the flight of a phone go on until it is answered, and cuts that answer off somewhere.
///
/// # Errors
/// What the oracle finds.
pub async fn cut(world: &mut World, rng: &mut Rng, device: usize) -> Checked {
    for _ in 0..8 {
        let Some(flight) = &world.devices[device].flight else { return Ok(()) };
        let Some(mut answer) = flight.answer.clone() else {
            step(world, rng, device, false).await?;
            continue;
        };
        cut_off(world, rng, device, &mut answer, "cut");
        let end = End::Broken(offline(OfflineReason::Interrupted, true));
        return resume(world, device, Fate::Answered(answer, end)).await;
    }
    Ok(())
}

/// Some rounds over a network with faults, of a phone of which nothing is expected.
///
/// # Errors
/// A round that does not end.
pub async fn unchecked(world: &mut World, rng: &mut Rng, device: usize) -> Checked {
    for _ in 0..1 + rng.below(2) {
        world.counts.syncs += 1;
        world.devices[device].begin_sync();
        to_the_end(world, rng, device, true).await?;
    }
    Ok(())
}

async fn resume(world: &mut World, device: usize, fate: Fate) -> Checked {
    let what = world.devices[device].flight.as_ref().map_or("", |flight| flight.what);
    let end = world.devices[device].resume(fate).await;
    if let Some(end) = end {
        return landed(world, device, what, end).await;
    }
    if world.devices[device].line.is_stuck() {
        world.devices[device].crash(false).await;
        world.tell(format!("phone {device}: killed"));
    }
    world.look_at(device)
}

/// Lets the flight of a phone come to its end.
///
/// # Errors
/// What the oracle finds; a flight that does not end.
pub async fn to_the_end(world: &mut World, rng: &mut Rng, device: usize, faults: bool) -> Checked {
    for _ in 0..2_000 {
        if world.devices[device].flight.is_none() {
            return Ok(());
        }
        step(world, rng, device, faults).await?;
    }
    violated("a round ends", format!("phone {device}"))
}

async fn whole(world: &mut World, rng: &mut Rng) -> Checked {
    let Some((device, _)) = world.used_phone(rng) else { return Ok(()) };
    if world.devices[device].flight.is_none() {
        world.counts.syncs += 1;
        world.devices[device].begin_sync();
    }
    to_the_end(world, rng, device, true).await
}

async fn begins(world: &mut World, rng: &mut Rng) -> Checked {
    let Some((device, _)) = world.used_phone(rng) else { return Ok(()) };
    if world.devices[device].flight.is_some() {
        return step(world, rng, device, true).await;
    }
    world.counts.syncs += 1;
    world.devices[device].begin_sync();
    step(world, rng, device, true).await
}

async fn goes_on(world: &mut World, rng: &mut Rng) -> Checked {
    let flying: Vec<usize> =
        world.devices.iter().filter(|d| d.flight.is_some()).map(|d| d.number).collect();
    let Some(device) = rng.pick(&flying).copied() else { return Ok(()) };
    step(world, rng, device, true).await
}

/// A copy of an old request reaches the server; nobody waits for its answer.
async fn late(world: &mut World, rng: &mut Rng) -> Checked {
    if world.late.is_empty() {
        return Ok(());
    }
    let index = rng.below(world.late.len());
    let (device, request) = world.late.remove(index);
    world.tell(format!("late: {} of phone {device}", request.path));
    if request.path == "sync/push" {
        // It may be taken though the phone knows that it was not, when the server's clock has gone back behind the
        // end of its token: then the phone is not who wrote last.
        world.ledger.may_be_older(device);
    }
    world.deliver(device, &request).await.map(|_| ()).map_err(|violation: Violation| violation)
}

/// A whole round without faults, for the end of a run.
///
/// # Errors
/// What the oracle finds.
pub async fn healthy(world: &mut World, rng: &mut Rng, device: usize) -> Checked {
    world.time.advance(SECOND_US);
    world.counts.syncs += 1;
    world.devices[device].begin_sync();
    to_the_end(world, rng, device, false).await
}
