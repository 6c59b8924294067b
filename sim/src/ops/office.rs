//! The office: it writes beside the API, grants and revokes, restarts the server, and changes the
//! schema.

use serde_json::Value as Json;
use sync_protocol::schema::{Collection, FieldType, MergeRule};
use sync_protocol::{EditTime, Fields, RecordId, StreamId, Value};
use sync_server::store::{RowWrite, StoreError, WriteKind};
use uuid::Uuid;

use super::edit::value;
use crate::operation;
use crate::oracle::{Checked, Violation};
use crate::registry::Operation;
use crate::rng::Rng;
use crate::schema::is_free;
use crate::world::{World, short};

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("office inserts", 5, inserts),
    operation!("office updates", 12, updates),
    operation!("office deletes", 2, deletes),
    operation!("office restores", 1, restores),
    operation!("grant", 5, grant),
    operation!("revoke", 3, revoke),
    operation!("revoke and grant again", 2, regrant),
    operation!("server restarts", 2, restart),
    operation!("schema grows", 1, schema_grows),
];

/// Writes rows as plain SQL would. What the tables refuse changes nothing.
///
/// # Errors
/// A store that fails.
pub async fn write(world: &mut World, collection: &Collection, writes: &[RowWrite]) -> Checked {
    let ids: Vec<RecordId> = writes.iter().map(|write| write.record).collect();
    let [write, ..] = writes else { return Ok(()) };
    let more = match writes.len() {
        1 => String::new(),
        rows => format!(" and {} more", rows - 1),
    };
    let text =
        format!("office: {:?} {}/{}{more}", write.kind, collection.name, short(write.record));
    let before = world.snapshot();
    let done = async {
        let mut tx = world.server.store().write(world.server.tenant, StreamId::SQL).await?;
        tx.received_at(world.server_now_us());
        let rows = tx.lock_rows(collection, &ids).await?;
        let is_gone = |write: &RowWrite| {
            write.kind == WriteKind::Update
                && rows.get(&write.record).is_some_and(|row| row.meta.deleted.is_some())
        };
        // Plain SQL would change no row.
        if writes.iter().any(is_gone) {
            return Ok(());
        }
        tx.write_rows(collection, writes).await?;
        tx.commit().await
    };
    match done.await {
        Ok(()) => {
            world.tell(text);
            world.wrote_beside(&before)
        }
        Err(StoreError::Constraint { .. }) => {
            world.tell(format!("{text}: refused"));
            Ok(())
        }
        Err(error) => Err(Violation {
            invariant: "the store does not fail",
            found: format!("{text}: {error}"),
        }),
    }
}

fn some_collection(world: &World, rng: &mut Rng) -> Collection {
    let schema = world.schema();
    let all: Vec<&Collection> = schema.collections.values().collect();
    all[rng.below(all.len())].clone()
}

/// Values for some fields; references to rows that are there.
fn some_fields(
    world: &mut World,
    rng: &mut Rng,
    collection: &Collection,
    inserting: bool,
) -> Option<Fields> {
    let snapshot = world.snapshot();
    let mut set = Fields::new();
    if inserting {
        for field in &collection.fields {
            set.insert(field.name.clone(), field.default_value());
        }
    }
    for field in &collection.fields {
        let needed = inserting && field.required && field.default.is_none();
        if field.from_parent || !(needed || rng.percent(30)) {
            continue;
        }
        let json = match (&field.kind, &field.references) {
            (FieldType::Uuid, None) => {
                world.people[rng.below(world.people.len())].id.to_string().into()
            }
            (FieldType::Uuid, Some(target)) => {
                let live: Vec<RecordId> = snapshot
                    .rows
                    .iter()
                    .filter(|(name, row)| name.0 == *target && !row.deleted)
                    .map(|(name, _)| name.1)
                    .collect();
                match rng.pick(&live) {
                    Some(id) => id.to_string().into(),
                    None if needed => return None,
                    None => Json::Null,
                }
            }
            _ => value(rng, field),
        };
        if json.is_null() && field.required {
            continue;
        }
        set.insert(field.name.clone(), Value::from_json(field, &json).ok()?);
    }
    Some(set)
}

async fn inserts(world: &mut World, rng: &mut Rng) -> Checked {
    let schema = world.schema();
    let projects = world.projects.len() < 2 || rng.percent(15);
    let collection =
        if projects { schema.collections["obras"].clone() } else { some_collection(world, rng) };
    // A photo's record comes with a picture.
    if collection.photos {
        return Ok(());
    }
    let Some(mut set) = some_fields(world, rng, &collection, true) else { return Ok(()) };
    if let Some(parent) = &collection.parent {
        // What follows the parent, as a trigger would fill it in.
        let snapshot = world.snapshot();
        let Some(Value::Uuid(id)) = set.get(&parent.field) else { return Ok(()) };
        let above = snapshot.rows.get(&(parent.collection.clone(), RecordId(*id))).cloned();
        for field in collection.fields.iter().filter(|f| f.from_parent) {
            let json = above.as_ref().and_then(|row| row.fields.get(&field.name)).cloned();
            let value = Value::from_json(field, &json.unwrap_or(Json::Null));
            set.insert(field.name.clone(), value.unwrap_or(Value::Null));
        }
    }
    let record = RecordId(Uuid::from_u128(u128::from(rng.draw()) << 64 | u128::from(rng.draw())));
    let time = EditTime::certain(world.server_now_us());
    let row = RowWrite { record, kind: WriteKind::Insert, set, touched: Vec::new(), time };
    write(world, &collection, &[row]).await?;
    if projects {
        world.projects.push(record);
    }
    Ok(())
}

fn some_row(world: &mut World, rng: &mut Rng, deleted: bool) -> Option<(Collection, RecordId)> {
    let snapshot = world.snapshot();
    let rows: Vec<_> =
        snapshot.rows.iter().filter(|(_, row)| row.deleted == deleted).map(|(n, _)| n).collect();
    let (name, record) = (*rng.pick(&rows)?).clone();
    Some((world.schema().collection(&name)?.clone(), record))
}

/// The office changes a row.
///
/// # Errors
/// What the oracle finds.
pub async fn updates(world: &mut World, rng: &mut Rng) -> Checked {
    let Some((collection, record)) = some_row(world, rng, false) else { return Ok(()) };
    let Some(mut set) = some_fields(world, rng, &collection, false) else { return Ok(()) };
    // References decide about scopes; they are moved rarely. What cannot change stays.
    let moves = rng.percent(15);
    set.retain(|name, _| {
        collection.field(name).is_some_and(|field| {
            is_free(&collection, field)
                && field.merge != MergeRule::Immutable
                && (field.kind != FieldType::Uuid || moves)
        })
    });
    if set.is_empty() {
        return Ok(());
    }
    let time = EditTime::certain(world.server_now_us());
    let row = RowWrite { record, kind: WriteKind::Update, set, touched: Vec::new(), time };
    write(world, &collection, &[row]).await
}

/// The office deletes a row.
///
/// # Errors
/// What the oracle finds.
pub async fn deletes(world: &mut World, rng: &mut Rng) -> Checked {
    let Some((collection, record)) = some_row(world, rng, false) else { return Ok(()) };
    simple(world, &collection, record, WriteKind::Delete).await
}

async fn restores(world: &mut World, rng: &mut Rng) -> Checked {
    let Some((collection, record)) = some_row(world, rng, true) else { return Ok(()) };
    simple(world, &collection, record, WriteKind::Restore).await
}

async fn simple(
    world: &mut World,
    collection: &Collection,
    record: RecordId,
    kind: WriteKind,
) -> Checked {
    let time = EditTime::certain(world.server_now_us());
    let row = RowWrite { record, kind, set: Fields::new(), touched: Vec::new(), time };
    write(world, collection, &[row]).await
}

/// A person and a project, also one that a phone made.
fn somebody_and_project(world: &mut World, rng: &mut Rng) -> Option<(usize, RecordId)> {
    let snapshot = world.snapshot();
    let projects: Vec<RecordId> =
        snapshot.rows.keys().filter(|name| name.0 == "obras").map(|name| name.1).collect();
    Some((rng.below(world.people.len()), *rng.pick(&projects)?))
}

/// Somebody gains or loses a project.
pub async fn set_grant(world: &mut World, person: usize, project: RecordId, held: bool) {
    let word = if held { "is granted" } else { "loses" };
    world.tell(format!("office: user{person} {word} project {}", short(project)));
    let user = world.people[person].id;
    world.server.grant(user, &World::scope(project), held).await;
}

/// Somebody gains a project.
///
/// # Errors
/// None.
pub async fn grant(world: &mut World, rng: &mut Rng) -> Checked {
    if let Some((person, project)) = somebody_and_project(world, rng) {
        set_grant(world, person, project, true).await;
    }
    Ok(())
}

/// Somebody loses a scope that they hold.
///
/// # Errors
/// None.
pub async fn revoke(world: &mut World, rng: &mut Rng) -> Checked {
    if let Some((person, project)) = held(world, rng) {
        set_grant(world, person, project, false).await;
    }
    Ok(())
}

fn held(world: &mut World, rng: &mut Rng) -> Option<(usize, RecordId)> {
    let snapshot = world.snapshot();
    let all: Vec<(usize, RecordId)> = (0..world.people.len())
        .flat_map(|person| {
            let scopes = snapshot.grants.get(&world.people[person].id);
            let ids = scopes
                .into_iter()
                .flatten()
                .filter_map(|scope| scope.as_str().strip_prefix("project:")?.parse().ok());
            ids.map(move |id| (person, id)).collect::<Vec<_>>()
        })
        .collect();
    rng.pick(&all).copied()
}

/// Lost and held again before the phone looks, with a change in between.
async fn regrant(world: &mut World, rng: &mut Rng) -> Checked {
    let Some((person, project)) = held(world, rng) else { return Ok(()) };
    set_grant(world, person, project, false).await;
    updates(world, rng).await?;
    deletes(world, rng).await?;
    set_grant(world, person, project, true).await;
    Ok(())
}

async fn restart(world: &mut World, _: &mut Rng) -> Checked {
    world.tell("the server restarts".to_owned());
    let schema = world.schema();
    world.restart_server(schema).await;
    Ok(())
}

async fn schema_grows(world: &mut World, _: &mut Rng) -> Checked {
    if world.schema().collections.len() == world.schemas.second.collections.len() {
        return Ok(());
    }
    world.tell("the schema grows".to_owned());
    let schema = world.schemas.second.clone();
    world.restart_server(schema).await;
    Ok(())
}
