//! Loading what deciding about a chunk needs, with one statement per collection and kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sync_protocol::merge::FieldEdit;
use sync_protocol::schema::{Collection, MergeRule, Schema};
use sync_protocol::wire::push::MutationKind;
use sync_protocol::wire::review::Conflict;
use sync_protocol::{RecordId, StreamId, UserId, Value};

use super::check::CheckedMutation;
use super::decide::opens_a_scope;
use super::rows::{Loaded, key_text};
use super::surroundings;
use crate::store::{StoreError, StoredRow, WriteTx};

/// Loads and locks the rows that the mutations change, and reads those that they refer to.
pub(super) async fn load(
    tx: &mut dyn WriteTx,
    schema: &Arc<Schema>,
    user: UserId,
    stream: StreamId,
    mutations: &[&CheckedMutation<'_>],
) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded {
        schema: schema.clone(),
        scopes: tx.scopes_of(user).await?,
        lost_scopes: BTreeSet::new(),
        rows: BTreeMap::new(),
        lost: BTreeSet::new(),
        referenced: BTreeMap::new(),
        natural_keys: BTreeMap::new(),
        pictures: BTreeSet::new(),
        conflicts: Vec::new(),
        authors: BTreeMap::new(),
    };
    let mut changed: BTreeMap<&str, BTreeSet<RecordId>> = BTreeMap::new();
    for mutation in mutations {
        changed.entry(&mutation.collection.name).or_default().insert(mutation.record);
    }
    for (collection, keys) in natural_keys(mutations) {
        let values: Vec<Vec<Value>> = keys.into_values().collect();
        let found = tx.find_by_natural_key(collection, &values).await?;
        for (values, id) in values.iter().zip(found) {
            if let Some(id) = id {
                changed.entry(&collection.name).or_default().insert(id);
                let name = (collection.name.clone(), key_text(collection, values));
                loaded.natural_keys.insert(name, id);
            }
        }
    }
    for (name, ids) in &changed {
        let Some(collection) = schema.collection(name) else { continue };
        let ids: Vec<RecordId> = ids.iter().copied().collect();
        for (id, row) in tx.lock_rows(collection, &ids).await? {
            loaded.rows.insert(((*name).to_owned(), id), row);
        }
        loaded.conflicts.extend(tx.open_conflicts(name, &ids).await?);
        // A decision may have made, before these conflicts could be locked, what was not there yet.
        let missing: Vec<RecordId> = edited(mutations, name)
            .filter(|id| !loaded.rows.contains_key(&((*name).to_owned(), *id)))
            .collect();
        if !missing.is_empty() {
            for (id, row) in tx.lock_rows(collection, &missing).await? {
                loaded.rows.insert(((*name).to_owned(), id), row);
            }
        }
        let hidden = hidden(&loaded, collection, &ids);
        if !hidden.is_empty() {
            let lost = tx.once_held(user, collection, &hidden).await?;
            loaded.lost.extend(lost.into_iter().map(|id| ((*name).to_owned(), id)));
        }
    }
    for (name, ids) in references(mutations) {
        let Some(collection) = schema.collection(name) else { continue };
        let ids: Vec<RecordId> = ids
            .into_iter()
            .filter(|id| !loaded.rows.contains_key(&(name.to_owned(), *id)))
            .collect();
        if !ids.is_empty() {
            refer(tx, user, collection, &ids, &changed, &mut loaded).await?;
        }
    }
    if mutations.iter().any(|mutation| may_be_handed_over(&loaded, mutation, &changed)) {
        loaded.lost_scopes = tx.lost_scopes(user).await?;
    }
    surroundings::load(tx, schema, mutations, &mut loaded).await?;
    for writer in writers_under_review(&loaded, mutations) {
        if writer != stream
            && let Some(author) = tx.author_of(writer).await?
        {
            loaded.authors.insert(writer, author);
        }
    }
    Ok(loaded)
}

/// Records by collection.
type Records<'a> = BTreeMap<&'a str, BTreeSet<RecordId>>;

/// The records of a collection that mutations want to be there.
fn edited<'a>(
    mutations: &'a [&CheckedMutation<'_>],
    collection: &'a str,
) -> impl Iterator<Item = RecordId> + 'a {
    let edits = mutations.iter().filter(|mutation| mutation.kind != MutationKind::Insert);
    edits.filter(move |m| m.collection.name == collection).map(|mutation| mutation.record)
}

/// Reads rows that are referred to. The insertion of one that is not there may wait for a decision, and what
/// names it with it; so does what names one that its author held once.
async fn refer(
    tx: &mut dyn WriteTx,
    user: UserId,
    collection: &Collection,
    ids: &[RecordId],
    changed: &Records<'_>,
    loaded: &mut Loaded,
) -> Result<(), StoreError> {
    let name = &collection.name;
    let mut found = tx.rows(collection, ids).await?;
    let own = changed.get(name.as_str());
    let missing: Vec<RecordId> = ids
        .iter()
        .filter(|id| !found.contains_key(id) && own.is_none_or(|own| !own.contains(id)))
        .copied()
        .collect();
    if !missing.is_empty() {
        loaded.conflicts.extend(tx.open_conflicts(name, &missing).await?);
        // A decision may have made them before these could be locked.
        found.extend(tx.rows(collection, &missing).await?);
    }
    // What was made by a decision which was taken back is there, deleted, and its conflict is open again.
    let deleted: Vec<RecordId> =
        found.iter().filter(|(_, row)| row.meta.deleted.is_some()).map(|(id, _)| *id).collect();
    if !deleted.is_empty() {
        loaded.conflicts.extend(tx.open_conflicts(name, &deleted).await?);
    }
    let is_hidden = |(id, row): &(&RecordId, &StoredRow)| {
        let scopes = collection.scopes_of(**id, &row.fields);
        !scopes.iter().any(|scope| loaded.scopes.contains(scope))
    };
    let hidden: Vec<RecordId> = found.iter().filter(is_hidden).map(|(id, _)| *id).collect();
    if !hidden.is_empty() {
        let lost = tx.once_held(user, collection, &hidden).await?;
        loaded.lost.extend(lost.into_iter().map(|id| (name.clone(), id)));
    }
    let found = found.into_iter().map(|(id, row)| ((name.clone(), id), row));
    loaded.referenced.extend(found);
    Ok(())
}

/// Whether an edit may be one that waits because its author has lost something: then it matters what they held.
fn may_be_handed_over(
    loaded: &Loaded,
    mutation: &CheckedMutation<'_>,
    changed: &Records<'_>,
) -> bool {
    let collection = mutation.collection;
    if mutation.kind != MutationKind::Insert {
        let waits = |known: &Conflict| {
            known.record == mutation.record
                && known.collection == collection.name
                && !known.scopes.is_empty()
        };
        return loaded.conflicts.iter().any(waits);
    }
    if opens_a_scope(collection) {
        return false;
    }
    let named = mutation.edits.iter().filter_map(|(field, edit)| match edit {
        FieldEdit::Set(value) => Some((field.name.clone(), value.clone())),
        _ => None,
    });
    let scopes = collection.scopes_of(mutation.record, &named.collect());
    if !scopes.iter().all(|scope| loaded.scopes.contains(scope)) {
        return true;
    }
    mutation.edits.iter().any(|(field, edit)| {
        let FieldEdit::Set(Value::Uuid(id)) = edit else { return false };
        let Some(target) = referenced_collection(collection, &field.name) else { return false };
        let id = RecordId(*id);
        if changed.get(target).is_some_and(|own| own.contains(&id)) {
            // Its own insertion tells.
            return false;
        }
        let name = (target.to_owned(), id);
        let row = loaded.rows.get(&name).or_else(|| loaded.referenced.get(&name));
        let sees = |row: &StoredRow| {
            loaded.schema.collection(target).is_none_or(|target| {
                let scopes = target.scopes_of(id, &row.fields);
                row.meta.deleted.is_none() && scopes.iter().any(|s| loaded.scopes.contains(s))
            })
        };
        !row.is_some_and(sees)
    })
}

/// Those of the rows that are in no scope of the author's.
fn hidden(loaded: &Loaded, collection: &Collection, ids: &[RecordId]) -> Vec<RecordId> {
    let is_hidden = |id: &&RecordId| {
        let row = loaded.rows.get(&(collection.name.clone(), **id));
        row.is_some_and(|row| {
            let scopes = collection.scopes_of(**id, &row.fields);
            !scopes.iter().any(|scope| loaded.scopes.contains(scope))
        })
    };
    ids.iter().filter(is_hidden).copied().collect()
}

/// Natural keys of one collection, by their text; each key once.
type KeysOf<'a> = (&'a Collection, BTreeMap<Vec<String>, Vec<Value>>);

/// The natural keys that insertions name, by collection.
fn natural_keys<'a>(mutations: &[&CheckedMutation<'a>]) -> Vec<KeysOf<'a>> {
    let mut keys: BTreeMap<&str, KeysOf<'a>> = BTreeMap::new();
    for mutation in mutations.iter().filter(|m| m.kind == MutationKind::Insert) {
        if let Some(values) = natural_key(mutation) {
            let collection = mutation.collection;
            let entry =
                keys.entry(&collection.name).or_insert_with(|| (collection, BTreeMap::new()));
            entry.1.insert(key_text(collection, &values), values);
        }
    }
    keys.into_values().collect()
}

/// The values of the natural key that an insertion names, in the order of the key's fields.
pub(super) fn natural_key(mutation: &CheckedMutation<'_>) -> Option<Vec<Value>> {
    let key = mutation.collection.natural_key.as_ref()?;
    key.fields
        .iter()
        .map(|name| {
            let given = mutation.edits.iter().find(|(field, _)| field.name == *name);
            match given {
                Some((_, FieldEdit::Set(value))) => Some(value.clone()),
                _ => mutation.collection.field(name).map(|field| field.default_value()),
            }
        })
        .collect()
}

/// The collection that a column refers to.
pub(super) fn referenced_collection<'a>(
    collection: &'a Collection,
    field: &str,
) -> Option<&'a str> {
    if let Some(parent) = collection.parent.as_ref().filter(|parent| parent.field == field) {
        return Some(&parent.collection);
    }
    collection.field(field).and_then(|field| field.references.as_deref())
}

fn references<'a>(mutations: &[&CheckedMutation<'a>]) -> BTreeMap<&'a str, BTreeSet<RecordId>> {
    let mut references: BTreeMap<&str, BTreeSet<RecordId>> = BTreeMap::new();
    for mutation in mutations {
        for (field, edit) in &mutation.edits {
            if let FieldEdit::Set(Value::Uuid(id)) = edit
                && let Some(target) = referenced_collection(mutation.collection, &field.name)
            {
                references.entry(target).or_default().insert(RecordId(*id));
            }
        }
    }
    references
}

/// Streams that last changed a field under review which is edited now: a conflict names them.
fn writers_under_review(loaded: &Loaded, mutations: &[&CheckedMutation<'_>]) -> BTreeSet<StreamId> {
    let mut writers = BTreeSet::new();
    for mutation in mutations {
        let name = (mutation.collection.name.clone(), mutation.record);
        let Some(row) = loaded.rows.get(&name) else { continue };
        writers.extend(row.meta.deleted.map(|deletion| deletion.writer));
        for (field, _) in &mutation.edits {
            if field.merge == MergeRule::Review {
                writers.insert(row.meta.last_change(&field.name).writer);
            }
        }
    }
    writers.remove(&StreamId::SQL);
    writers
}
