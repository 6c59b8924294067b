//! Receipts arrive: what they change at once, and what only with a checkpoint.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use sync_protocol::RecordId;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::Mutation;
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome, Receipt, ReceiptState};

use super::alias;
use super::entry::{self, Entry, State};
use crate::CoreError;
use crate::store::rows;

/// Records whose view has to be computed anew.
pub type Touched = BTreeSet<(String, RecordId)>;

/// A push's answer. What took effect stays in the view until the checkpoint that brings the rows; what
/// had no effect leaves it now. An edit that a pull has settled already is not changed: its receipt
/// came from a later moment.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn decided(db: &Connection, schema: &Schema, receipt: &Receipt) -> Result<(), CoreError> {
    let Some(entry) = entry::get(db, receipt.id)? else { return Ok(()) };
    if entry.settled {
        return Ok(());
    }
    if matches!(
        receipt.state,
        ReceiptState::Refused | ReceiptState::HandedOver | ReceiptState::Discarded
    ) {
        let mut touched = Touched::new();
        settle(db, schema, receipt, &mut touched)?;
        return recompute(db, schema, &touched);
    }
    write_receipt(db, &entry, receipt, false)
}

/// A receipt from a pull, as of the rows that come with it: the edit leaves the view, but for fields
/// that a person decides on. Adds the records that the caller has to recompute.
///
/// A receipt that nobody here asked for (of a database that was restored) is left out.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn settle(
    db: &Connection,
    schema: &Schema,
    receipt: &Receipt,
    touched: &mut Touched,
) -> Result<(), CoreError> {
    let Some(entry) = entry::get(db, receipt.id)? else { return Ok(()) };
    if receipt.state == ReceiptState::Parked {
        // Not settled: it is sent again after the correction of what it builds on.
        return if entry.settled { Ok(()) } else { write_receipt(db, &entry, receipt, false) };
    }
    if entry.state == State::Discarded {
        return Ok(());
    }
    touched.extend(entry::records(db, entry.seq)?);
    match receipt.state {
        ReceiptState::InReview => keep_what_is_in_review(db, &entry, receipt)?,
        ReceiptState::Refused if entry.replaced_by.is_none() => {
            db.prepare_cached("UPDATE campo_mutation SET in_view = 0 WHERE seq = ?1")?
                .execute([entry.seq])?;
        }
        _ => {
            db.prepare_cached("DELETE FROM campo_mutation WHERE seq = ?1")?.execute([entry.seq])?;
        }
    }
    alias::take_over(db, schema, receipt, touched)?;
    write_receipt(db, &entry, receipt, true)
}

/// Computes the view of records anew.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn recompute(db: &Connection, schema: &Schema, touched: &Touched) -> Result<(), CoreError> {
    for (collection, record) in touched {
        if let Some(collection) = schema.collection(collection) {
            rows::recompute(db, collection, *record)?;
        }
    }
    Ok(())
}

fn write_receipt(
    db: &Connection,
    entry: &Entry,
    receipt: &Receipt,
    settled: bool,
) -> Result<(), CoreError> {
    db.prepare_cached(
        "UPDATE campo_outbox SET state = ?2, receipt = ?3, settled = ?4 WHERE seq = ?1",
    )?
    .execute(params![
        entry.seq,
        State::from(receipt.state).as_str(),
        serde_json::to_string(receipt)?,
        settled
    ])?;
    Ok(())
}

fn keep_what_is_in_review(
    db: &Connection,
    entry: &Entry,
    receipt: &Receipt,
) -> Result<(), CoreError> {
    if receipt.held || receipt.mutations.is_empty() {
        return Ok(());
    }
    let mut statement =
        db.prepare_cached("SELECT position, content FROM campo_mutation WHERE seq = ?1")?;
    let shown: Vec<(i64, String)> = statement
        .query_map([entry.seq], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (position, content) in shown {
        let mutation: Mutation = serde_json::from_str(&content)?;
        let outcome = usize::try_from(position).ok().and_then(|i| receipt.mutations.get(i));
        match outcome.and_then(|outcome| in_review(mutation, outcome)) {
            Some(left) => {
                db.prepare_cached(
                    "UPDATE campo_mutation SET content = ?3 WHERE seq = ?1 AND position = ?2",
                )?
                .execute(params![
                    entry.seq,
                    position,
                    serde_json::to_string(&left)?
                ])?;
            }
            None => {
                db.prepare_cached("DELETE FROM campo_mutation WHERE seq = ?1 AND position = ?2")?
                    .execute(params![entry.seq, position])?;
            }
        }
    }
    Ok(())
}

/// The part of a mutation that a person still decides on.
#[must_use]
pub fn in_review(mut mutation: Mutation, outcome: &MutationOutcome) -> Option<Mutation> {
    let open = |outcome: &FieldOutcome| matches!(outcome, FieldOutcome::InReview { .. });
    if outcome.row.as_ref().is_some_and(open) {
        return Some(mutation);
    }
    let is_open = |field: &String| outcome.fields.get(field).is_some_and(open);
    mutation.set.retain(|field, _| is_open(field));
    mutation.add.retain(|field, _| is_open(field));
    mutation.elements.retain(|field, _| is_open(field));
    let left = mutation.set.len() + mutation.add.len() + mutation.elements.len();
    (left > 0).then_some(mutation)
}
