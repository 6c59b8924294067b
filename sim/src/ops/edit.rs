//! Edits on phones: records are made, changed, deleted and brought back, alone and several together.

use mobile_core::CoreError;
use mobile_core::edit::Edit;
use mobile_core::outbox::entry::State;
use mobile_core::outbox::list::ReceiptView;
use serde_json::{Map, Value as Json, json};
use sync_protocol::RecordId;
use sync_protocol::schema::{Collection, Field, FieldType, MergeRule, Schema};
use sync_protocol::wire::push::{Mutation, MutationKind};

use crate::operation;
use crate::oracle::ledger::{Edit as Noted, Place};
use crate::oracle::view::{is_withdrawn, units};
use crate::oracle::{Checked, violated};
use crate::registry::Operation;
use crate::rng::Rng;
use crate::schema::is_free;
use crate::time::SECOND_US;
use crate::world::{World, broken, short};

/// The table.
pub const OPERATIONS: &[Operation] = &[
    operation!("insert", 16, insert),
    operation!("update", 30, update),
    operation!("update again and again", 5, update_often),
    operation!("transaction", 12, transaction),
    operation!("delete", 4, delete),
    operation!("change and delete", 3, change_and_delete),
    operation!("restore", 4, restore),
    operation!("set a counter", 6, set_counter),
    operation!("two change one field", 8, collide),
    operation!("edits of a boot that met nobody", 3, lonely_boot),
];

/// A value for a field, as an app gives it.
pub fn value(rng: &mut Rng, field: &Field) -> Json {
    match &field.kind {
        FieldType::Text => Json::from(format!("t{}", rng.below(4))),
        FieldType::Integer => Json::from(rng.between(0, 40)),
        FieldType::Decimal { .. } => Json::from(rng.between(0, 40)),
        FieldType::Real => json!(0.5 * f64::from(u8::try_from(rng.below(9)).unwrap_or(0))),
        FieldType::Boolean => Json::from(rng.percent(50)),
        FieldType::Date => Json::from(format!("2026-0{}-0{}", 1 + rng.below(2), 1 + rng.below(3))),
        FieldType::Timestamp => Json::from(format!("2026-01-0{}T10:00:00Z", 1 + rng.below(9))),
        FieldType::Uuid => Json::Null,
        FieldType::Enum { values } => Json::from(values[rng.below(values.len())].clone()),
        FieldType::Set => (0..rng.below(4)).map(|_| format!("e{}", rng.below(3))).collect(),
        FieldType::Json => json!({ "a": rng.below(4) }),
    }
}

fn difference(rng: &mut Rng) -> Json {
    json!({ "add": rng.between(-5, 6) })
}

/// A change of a field, as an app gives it.
fn change(rng: &mut Rng, field: &Field) -> Json {
    match (&field.kind, field.merge) {
        (_, MergeRule::Counter) => difference(rng),
        (FieldType::Set, _) if rng.percent(70) => json!({
            "add": [format!("e{}", rng.below(3))],
            "remove": [format!("e{}", rng.below(3))],
        }),
        _ => value(rng, field),
    }
}

/// Ids that a phone's user sees.
#[must_use]
pub fn ids(world: &World, device: usize, collection: &str) -> Vec<RecordId> {
    let sql = format!("SELECT id FROM \"{collection}\" ORDER BY id");
    let Ok(result) = world.devices[device].core().query(&sql, &[]) else { return Vec::new() };
    let id = |row: &Vec<Json>| row.first()?.as_str()?.parse().ok();
    result.rows.iter().filter_map(id).collect()
}

pub(super) fn some_id(
    world: &World,
    rng: &mut Rng,
    device: usize,
    collection: &str,
) -> Option<RecordId> {
    let ids = ids(world, device, collection);
    // A few records are everybody's favourites, so that edits meet.
    let hot = if rng.percent(60) { ids.len().min(2) } else { ids.len() };
    rng.pick(&ids[..hot]).copied()
}

/// A reference that may be set: mostly to a record that is here.
fn reference(world: &World, rng: &mut Rng, place: Place, field: &Field) -> Option<Json> {
    if field.name == "dueno_id" {
        let other = rng.below(world.people.len());
        let person = if rng.percent(70) { place.1 } else { other };
        return Some(world.people[person].id.to_string().into());
    }
    let target = field.references.as_ref()?;
    some_id(world, rng, place.0, target).map(|id| id.to_string().into())
}

/// Some fields of a record, as an app would set them.
pub(super) fn fields(
    world: &World,
    rng: &mut Rng,
    place: Place,
    collection: &Collection,
    inserting: bool,
) -> Option<Map<String, Json>> {
    let mut set = Map::new();
    let jefe = world.people[place.1].role == "jefe";
    // Often just one of few fields, so that edits of one field meet, and nothing else does.
    let only = (!inserting && rng.percent(50)).then(|| rng.below(collection.fields.len().min(7)));
    for (index, field) in collection.fields.iter().enumerate() {
        let locked = field.from_parent
            || !is_free(collection, field)
            || field.merge == MergeRule::Server
            || (field.write.is_some() && !jefe);
        let needed = inserting && field.required && field.default.is_none();
        let drawn = match only {
            Some(only) => index == only,
            None => rng.percent(if inserting { 60 } else { 25 }),
        };
        if locked || !(needed || drawn) {
            continue;
        }
        let wanted = match (&field.kind, field.merge) {
            (FieldType::Uuid, _) => match reference(world, rng, place, field) {
                Some(value) => value,
                None if needed => return None,
                None => continue,
            },
            _ if !inserting => change(rng, field),
            _ => value(rng, field),
        };
        set.insert(field.name.clone(), wanted);
    }
    Some(set)
}

/// What one of the edits of a transaction wants.
pub enum Wanted {
    /// A new record with these fields.
    Insert(String, Map<String, Json>),
    /// Other values for these fields.
    Update(String, RecordId, Map<String, Json>),
    /// The record goes.
    Delete(String, RecordId),
    /// It comes back.
    Restore(String, RecordId),
}

impl Wanted {
    fn make(&self, edit: &mut Edit<'_>) -> Result<(), CoreError> {
        match self {
            Self::Insert(collection, fields) => edit.insert(collection, fields).map(|_| ()),
            Self::Update(collection, id, fields) => {
                edit.update(collection, *id, fields).map(|_| ())
            }
            Self::Delete(collection, id) => edit.delete(collection, *id),
            Self::Restore(collection, id) => edit.restore(collection, *id),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Insert(collection, fields) => {
                format!("+{collection} {}", Json::from(fields.clone()))
            }
            Self::Update(collection, id, fields) => {
                format!("{collection}/{} {}", short(id), Json::from(fields.clone()))
            }
            Self::Delete(collection, id) => format!("-{collection}/{}", short(id)),
            Self::Restore(collection, id) => format!("restore {collection}/{}", short(id)),
        }
    }
}

/// Makes a transaction on a phone, and notes it if the phone accepted it.
///
/// # Errors
/// What the oracle finds.
pub fn make(world: &mut World, place: Place, wanted: &[Wanted]) -> Checked {
    let core = world.devices[place.0].core().clone();
    let made = core.transaction(|edit| wanted.iter().try_for_each(|one| one.make(edit)));
    let texts: Vec<String> = wanted.iter().map(Wanted::text).collect();
    let text = format!("phone {} user{}: {}", place.0, place.1, texts.join("; "));
    match made {
        Ok(((), Some(id))) => {
            world.tell(format!("{text} -> {}", short(id)));
            note(world, place, id)
        }
        Ok(((), None)) => {
            world.tell(format!("{text} -> nothing to do"));
            Ok(())
        }
        Err(error) => {
            world.tell(format!("{text} -> {}", error.code()));
            expected_error(&error)
        }
    }
}

/// Notes an edit that a phone accepted.
///
/// # Errors
/// When the phone does not know it.
pub fn note(world: &mut World, place: Place, id: sync_protocol::ReceiptId) -> Checked {
    let receipt = world.devices[place.0].core().receipt(id).map_err(|error| broken(&error))?;
    bases_are_inherited(world, place, &receipt)?;
    world.counts.edits += 1;
    if let Some(before) = receipt.replaces.and_then(|id| world.ledger.edits.get_mut(&id)) {
        before.replaced = true;
    }
    let edit = Noted::made(place, receipt.mutations);
    if world.ledger.edits.insert(id, edit).is_some() {
        return violated("a receipt's id is never used again", id.to_string());
    }
    Ok(())
}

/// While a field has an edit that nobody has decided, later edits of it keep that edit's base.
fn bases_are_inherited(world: &World, place: Place, made: &ReceiptView) -> Checked {
    let receipts = world.devices[place.0].core().receipts().map_err(|error| broken(&error))?;
    let open = |view: &&ReceiptView| {
        matches!(view.state, State::Waiting | State::Sending | State::Parked) && !is_withdrawn(view)
    };
    let before: Vec<&ReceiptView> =
        receipts.iter().take_while(|view| view.id != made.id).filter(open).collect();
    // A correction has seen what was made after what it corrects.
    if made.replaces.is_some() {
        return Ok(());
    }
    for mutation in &made.mutations {
        let same = |other: &&&Mutation| {
            other.collection == mutation.collection && other.record == mutation.record
        };
        let earlier: Vec<&Mutation> = before.iter().flat_map(|view| &view.mutations).collect();
        let earlier: Vec<&&Mutation> = earlier.iter().filter(same).collect();
        for (field, base) in &mutation.base {
            let inserted = earlier.iter().any(|m| m.kind == MutationKind::Insert);
            let last = earlier.iter().rev().find_map(|m| m.base.get(field)).copied();
            let should = if inserted { Some(0) } else { last };
            if should.is_some_and(|should| should != *base) {
                return violated(
                    "an edit inherits the base of the open edit before it",
                    format!("{}: {field} is based on {base}, not {should:?}", made.id),
                );
            }
        }
    }
    Ok(())
}

/// Whether a refusal by the phone is one that a user can run into.
///
/// # Errors
/// When it is not.
pub fn expected_error(error: &CoreError) -> Checked {
    match error {
        CoreError::Database(_)
        | CoreError::Stored(_)
        | CoreError::DatabaseCorrupt { .. }
        | CoreError::DatabaseLocked
        | CoreError::File { .. }
        | CoreError::NoRandomness => Err(broken(error)),
        _ => Ok(()),
    }
}

pub(super) fn visible(world: &World, device: usize) -> Option<std::sync::Arc<Schema>> {
    world.devices[device].core().schema().ok().filter(|schema| !schema.collections.is_empty())
}

fn some_collection(schema: &Schema, rng: &mut Rng) -> Option<Collection> {
    let all: Vec<&Collection> = schema.collections.values().collect();
    rng.pick(&all).map(|collection| (*collection).clone())
}

fn draw(world: &World, rng: &mut Rng, place: Place, kind: u32) -> Option<Wanted> {
    let schema = visible(world, place.0)?;
    let collection = some_collection(&schema, rng)?;
    let name = collection.name.clone();
    match kind {
        // A photo's record comes with a picture.
        0 if collection.photos => None,
        0 => Some(Wanted::Insert(name, fields(world, rng, place, &collection, true)?)),
        1 => {
            let id = some_id(world, rng, place.0, &name)?;
            Some(Wanted::Update(name, id, fields(world, rng, place, &collection, false)?))
        }
        2 => Some(Wanted::Delete(name.clone(), some_id(world, rng, place.0, &name)?)),
        _ => {
            let deleted = world.ledger.edits.values().flat_map(|edit| &edit.mutations);
            let deleted: Vec<(String, RecordId)> = deleted
                .filter(|m| m.kind == MutationKind::Delete)
                .map(|m| (m.collection.clone(), m.record))
                .collect();
            let (name, id) = rng.pick(&deleted)?.clone();
            schema.collection(&name)?;
            Some(Wanted::Restore(name, id))
        }
    }
}

fn some(world: &mut World, rng: &mut Rng, kinds: &[u32]) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    let wanted: Vec<Wanted> =
        kinds.iter().filter_map(|kind| draw(world, rng, place, *kind)).collect();
    if wanted.is_empty() { Ok(()) } else { make(world, place, &wanted) }
}

async fn insert(world: &mut World, rng: &mut Rng) -> Checked {
    some(world, rng, &[0])
}

async fn update(world: &mut World, rng: &mut Rng) -> Checked {
    some(world, rng, &[1])
}

async fn delete(world: &mut World, rng: &mut Rng) -> Checked {
    some(world, rng, &[2])
}

async fn restore(world: &mut World, rng: &mut Rng) -> Checked {
    some(world, rng, &[3])
}

async fn transaction(world: &mut World, rng: &mut Rng) -> Checked {
    let kinds: Vec<u32> = (0..2 + rng.below(3)).map(|_| [0, 1, 1, 1, 2, 3][rng.below(6)]).collect();
    some(world, rng, &kinds)
}

/// Two phones change the same field of the same record, and nothing else of it; one may then delete it.
async fn collide(world: &mut World, rng: &mut Rng) -> Checked {
    let (Some(one), Some(other)) = (world.used_phone(rng), world.used_phone(rng)) else {
        return Ok(());
    };
    let Some(schema) = visible(world, one.0) else { return Ok(()) };
    let Some(collection) = some_collection(&schema, rng) else { return Ok(()) };
    let theirs = ids(world, other.0, &collection.name);
    let both = ids(world, one.0, &collection.name);
    let both: Vec<RecordId> = both.into_iter().filter(|id| theirs.contains(id)).collect();
    let Some(id) = rng.pick(&both).copied() else { return Ok(()) };
    let free = |field: &&Field| {
        field.kind != FieldType::Uuid
            && is_free(&collection, field)
            && field.merge != MergeRule::Server
            && field.write.is_none()
    };
    let fields: Vec<&Field> = collection.fields.iter().filter(free).collect();
    let Some(field) = rng.pick(&fields) else { return Ok(()) };
    for place in [one, other] {
        let set = Map::from_iter([(field.name.clone(), change(rng, field))]);
        make(world, place, &[Wanted::Update(collection.name.clone(), id, set)])?;
    }
    if rng.percent(35) {
        make(world, one, &[Wanted::Delete(collection.name.clone(), id)])?;
    }
    Ok(())
}

/// The phone is started, used without a network, and started again: the time of these edits is only
/// bounded.
async fn lonely_boot(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    world.tell(format!("phone {}: off and on, used, off and on", place.0));
    world.devices[place.0].crash(true).await;
    world.time.advance(rng.between(1, 600) * SECOND_US);
    for _ in 0..1 + rng.below(3) {
        if let Some(wanted) = draw(world, rng, place, 1) {
            make(world, place, &[wanted])?;
        }
    }
    world.devices[place.0].crash(true).await;
    world.look_at(place.0)
}

/// The same record is changed and then deleted, before its phone hears what others did.
async fn change_and_delete(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    let Some(Wanted::Update(name, id, first)) = draw(world, rng, place, 1) else { return Ok(()) };
    make(world, place, &[Wanted::Update(name.clone(), id, first)])?;
    make(world, place, &[Wanted::Delete(name, id)])
}

/// The same record several times in a row.
async fn update_often(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    let Some(Wanted::Update(name, id, first)) = draw(world, rng, place, 1) else { return Ok(()) };
    make(world, place, &[Wanted::Update(name.clone(), id, first)])?;
    for _ in 0..1 + rng.below(3) {
        let Some(schema) = visible(world, place.0) else { return Ok(()) };
        let Some(collection) = schema.collection(&name) else { return Ok(()) };
        let Some(set) = fields(world, rng, place, collection, false) else { return Ok(()) };
        make(world, place, &[Wanted::Update(name.clone(), id, set)])?;
    }
    Ok(())
}

/// A counter gets an absolute value: the edit is the difference to what its author saw.
async fn set_counter(world: &mut World, rng: &mut Rng) -> Checked {
    let Some(place) = world.used_phone(rng) else { return Ok(()) };
    let Some(schema) = visible(world, place.0) else { return Ok(()) };
    let Some(collection) = some_collection(&schema, rng) else { return Ok(()) };
    let counters: Vec<&Field> =
        collection.fields.iter().filter(|f| f.merge == MergeRule::Counter).collect();
    let Some(field) = rng.pick(&counters) else { return Ok(()) };
    let Some(id) = some_id(world, rng, place.0, &collection.name) else { return Ok(()) };
    let core = world.devices[place.0].core().clone();
    let saw = core.get(&collection.name, id).map_err(|error| broken(&error))?;
    let wanted = rng.between(0, 30);
    let set = Map::from_iter([(field.name.clone(), Json::from(wanted))]);
    let made = core.update(&collection.name, id, &set);
    let text = format!(
        "phone {} user{}: {}/{} {} := {wanted}",
        place.0,
        place.1,
        collection.name,
        short(id),
        field.name
    );
    match made {
        Ok(Some(receipt)) => {
            world.tell(format!("{text} -> {}", short(receipt)));
            note(world, place, receipt)?;
            let edit = &world.ledger.edits[&receipt];
            let scale = match field.kind {
                FieldType::Decimal { scale } => 10_i128.pow(u32::from(scale)),
                _ => 1,
            };
            let difference = i128::from(wanted) * scale - units(&saw[&field.name]);
            let sent = edit.mutations[0].add.get(&field.name).map_or(0, units);
            if sent != difference {
                return violated(
                    "setting a counter is the difference to what was seen",
                    format!("{receipt}: {sent} instead of {difference}"),
                );
            }
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(error) => {
            world.tell(format!("{text} -> {}", error.code()));
            expected_error(&error)
        }
    }
}
