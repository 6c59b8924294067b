//! The clock of the server's machine: it jumps, as on a cheap box whose battery is empty, or that somebody sets;
//! later the network tells it the time again.

use super::photos::checks_in_at;
use super::sync::{step, to_the_end};
use crate::operation;
use crate::oracle::Checked;
use crate::registry::Operation;
use crate::rng::Rng;
use crate::time::{DAY_US, SECOND_US};
use crate::world::World;

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("the server's clock jumps", 2, jumps),
    operation!("the server's clock is right again", 3, is_right_again),
    operation!("the server's clock is set back amid a round", 2, is_set_back_amid_a_round),
];

/// Most requests of a round before it pulls.
const REQUESTS_MAX: usize = 200;

/// How far, in microseconds: from an hour to a year.
const JUMPS_US: [i64; 5] = [3_600 * SECOND_US, DAY_US, 10 * DAY_US, 100 * DAY_US, 365 * DAY_US];

async fn jumps(world: &mut World, rng: &mut Rng) -> Checked {
    let far_us = JUMPS_US[rng.below(JUMPS_US.len())];
    let off_us = if rng.percent(50) { far_us } else { -far_us };
    world.tell(format!("the server's clock is off by {} h", off_us / 3_600 / SECOND_US));
    world.server.clock.set_off(off_us);
    // A machine that comes up with another time has been off before; one whose clock is set has not.
    if rng.percent(40) {
        let schema = world.schema();
        world.restart_server(schema).await;
    }
    Ok(())
}

/// What a phone pushes is settled, and before the phone pulls the server's clock says that it is earlier.
async fn is_set_back_amid_a_round(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    let device = place.0;
    to_the_end(world, rng, device, true).await?;
    if world.user_of(device) != Some(place.1) {
        return Ok(());
    }
    checks_in_at(world, rng, place)?;
    world.counts.syncs += 1;
    world.devices[device].begin_sync();
    for _ in 0..REQUESTS_MAX {
        let Some(flight) = &world.devices[device].flight else { return Ok(()) };
        if flight.request.as_ref().is_some_and(|request| request.path == "sync/pull") {
            break;
        }
        step(world, rng, device, false).await?;
    }
    let far_us = JUMPS_US[rng.below(JUMPS_US.len())];
    world.tell(format!("the server's clock is off by -{} h", far_us / 3_600 / SECOND_US));
    world.server.clock.set_off(-far_us);
    to_the_end(world, rng, device, false).await?;
    if rng.percent(70) { is_right_again(world, rng).await } else { Ok(()) }
}

/// The network tells it the time.
///
/// # Errors
/// None.
pub async fn is_right_again(world: &mut World, _: &mut Rng) -> Checked {
    world.tell("the server's clock is right".to_owned());
    world.server.clock.set_off(0);
    Ok(())
}
