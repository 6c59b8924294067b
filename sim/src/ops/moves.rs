//! Rows that go from scope to scope: moved by phones and by the office, in chains while phones are away,
//! away and back, and with their parents.

use serde_json::{Map, Value as Json};
use sync_protocol::schema::Collection;
use sync_protocol::{EditTime, Fields, RecordId, Value};
use sync_server::store::{RowWrite, WriteKind};

use super::edit::{Wanted, ids, make};
use super::{office, sync};
use crate::operation;
use crate::oracle::Checked;
use crate::registry::Operation;
use crate::rng::Rng;
use crate::time::SECOND_US;
use crate::world::World;

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("row moves on a phone", 5, moves_on_a_phone),
    operation!("office moves a row", 5, office_moves),
    operation!("row moves on and on", 4, moves_on_and_on),
    operation!("row leaves and returns", 4, leaves_and_returns),
    operation!("parent moves with its children", 4, parent_moves),
];

/// What decides about the scopes of which rows: collection, field, and the collection that it refers to
/// (none: people).
const DECISIVE: [(&str, &str, Option<&str>); 4] = [
    ("partes", "obra_id", Some("obras")),
    ("renglones", "parte_id", Some("partes")),
    ("notas", "obra_id", Some("obras")),
    ("notas", "dueno_id", None),
];

/// A row that can be moved.
struct Movable {
    collection: Collection,
    record: RecordId,
    field: &'static str,
    /// Where it is.
    from: Json,
    /// Where it could be, besides.
    places: Vec<String>,
}

/// A live row of the server's, of one of these collections.
fn some_movable(world: &mut World, rng: &mut Rng, of: &[&str]) -> Option<Movable> {
    let snapshot = world.snapshot();
    let schema = world.schema();
    let decisive: Vec<_> = DECISIVE.iter().filter(|(name, ..)| of.contains(name)).collect();
    let (name, field, target) = **rng.pick(&decisive)?;
    let live = |collection: &str| {
        let rows = snapshot.rows.iter().filter(|(name, row)| name.0 == collection && !row.deleted);
        rows.map(|(name, row)| (name.1, row.clone())).collect::<Vec<_>>()
    };
    let (record, row) = rng.pick(&live(name))?.clone();
    let from = row.fields[field].clone();
    let places: Vec<String> = match target {
        Some(target) => live(target).into_iter().map(|(id, _)| id.to_string()).collect(),
        None => world.people.iter().map(|person| person.id.to_string()).collect(),
    };
    let places: Vec<String> = places.into_iter().filter(|id| from != id.as_str()).collect();
    let collection = schema.collection(name)?.clone();
    (!places.is_empty()).then_some(Movable { collection, record, field, from, places })
}

/// The office writes where a row belongs.
async fn put(world: &mut World, row: &Movable, place: &Json) -> Checked {
    let field = row.collection.field(row.field);
    let value = field.and_then(|field| Value::from_json(field, place).ok());
    let Some(value) = value else { return Ok(()) };
    let write = RowWrite {
        record: row.record,
        kind: WriteKind::Update,
        set: Fields::from_iter([(row.field.to_owned(), value)]),
        touched: Vec::new(),
        time: EditTime::certain(world.server_now_us()),
    };
    world.tell(format!("office: to {}/{place}", row.field));
    office::write(world, &row.collection, &[write]).await
}

fn some_place(rng: &mut Rng, row: &Movable) -> Json {
    rng.pick(&row.places).map_or(Json::Null, |id| id.clone().into())
}

/// The office moves a row.
///
/// # Errors
/// What the oracle finds.
pub async fn office_moves(world: &mut World, rng: &mut Rng) -> Checked {
    let all = ["partes", "renglones", "notas"];
    let Some(row) = some_movable(world, rng, &all) else { return Ok(()) };
    let place = some_place(rng, &row);
    put(world, &row, &place).await
}

/// S1 → S2 → S3 … before any phone looks; grants change in between.
async fn moves_on_and_on(world: &mut World, rng: &mut Rng) -> Checked {
    let all = ["partes", "renglones", "notas"];
    let Some(row) = some_movable(world, rng, &all) else { return Ok(()) };
    for _ in 0..2 + rng.below(3) {
        let place = some_place(rng, &row);
        put(world, &row, &place).await?;
        world.time.advance(rng.between(1, 600) * SECOND_US);
        match rng.below(6) {
            0 => office::grant(world, rng).await?,
            1 => office::revoke(world, rng).await?,
            _ => {}
        }
    }
    Ok(())
}

/// A row is away for a while, in which a phone may look, or begin to.
async fn leaves_and_returns(world: &mut World, rng: &mut Rng) -> Checked {
    let all = ["partes", "renglones", "notas"];
    let Some(row) = some_movable(world, rng, &all) else { return Ok(()) };
    let place = some_place(rng, &row);
    put(world, &row, &place).await?;
    if rng.percent(50) {
        let steps = rng.below(8);
        let Some((device, _)) = world.used_phone(rng) else { return Ok(()) };
        if world.devices[device].flight.is_none() {
            world.counts.syncs += 1;
            world.devices[device].begin_sync();
        }
        for _ in 0..steps {
            sync::step(world, rng, device, true).await?;
        }
    }
    put(world, &row, &row.from).await
}

/// One that has children, if there is any, goes somewhere else; by the office, or on a phone.
async fn parent_moves(world: &mut World, rng: &mut Rng) -> Checked {
    let snapshot = world.snapshot();
    let children = snapshot.rows.iter().filter(|(name, row)| name.0 == "renglones" && !row.deleted);
    let parents: Vec<RecordId> =
        children.filter_map(|(_, row)| row.fields["parte_id"].as_str()?.parse().ok()).collect();
    let Some(parent) = rng.pick(&parents).copied() else { return Ok(()) };
    if rng.percent(50) {
        let Some(place) = world.used_phone(rng) else { return Ok(()) };
        if ids(world, place.0, "partes").contains(&parent) {
            return move_here(world, rng, place, ("partes", parent, "obra_id", "obras"));
        }
    }
    let Some(mut row) = some_movable(world, rng, &["partes"]) else { return Ok(()) };
    row.record = parent;
    let place = some_place(rng, &row);
    put(world, &row, &place).await
}

async fn moves_on_a_phone(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    let within: Vec<_> = DECISIVE
        .iter()
        .filter_map(|(name, field, target)| Some((name, field, (*target)?)))
        .collect();
    let Some((name, field, target)) = rng.pick(&within).copied() else { return Ok(()) };
    let Some(record) = rng.pick(&ids(world, place.0, name)).copied() else { return Ok(()) };
    move_here(world, rng, place, (name, record, field, target))
}

/// A phone's user moves a row to somewhere that they see.
fn move_here(
    world: &mut World,
    rng: &mut Rng,
    place: (usize, usize),
    (name, record, field, target): (&str, RecordId, &str, &str),
) -> Checked {
    let Some(to) = rng.pick(&ids(world, place.0, target)).copied() else { return Ok(()) };
    let set = Map::from_iter([(field.to_owned(), Json::from(to.to_string()))]);
    make(world, place, &[Wanted::Update(name.to_owned(), record, set)])
}
