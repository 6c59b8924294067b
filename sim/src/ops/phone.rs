//! Phones: apps are killed, phones restarted, clocks set; networks come and go; time passes.

use crate::operation;
use crate::oracle::Checked;
use crate::registry::Operation;
use crate::rng::Rng;
use crate::time::{DAY_US, SECOND_US};
use crate::world::World;

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("kill the app", 5, kill),
    operation!("restart the phone", 3, restart),
    operation!("set the wall clock", 3, set_clock),
    operation!("time passes", 8, time_passes),
    operation!("sleep for days", 3, sleep),
    operation!("network goes", 3, network_goes),
    operation!("network comes", 5, network_comes),
    operation!("partition", 1, partition),
];

async fn kill(world: &mut World, rng: &mut Rng) -> Checked {
    let device = rng.below(world.devices.len());
    let what = world.devices[device].flight.as_ref().map_or("at rest", |flight| flight.what);
    world.tell(format!("phone {device}: killed ({what})"));
    world.devices[device].crash(false).await;
    world.look_at(device)
}

async fn restart(world: &mut World, rng: &mut Rng) -> Checked {
    let device = rng.below(world.devices.len());
    world.tell(format!("phone {device}: off and on"));
    world.devices[device].crash(true).await;
    world.look_at(device)
}

async fn set_clock(world: &mut World, rng: &mut Rng) -> Checked {
    let device = rng.below(world.devices.len());
    let off_us = match rng.below(3) {
        0 => 0,
        1 => rng.between(-365, 365) * DAY_US,
        _ => rng.between(-3_600, 3_600) * SECOND_US,
    };
    world.tell(format!("phone {device}: wall clock off by {} s", off_us / SECOND_US));
    world.devices[device].clock.set_wall_off(off_us);
    Ok(())
}

async fn time_passes(world: &mut World, rng: &mut Rng) -> Checked {
    let seconds = [rng.between(1, 60), rng.between(60, 1_200), rng.between(1_000, 20_000)];
    let passed_s = seconds[rng.below(3)];
    world.time.advance(passed_s * SECOND_US);
    world.tell(format!("{passed_s} s pass"));
    Ok(())
}

async fn sleep(world: &mut World, rng: &mut Rng) -> Checked {
    let days = rng.between(1, 20);
    world.time.advance(days * DAY_US);
    world.tell(format!("{days} days pass"));
    Ok(())
}

async fn network_goes(world: &mut World, rng: &mut Rng) -> Checked {
    let device = rng.below(world.devices.len());
    world.devices[device].online = false;
    world.tell(format!("phone {device}: no network"));
    Ok(())
}

async fn network_comes(world: &mut World, rng: &mut Rng) -> Checked {
    let device = rng.below(world.devices.len());
    world.devices[device].online = true;
    world.tell(format!("phone {device}: network"));
    Ok(())
}

/// Half of the phones lose the server at once.
async fn partition(world: &mut World, rng: &mut Rng) -> Checked {
    for device in &mut world.devices {
        device.online = rng.percent(50);
    }
    let online: Vec<usize> = world.devices.iter().filter(|d| d.online).map(|d| d.number).collect();
    world.tell(format!("partition: only {online:?} reach the server"));
    Ok(())
}
