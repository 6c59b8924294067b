//! What can happen in a run: a table of operations and one of the network's faults.
//!
//! Each entry stands in the file of the feature that it belongs to ([`crate::ops`]). A later feature
//! adds its file and a line here; plans, coverage and shrinking know of it by that.

use futures::future::LocalBoxFuture;

use crate::oracle::Checked;
use crate::rng::Rng;
use crate::world::World;

/// Something that people or machines do.
pub struct Operation {
    /// Its name, in the trace and in the coverage.
    pub name: &'static str,
    /// How often it is drawn, relative to the others.
    pub weight: u32,
    /// Does it. It draws its details from the step's own source of chance.
    pub run: for<'a> fn(&'a mut World, &'a mut Rng) -> LocalBoxFuture<'a, Checked>,
}

/// An entry of the table, from an async function.
#[macro_export]
macro_rules! operation {
    ($name:literal, $weight:literal, $run:path) => {
        $crate::registry::Operation {
            name: $name,
            weight: $weight,
            run: |world, rng| Box::pin($run(world, rng)),
        }
    };
}

/// All operations.
#[must_use]
pub fn operations() -> Vec<&'static Operation> {
    everyday().into_iter().chain(incidents()).collect()
}

/// What befalls machines now and then, whatever people do meanwhile. It is strewn over a plan after that is
/// drawn, so that a new line here leaves the rest of every seed's plan as it is. The weight says how often an
/// incident occurs at most in a run.
#[must_use]
pub fn incidents() -> Vec<&'static Operation> {
    use crate::ops::{housekeeping, leaving, lost, server_clock, storage};
    [
        housekeeping::OPERATIONS,
        server_clock::OPERATIONS,
        storage::OPERATIONS,
        leaving::OPERATIONS,
        lost::OPERATIONS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What plans are drawn from.
#[must_use]
pub fn everyday() -> Vec<&'static Operation> {
    use crate::ops::{
        backfill, damage, edit, moves, office, phone, photos, problems, review, roles, session,
        sync,
    };
    [
        edit::OPERATIONS,
        problems::OPERATIONS,
        sync::OPERATIONS,
        phone::OPERATIONS,
        session::OPERATIONS,
        office::OPERATIONS,
        review::OPERATIONS,
        moves::OPERATIONS,
        roles::OPERATIONS,
        backfill::OPERATIONS,
        damage::OPERATIONS,
        photos::OPERATIONS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Names of everything that a search has to have seen: operations and faults.
#[must_use]
pub fn names() -> Vec<&'static str> {
    let operations = operations().into_iter().map(|operation| operation.name);
    let faults = crate::ops::sync::REQUEST_FAULTS.iter().map(|fault| fault.name);
    let answers = crate::ops::sync::ANSWER_FAULTS.iter().map(|fault| fault.name);
    operations.chain(faults).chain(answers).collect()
}
