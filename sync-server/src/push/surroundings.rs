//! What flags are about beyond the rows that are changed: parents of photos, places, and pictures that came before.
//!
//! Nothing of it is read where no mutation of the chunk can be flagged. Otherwise it is one statement for each
//! collection of parents and of places, and one for the pictures.

use std::collections::{BTreeMap, BTreeSet};

use sync_protocol::merge::FieldEdit;
use sync_protocol::schema::{Collection, Schema, photos};
use sync_protocol::wire::push::MutationKind;
use sync_protocol::{RecordId, Value};

use super::check::CheckedMutation;
use super::decide::{flags_column, tells_of_place_or_date};
use super::load::referenced_collection;
use super::rows::{Loaded, RowName};
use crate::store::{StoreError, WriteTx};

/// Reads it, after the rows themselves and what they refer to.
pub(super) async fn load(
    tx: &mut dyn WriteTx,
    schema: &Schema,
    mutations: &[&CheckedMutation<'_>],
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    if !mutations.iter().any(|mutation| may_be_flagged(mutation)) {
        return Ok(());
    }
    let hashes = pictures(mutations);
    if !hashes.is_empty() {
        let photos: Vec<&Collection> = schema.collections.values().filter(|c| c.photos).collect();
        loaded.pictures = tx.known_pictures(&photos, &hashes).await?;
    }
    let parents = parents(mutations, loaded);
    read(tx, schema, parents, loaded).await?;
    let places = places(schema, mutations, loaded);
    read(tx, schema, places, loaded).await
}

/// Whether what a mutation says may be worth a flag for which something has to be read.
fn may_be_flagged(mutation: &CheckedMutation<'_>) -> bool {
    let collection = mutation.collection;
    match mutation.kind {
        MutationKind::Insert => flags_column(collection).is_some(),
        MutationKind::Update => {
            let mut edits = mutation.edits.iter();
            edits.any(|(field, _)| {
                tells_of_place_or_date(collection, &field.name)
                    || (collection.flags.is_some() && is_parent_link(collection, &field.name))
            })
        }
        MutationKind::Delete | MutationKind::Restore => false,
    }
}

fn is_parent_link(collection: &Collection, field: &str) -> bool {
    collection.parent.as_ref().is_some_and(|parent| parent.field == field)
}

/// The pictures of photos that are inserted.
fn pictures(mutations: &[&CheckedMutation<'_>]) -> BTreeSet<String> {
    let inserted =
        |m: &&&CheckedMutation<'_>| m.kind == MutationKind::Insert && m.collection.photos;
    let edits = mutations.iter().filter(inserted).flat_map(|mutation| &mutation.edits);
    edits
        .filter_map(|(field, edit)| match edit {
            FieldEdit::Set(Value::Text(hash)) if field.name == photos::PICTURE => {
                Some(hash.clone())
            }
            _ => None,
        })
        .collect()
}

/// The parents of photos that are changed. Those of photos that are inserted are referred to.
fn parents(mutations: &[&CheckedMutation<'_>], loaded: &Loaded) -> BTreeSet<RowName> {
    let changed = |m: &&&CheckedMutation<'_>| m.kind == MutationKind::Update && m.collection.photos;
    let photos = mutations.iter().filter(changed);
    photos
        .filter_map(|photo| {
            let link = photo.collection.parent.as_ref()?;
            let row = loaded.rows.get(&(photo.collection.name.clone(), photo.record))?;
            Some((link.collection.clone(), id_in(row.fields.get(&link.field))?))
        })
        .collect()
}

/// The places of everything that is flagged by them.
fn places(
    schema: &Schema,
    mutations: &[&CheckedMutation<'_>],
    loaded: &Loaded,
) -> BTreeSet<RowName> {
    let columns = place_columns(schema);
    if columns.is_empty() {
        return BTreeSet::new();
    }
    let rows = loaded.rows.iter().chain(&loaded.referenced);
    let stored = rows.flat_map(|((name, _), row)| {
        let columns = columns.get(name.as_str()).into_iter().flatten();
        columns.filter_map(|(column, target)| named(target, row.fields.get(*column)))
    });
    let new = mutations.iter().flat_map(|mutation| {
        let columns = columns.get(mutation.collection.name.as_str()).into_iter().flatten();
        columns.filter_map(|(column, target)| {
            let edit = mutation.edits.iter().find(|(field, _)| field.name == *column);
            match edit {
                Some((_, FieldEdit::Set(value))) => named(target, Some(value)),
                _ => None,
            }
        })
    });
    stored.chain(new).collect()
}

/// By collection, the columns that name a place, with the place's collection: those of flagged
/// collections, and of their parents where they come from these.
fn place_columns(schema: &Schema) -> BTreeMap<&str, BTreeSet<(&str, &str)>> {
    let mut columns: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
    for flagged in schema.collections.values() {
        let place = flagged.flags.as_ref().and_then(|flags| flags.place.as_deref());
        let Some(column) = place else { continue };
        let Some(target) = referenced_collection(flagged, column) else { continue };
        let mut holder = Some(flagged);
        // Parents of parents: no collection is its own, so there are at most as many as collections.
        while let Some(collection) = holder {
            columns.entry(&collection.name).or_default().insert((column, target));
            let follows = collection.field(column).is_some_and(|field| field.from_parent);
            let parent = collection.parent.as_ref().filter(|_| follows);
            holder = parent.and_then(|parent| schema.collection(&parent.collection));
        }
    }
    columns
}

fn named(target: &str, value: Option<&Value>) -> Option<RowName> {
    Some((target.to_owned(), id_in(value)?))
}

fn id_in(value: Option<&Value>) -> Option<RecordId> {
    match value {
        Some(Value::Uuid(id)) => Some(RecordId(*id)),
        _ => None,
    }
}

/// Reads those of the rows that are not there yet.
async fn read(
    tx: &mut dyn WriteTx,
    schema: &Schema,
    wanted: BTreeSet<RowName>,
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let mut by_collection: BTreeMap<String, Vec<RecordId>> = BTreeMap::new();
    for name in wanted {
        if !loaded.rows.contains_key(&name) && !loaded.referenced.contains_key(&name) {
            by_collection.entry(name.0).or_default().push(name.1);
        }
    }
    for (name, ids) in by_collection {
        let Some(collection) = schema.collection(&name) else { continue };
        for (id, row) in tx.rows(collection, &ids).await? {
            loaded.referenced.insert((name.clone(), id), row);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::check::check;
    use sync_protocol::schema::parse::{SourceFile, parse};
    use sync_protocol::wire::push::{Mutation, Transaction};
    use sync_protocol::{EditTime, ReceiptId};
    use uuid::Uuid;

    fn gardens() -> Schema {
        let text = include_str!("gardens.toml").to_owned();
        parse(&[SourceFile { name: "gardens.toml".to_owned(), text }]).expect("a schema")
    }

    #[test]
    fn a_place_that_comes_from_the_parent_is_found_by_the_parents_column() {
        let schema = gardens();
        let columns = place_columns(&schema);
        let garden = BTreeSet::from([("jardin_id", "jardines")]);
        assert_eq!(columns, BTreeMap::from([("tareas", garden.clone()), ("visitas", garden)]));
    }

    #[test]
    fn nothing_is_read_for_what_cannot_be_flagged() {
        let schema = gardens();
        for (collection, kind, field, value, expected) in [
            ("visitas", MutationKind::Insert, "jardin_id", Uuid::nil().to_string().into(), false),
            ("tareas", MutationKind::Insert, "visita_id", Uuid::nil().to_string().into(), true),
            ("tareas", MutationKind::Update, "texto", "x".into(), false),
            ("tareas", MutationKind::Update, "latitud", 1.5.into(), true),
            ("tareas", MutationKind::Update, "visita_id", Uuid::nil().to_string().into(), true),
            ("tarea_fotos", MutationKind::Update, "tomada", serde_json::Value::Null, true),
            ("tarea_fotos", MutationKind::Update, "rumbo", 1.5.into(), false),
        ] {
            let mutation = Mutation {
                collection: collection.to_owned(),
                record: RecordId(Uuid::nil()),
                kind,
                set: [(field.to_owned(), value)].into_iter().collect(),
                add: serde_json::Map::new(),
                elements: BTreeMap::new(),
                base: BTreeMap::new(),
                seen: serde_json::Map::new(),
                row_base: None,
            };
            let transaction = Transaction {
                id: ReceiptId(Uuid::nil()),
                edited: EditTime::certain(0),
                wall_clock_us: 0,
                replaces: None,
                builds_on: Vec::new(),
                position: None,
                mutations: vec![mutation],
            };
            let checked = check(&schema, &|_| true, &transaction).expect("in order");
            assert_eq!(may_be_flagged(&checked[0]), expected, "{kind:?} of {collection}.{field}");
        }
    }
}
