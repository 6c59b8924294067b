//! Records that the server merged into others (natural keys, `adopt`).
//!
//! The receipt of the insertion names the record that it became. With the checkpoint that brings that
//! record, everything on the device that used the id it was given here takes the other one. What may
//! have been sent goes on under the old id, which the server knows too: an id that comes again with
//! other content would be refused. A refused edit is renamed as well: its correction goes under a new
//! id, when nothing of it leads to the insertion's receipt any more.
//!
//! An app may go on naming the record as it knew it, on a screen that was open meanwhile: [`present`] finds
//! the id that it has now, because the server knows the old one only of edits that build on the insertion.

use rusqlite::{Connection, params};
use serde_json::{Map, Value as Json};
use sync_protocol::RecordId;
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::{Collection, Field, Schema};
use sync_protocol::wire::push::Mutation;
use sync_protocol::wire::receipt::Receipt;

use super::copy;
use crate::CoreError;
use crate::store::rows::{self, Touched};
use crate::store::{checksum, tables};

/// Renames the records that a settled receipt says were merged into others.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn take_over(
    db: &Connection,
    schema: &Schema,
    receipt: &Receipt,
    touched: &mut Touched,
) -> Result<(), CoreError> {
    if planted::is(Bug::AliasIgnored) {
        return Ok(());
    }
    for outcome in &receipt.mutations {
        if let Some(target) = outcome.alias {
            rename(db, schema, &outcome.collection, (outcome.record, target), touched)?;
        }
    }
    Ok(())
}

/// The id that a record goes by here: where it is not here under its own, that of the record which it was
/// merged into.
///
/// Reads the receipts of all mergers, but only for a record that is not here.
///
/// # Errors
/// Those of SQLite.
pub fn present(
    db: &Connection,
    collection: &Collection,
    record: RecordId,
) -> Result<RecordId, CoreError> {
    let table = tables::quoted(&collection.name);
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE id = ?1)");
    let text = record.to_string();
    let shown = db.prepare_cached(&sql)?.query_row([&text], |row| row.get(0))?;
    if shown || rows::has_edits(db, &collection.name, record)? {
        return Ok(record);
    }
    let mut statement = db.prepare_cached(
        "SELECT receipt FROM campo_outbox
         WHERE instr(receipt, '\"alias\"') > 0 AND instr(receipt, ?1) > 0 ORDER BY seq DESC",
    )?;
    let mut found = statement.query([&text])?;
    while let Some(row) = found.next()? {
        // One that cannot be read is for `verify` to mend.
        let receipt =
            row.get_ref(0)?.as_str().ok().and_then(|json| serde_json::from_str(json).ok());
        let Some(receipt): Option<Receipt> = receipt else { continue };
        let merged = receipt
            .mutations
            .iter()
            .find(|outcome| (&outcome.collection, outcome.record) == (&collection.name, record));
        if let Some(alias) = merged.and_then(|outcome| outcome.alias) {
            return Ok(alias);
        }
    }
    Ok(record)
}

/// Gives references to other records the ids that these go by here, as [`present`] finds them.
///
/// # Errors
/// Those of SQLite.
pub fn refer_to_present(
    db: &Connection,
    schema: &Schema,
    collection: &Collection,
    fields: &mut Map<String, Json>,
) -> Result<(), CoreError> {
    for (name, value) in fields {
        let target = collection.field(name).and_then(|field| referred_to(collection, field));
        let target = target.and_then(|target| schema.collection(target));
        let id = value.as_str().and_then(|text| text.parse().ok());
        if let (Some(target), Some(id)) = (target, id) {
            let present = present(db, target, id)?;
            if present != id {
                *value = present.to_string().into();
            }
        }
    }
    Ok(())
}

/// The collection that a field of another one names a record of.
#[must_use]
pub fn referred_to<'c>(collection: &'c Collection, field: &'c Field) -> Option<&'c str> {
    let parent = collection.parent.as_ref().filter(|parent| parent.field == field.name);
    field.references.as_deref().or_else(|| parent.map(|parent| parent.collection.as_str()))
}

fn rename(
    db: &Connection,
    schema: &Schema,
    collection: &str,
    (old, new): (RecordId, RecordId),
    touched: &mut Touched,
) -> Result<(), CoreError> {
    // Few transactions are open when this happens; the ids are found as text first.
    let mut statement = db.prepare_cached(
        "SELECT seq, position, content FROM campo_mutation WHERE instr(content, ?1) > 0",
    )?;
    let shown: Vec<(i64, i64, String)> = statement
        .query_map([old.to_string()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (seq, position, content) in shown {
        let mut mutation: Mutation = serde_json::from_str(&content)?;
        touched.insert((mutation.collection.clone(), mutation.record));
        if !rename_in(schema, collection, (old, new), &mut mutation) {
            continue;
        }
        if let Some(known) = schema.collection(&mutation.collection) {
            rows::keep_server_state(db, known, mutation.record)?;
        }
        touched.insert((mutation.collection.clone(), mutation.record));
        let content = serde_json::to_string(&mutation)?;
        db.prepare_cached(
            "UPDATE campo_mutation SET content = ?3, record = ?4, checksum = ?5
             WHERE seq = ?1 AND position = ?2",
        )?
        .execute(params![
            seq,
            position,
            content,
            mutation.record.to_string(),
            checksum::of_text(&content),
        ])?;
    }
    let mut statement = db.prepare_cached(concat!(
        "SELECT seq, mutations FROM campo_outbox
         WHERE seq IN (SELECT seq FROM campo_outbox WHERE settled = 0 AND maybe_sent = 0
             UNION ALL SELECT seq FROM campo_outbox WHERE ",
        is_problem!(),
        " AND state = 'refused' AND replaced_by IS NULL)
           AND instr(mutations, ?1) > 0",
    ))?;
    let unsent: Vec<(i64, String)> = statement
        .query_map([old.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (seq, mutations) in unsent {
        let mut mutations: Vec<Mutation> = serde_json::from_str(&mutations)?;
        for mutation in &mut mutations {
            rename_in(schema, collection, (old, new), mutation);
        }
        db.prepare_cached("UPDATE campo_outbox SET mutations = ?2 WHERE seq = ?1")?
            .execute(params![seq, serde_json::to_string(&mutations)?])?;
        copy::write(db, seq)?;
    }
    Ok(())
}

fn rename_in(
    schema: &Schema,
    collection: &str,
    (old, new): (RecordId, RecordId),
    mutation: &mut Mutation,
) -> bool {
    let mut changed = false;
    if mutation.collection == collection && mutation.record == old {
        mutation.record = new;
        changed = true;
    }
    let Some(known) = schema.collection(&mutation.collection) else { return changed };
    for field in &known.fields {
        if referred_to(known, field) != Some(collection) {
            continue;
        }
        if let Some(value) = mutation.set.get_mut(&field.name)
            && value.as_str().is_some_and(|text| text.parse() == Ok(old))
        {
            *value = new.to_string().into();
            changed = true;
        }
    }
    changed
}
