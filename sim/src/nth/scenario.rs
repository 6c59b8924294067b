//! The standard scenario: two phones, edits, pushes, pulls, merges, conflicts, decisions, a scope that is
//! lost and regained, a second person, a schema that grows, restarts, photos. Nothing in it fails by itself.

use futures::future::LocalBoxFuture;

use crate::ops::{session, sync};
use crate::oracle::Checked;
use crate::plan::Setup;
use crate::registry::operations;
use crate::rng::Rng;
use crate::server::Database;
use crate::world::World;

/// The seed whose draws make everything in [`SEEN`] happen.
const SEED: u64 = 3059;

/// What must occur in the scenario, so that failures meet it.
pub const SEEN: &[&str] = &[
    "merge: counter",
    "merge: in review",
    "merge: lww superseded",
    "photos: at the server",
    "review: resolve",
    "review: undo",
];

/// A step.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// An operation of the table.
    Does(&'static str),
    /// Each phone syncs.
    Syncs,
    /// A phone's owner, or the owner of the next one, signs in.
    SignsIn(usize, bool),
}

use Act::{Does, SignsIn, Syncs};

/// The steps.
pub const ACTS: &[Act] = &[
    Does("insert"),
    Does("transaction"),
    Does("insert"),
    Syncs,
    Does("two change one field"),
    Does("two change one field"),
    Does("two change one field"),
    Does("two change one field"),
    Does("two change one field"),
    Does("two change one field"),
    Does("change and delete"),
    Does("office updates"),
    Syncs,
    Does("decide"),
    Does("set a counter"),
    Does("office updates"),
    Does("update again and again"),
    Does("two change one field"),
    Does("decide"),
    Syncs,
    Does("undo a decision"),
    Does("edits of a boot that met nobody"),
    Does("retry"),
    Syncs,
    Does("two change one field"),
    Does("two change one field"),
    Does("two change one field"),
    Does("two change one field"),
    Does("two change one field"),
    Does("two change one field"),
    Syncs,
    Does("decide"),
    Does("decide"),
    Does("undo a decision"),
    Does("revoke and grant again"),
    Does("office deletes"),
    Syncs,
    SignsIn(1, true),
    Does("insert"),
    Syncs,
    SignsIn(1, false),
    Does("schema grows"),
    Does("update"),
    Does("discard"),
    Does("kill the app"),
    Syncs,
    Does("check in with photos"),
    Does("take a photo"),
    Syncs,
    Syncs,
];

/// What it begins with.
#[must_use]
pub fn setup() -> Setup {
    let database = Database::Sqlite;
    Setup { seed: SEED, devices: 2, people: 2, page_rows: Some(3), database, steps: Vec::new() }
}

/// Does a step.
pub fn act<'a>(world: &'a mut World, rng: &'a mut Rng, act: Act) -> LocalBoxFuture<'a, Checked> {
    Box::pin(async move {
        match act {
            Does(name) => {
                let operation = operations().into_iter().find(|operation| operation.name == name);
                let operation = operation.expect("the scenario names operations of the table");
                (operation.run)(world, rng).await
            }
            Syncs => {
                for device in 0..world.devices.len() {
                    sync::healthy(world, rng, device).await?;
                }
                Ok(())
            }
            SignsIn(device, another) => {
                let person = (device + usize::from(another)) % world.people.len();
                session::login(world, rng, device, person, false).await
            }
        }
    })
}
