//! A project is taken from somebody who is making records of it: these wait for a supervisor.

use serde_json::json;
use sync_protocol::RecordId;

use super::edit::{Wanted, fields, make, visible};
use super::office;
use crate::operation;
use crate::oracle::Checked;
use crate::registry::Operation;
use crate::rng::Rng;
use crate::world::World;

/// The table.
pub const OPERATIONS: &[Operation] =
    &[operation!("a project is lost while records are made", 4, made)];

/// Where records say which project they are of.
const PROJECT: &str = "obra_id";

async fn made(world: &mut World, rng: &mut Rng) -> Checked {
    let Some((device, person)) = world.used_phone(rng) else { return Ok(()) };
    let snapshot = world.snapshot();
    let held = snapshot.grants.get(&world.people[person].id).into_iter().flatten();
    let held: Vec<RecordId> = held
        .filter_map(|scope| scope.as_str().strip_prefix("project:")?.parse().ok())
        .filter(|id: &RecordId| {
            let row = snapshot.rows.get(&("obras".to_owned(), *id));
            row.is_some_and(|row| !row.deleted)
        })
        .collect();
    let (Some(project), Some(schema)) = (rng.pick(&held).copied(), visible(world, device)) else {
        return Ok(());
    };
    // Somebody is there who decides.
    let chiefs: Vec<usize> = (0..world.people.len())
        .filter(|other| *other != person && world.people[*other].role == "jefe")
        .collect();
    if let Some(chief) = rng.pick(&chiefs) {
        office::set_grant(world, *chief, project, true).await;
    }
    let loses_first = rng.percent(50);
    if loses_first {
        office::set_grant(world, person, project, false).await;
    }
    let of_projects: Vec<_> = schema
        .collections
        .values()
        .filter(|collection| !collection.photos && collection.field(PROJECT).is_some())
        .collect();
    for _ in 0..1 + rng.below(3) {
        let Some(collection) = rng.pick(&of_projects) else { break };
        let Some(mut wanted) = fields(world, rng, (device, person), collection, true) else {
            continue;
        };
        if collection.field(PROJECT).is_some_and(|field| !field.from_parent) {
            wanted.insert(PROJECT.to_owned(), json!(project));
        }
        let before = super::edit::ids(world, device, &collection.name);
        make(world, (device, person), &[Wanted::Insert(collection.name.clone(), wanted)])?;
        // Some are edited or deleted at once.
        let after = super::edit::ids(world, device, &collection.name);
        let new = after.into_iter().find(|id| !before.contains(id));
        let (Some(new), true) = (new, rng.percent(50)) else { continue };
        let edit = match fields(world, rng, (device, person), collection, false) {
            Some(wanted) if rng.percent(85) => Wanted::Update(collection.name.clone(), new, wanted),
            _ => Wanted::Delete(collection.name.clone(), new),
        };
        make(world, (device, person), &[edit])?;
    }
    if !loses_first {
        office::set_grant(world, person, project, false).await;
    }
    Ok(())
}
