//! Somebody gains a scope with many rows, over a line that breaks again and again, while the office goes on.

use serde_json::json;
use sync_protocol::schema::Collection;
use sync_protocol::{EditTime, Fields, RecordId, Value};
use sync_server::store::{RowWrite, WriteKind};
use uuid::Uuid;

use super::{moves, office, sync};
use crate::operation;
use crate::oracle::{Checked, Violation};
use crate::registry::Operation;
use crate::rng::Rng;
use crate::world::World;

/// The table.
pub const OPERATIONS: &[Operation] = &[operation!("a scope with many rows is gained", 3, gained)];

/// Rows that the scope has, besides what comes later.
const ROWS: (i64, i64) = (12, 40);

async fn gained(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(project) = big_project(world, rng).await? else { return Ok(()) };
    let person = rng.below(world.people.len());
    office::set_grant(world, person, project, true).await;
    let device = (0..world.devices.len()).find(|device| world.user_of(*device) == Some(person));
    let Some(device) = device else { return Ok(()) };
    if world.devices[device].flight.is_none() {
        world.counts.syncs += 1;
        world.devices[device].begin_sync();
    }
    // Each time some more pages arrive, and meanwhile there is something new behind and before them.
    for _ in 0..2 + rng.below(4) {
        sync::cut(world, rng, device).await?;
        match rng.below(5) {
            0 => moves::office_moves(world, rng).await?,
            1 => office::updates(world, rng).await?,
            2 => office::deletes(world, rng).await?,
            3 if rng.percent(40) => {
                office::set_grant(world, person, project, rng.percent(50)).await
            }
            _ => {}
        }
    }
    Ok(())
}

/// The office makes a project with many rows.
async fn big_project(world: &mut World, rng: &mut Rng) -> Result<Option<RecordId>, Violation> {
    let schema = world.schema();
    let new = |rng: &mut Rng| {
        RecordId(Uuid::from_u128(u128::from(rng.draw()) << 64 | u128::from(rng.draw())))
    };
    let project = new(rng);
    let at_us = world.server_now_us();
    let row = |record, collection: &Collection, own: Fields| {
        let mut set: Fields =
            collection.fields.iter().map(|f| (f.name.clone(), f.default_value())).collect();
        set.extend(own);
        RowWrite {
            record,
            kind: WriteKind::Insert,
            set,
            touched: Vec::new(),
            time: EditTime::certain(at_us),
        }
    };
    let (Some(projects), Some(reports)) = (schema.collection("obras"), schema.collection("partes"))
    else {
        return Ok(None);
    };
    office::write(world, projects, &[row(project, projects, Fields::new())]).await?;
    let Some(day) = reports.field("dia") else { return Ok(None) };
    let count = rng.between(ROWS.0, ROWS.1);
    let rows: Vec<RowWrite> = (0..count)
        .filter_map(|n| {
            // No two of one day: that may be their natural key.
            let text = format!("20{:02}-{:02}-{:02}", 30 + n / 300, 1 + n / 25 % 12, 1 + n % 25);
            let own = Fields::from_iter([
                ("obra_id".to_owned(), Value::Uuid(project.0)),
                ("dia".to_owned(), Value::from_json(day, &json!(text)).ok()?),
            ]);
            Some(row(new(rng), reports, own))
        })
        .collect();
    office::write(world, reports, &rows).await?;
    world.projects.push(project);
    Ok(Some(project))
}
