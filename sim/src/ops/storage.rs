//! The object store fails for a while: some of its calls, or all, before or after they have had their effect.

use super::photos::compares;
use crate::operation;
use crate::oracle::Checked;
use crate::registry::Operation;
use crate::rng::Rng;
use crate::world::World;

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("the object store fails", 3, fails),
    operation!("the object store works again", 3, works_again),
];

/// How many calls in a hundred fail: a few, many, all.
const FAILING_PERCENT: [u32; 3] = [15, 50, 100];

async fn fails(world: &mut World, rng: &mut Rng) -> Checked {
    let percent = FAILING_PERCENT[rng.below(FAILING_PERCENT.len())];
    world.tell(format!("the object store fails {percent} times in a hundred"));
    world.server.shelf.fail(Some((Rng::new(rng.draw()), percent)));
    // Somebody who notices compares what is there.
    if rng.percent(30) { compares(world, rng.percent(50)).await } else { Ok(()) }
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
