//! People get another role: other collections, other fields, other rights, and no row has changed.

use crate::operation;
use crate::oracle::Checked;
use crate::registry::Operation;
use crate::rng::Rng;
use crate::schema::ROLES;
use crate::world::World;

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("role changes", 4, changes),
    operation!("role changes and changes back", 2, changes_and_changes_back),
];

async fn set(world: &mut World, person: usize, role: &'static str) {
    world.tell(format!("office: user{person} becomes {role}"));
    let user = world.people[person].id;
    world.server.set_role(user, role).await;
    world.people[person].role = role;
}

fn some_other(world: &World, rng: &mut Rng, person: usize) -> &'static str {
    let now = world.people[person].role;
    let others: Vec<&'static str> = ROLES.into_iter().filter(|role| *role != now).collect();
    rng.pick(&others).copied().unwrap_or(now)
}

async fn changes(world: &mut World, rng: &mut Rng) -> Checked {
    let person = rng.below(world.people.len());
    let role = some_other(world, rng, person);
    set(world, person, role).await;
    Ok(())
}

/// Before or after their phones look.
async fn changes_and_changes_back(world: &mut World, rng: &mut Rng) -> Checked {
    let person = rng.below(world.people.len());
    let before = world.people[person].role;
    let role = some_other(world, rng, person);
    set(world, person, role).await;
    for device in 0..world.devices.len() {
        let theirs = world.user_of(device) == Some(person);
        if theirs && rng.percent(40) && world.devices[device].flight.is_none() {
            world.counts.syncs += 1;
            world.devices[device].begin_sync();
            for _ in 0..rng.below(8) {
                super::sync::step(world, rng, device, true).await?;
            }
        }
    }
    set(world, person, before).await;
    Ok(())
}
