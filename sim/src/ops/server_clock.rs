//! The clock of the server's machine: it jumps, as on a cheap box whose battery is empty, or that somebody sets;
//! later the network tells it the time again.

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
];

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

/// The network tells it the time.
///
/// # Errors
/// None.
pub async fn is_right_again(world: &mut World, _: &mut Rng) -> Checked {
    world.tell("the server's clock is right".to_owned());
    world.server.clock.set_off(0);
    Ok(())
}
