//! The object store fails for a while: some of its calls, or all, before or after they have had their effect.

use super::photos::{checks_in_at, compares};
use super::sync::{healthy, to_the_end};
use crate::operation;
use crate::oracle::Checked;
use crate::oracle::ledger::Place;
use crate::registry::Operation;
use crate::rng::Rng;
use crate::shelf::{Calls, Failing};
use crate::world::World;

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("the object store fails", 3, fails),
    operation!("the object store works again", 3, works_again),
    operation!("pictures come while the object store fails", 2, fails_amid_pictures),
];

/// How many calls in a hundred fail: a few, many, all.
const FAILING_PERCENT: [u32; 3] = [15, 50, 100];

async fn fails(world: &mut World, rng: &mut Rng) -> Checked {
    let percent = FAILING_PERCENT[rng.below(FAILING_PERCENT.len())];
    begins_to_fail(world, rng, percent, Calls::All);
    // Somebody who notices compares what is there.
    if rng.percent(30) { compares(world, rng.percent(50)).await } else { Ok(()) }
}

fn begins_to_fail(world: &mut World, rng: &mut Rng, percent: u32, calls: Calls) {
    world.tell(format!("the object store fails {percent} times in a hundred: {calls:?}"));
    let rng = Rng::new(rng.draw());
    world.server.shelf.fail(Some(Failing { rng, percent, calls }));
}

/// A phone has pictures that the server has, and others that come while it cannot write them, or cannot do anything;
/// then somebody compares.
async fn fails_amid_pictures(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    works_again(world, rng).await?;
    checks_in_at(world, rng, place)?;
    sends(world, rng, place).await?;
    checks_in_at(world, rng, place)?;
    let percent = FAILING_PERCENT[1 + rng.below(2)];
    begins_to_fail(world, rng, percent, Calls::WholePictures);
    sends(world, rng, place).await?;
    begins_to_fail(world, rng, percent, Calls::All);
    compares(world, rng.percent(50)).await?;
    if rng.percent(50) { works_again(world, rng).await } else { Ok(()) }
}

/// What a phone has goes to the server, as far as that takes it.
async fn sends(world: &mut World, rng: &mut Rng, place: Place) -> Checked {
    to_the_end(world, rng, place.0, true).await?;
    match world.user_of(place.0) {
        Some(_) => healthy(world, rng, place.0).await,
        None => Ok(()),
    }
}

/// Whatever was wrong with it is over.
///
/// # Errors
/// None.
pub async fn works_again(world: &mut World, _: &mut Rng) -> Checked {
    world.tell("the object store works".to_owned());
    world.server.shelf.fail(None);
    Ok(())
}
