//! People sign in and out, also on each other's phones.

use crate::operation;
use crate::oracle::Checked;
use crate::registry::Operation;
use crate::rng::Rng;
use crate::world::World;

use super::sync::to_the_end;

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("sign in", 5, sign_in),
    operation!("sign out", 2, sign_out),
    operation!("somebody else signs in", 2, somebody_else),
];

/// Signs a person in on a phone.
///
/// # Errors
/// What the oracle finds.
pub async fn login(
    world: &mut World,
    rng: &mut Rng,
    device: usize,
    person: usize,
    faults: bool,
) -> Checked {
    if world.devices[device].flight.is_some() {
        return Ok(());
    }
    let login = world.people[person].login.clone();
    world.tell(format!("phone {device}: {login} signs in"));
    world.devices[device].begin_login(&login);
    to_the_end(world, rng, device, faults).await?;
    if world.user_of(device) == Some(person) && !world.devices[device].people.contains(&person) {
        world.devices[device].people.push(person);
    }
    Ok(())
}

/// Whoever used the phone last, or its owner.
async fn sign_in(world: &mut World, rng: &mut Rng) -> Checked {
    let device = rng.below(world.devices.len());
    let owner = device % world.people.len();
    let person = world.user_of(device).unwrap_or(owner);
    login(world, rng, device, person, true).await
}

async fn somebody_else(world: &mut World, rng: &mut Rng) -> Checked {
    let device = rng.below(world.devices.len());
    let person = rng.below(world.people.len());
    login(world, rng, device, person, true).await
}

async fn sign_out(world: &mut World, rng: &mut Rng) -> Checked {
    let Some((device, person)) = world.used_phone(rng) else { return Ok(()) };
    if world.devices[device].flight.is_some() {
        return Ok(());
    }
    world.tell(format!("phone {device}: user{person} signs out"));
    world.devices[device].begin_logout();
    to_the_end(world, rng, device, true).await
}
