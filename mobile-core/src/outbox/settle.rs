//! Receipts arrive: what they change at once, and what only with a checkpoint.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use sync_protocol::RecordId;
use sync_protocol::schema::Schema;
use sync_protocol::wire::pull::PageTable;
use sync_protocol::wire::push::{Mutation, MutationKind};
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
    if entry.withdraw {
        show_again(db, schema, &entry)?;
    }
    write_receipt(db, &entry, receipt, false)
}

/// It was too late to take the edit back: it is in the view again, as any edit that was decided.
fn show_again(db: &Connection, schema: &Schema, entry: &Entry) -> Result<(), CoreError> {
    let touched: Touched = entry::records(db, entry.seq)?.into_iter().collect();
    for (collection, record) in &touched {
        if let Some(collection) = schema.collection(collection) {
            rows::keep_server_state(db, collection, *record)?;
        }
    }
    db.prepare_cached("UPDATE campo_mutation SET in_view = 1 WHERE seq = ?1")?
        .execute([entry.seq])?;
    recompute(db, schema, &touched)
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

/// Rows of a backfill come without the checkpoint that settles their edits, but from a snapshot that
/// is later than every answer that is here: what was decided with effect is in them and leaves the
/// view, or it would show twice. A record that an insertion was merged into takes over from the one that
/// was made here, or both would show. The caller writes and recomputes the records that are added.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn take_in(
    db: &Connection,
    schema: &Schema,
    table: &PageTable,
    touched: &mut Touched,
) -> Result<(), CoreError> {
    for receipt in merged(db)? {
        let came = |outcome: &MutationOutcome| {
            outcome.collection == table.collection
                && outcome.alias.is_some_and(|alias| table.ids.contains(&alias))
        };
        if receipt.mutations.iter().any(came) {
            alias::take_over(db, schema, &receipt, touched)?;
        }
    }
    let mut statement = db.prepare_cached(
        "SELECT DISTINCT m.record FROM campo_mutation m JOIN campo_outbox o ON o.seq = m.seq
         WHERE m.collection = ?1 AND m.in_view = 1 AND o.settled = 0
           AND o.state IN ('applied', 'superseded')",
    )?;
    let decided: BTreeSet<String> =
        statement.query_map([&table.collection], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if decided.is_empty() {
        return Ok(());
    }
    for id in table.ids.iter().chain(&table.exits) {
        let record = id.to_string();
        if !decided.contains(&record) {
            continue;
        }
        db.prepare_cached(
            "UPDATE campo_mutation SET in_view = 0
             WHERE collection = ?1 AND record = ?2 AND seq IN (SELECT seq FROM campo_outbox
               WHERE settled = 0 AND state IN ('applied', 'superseded'))",
        )?
        .execute(params![table.collection, record])?;
        touched.insert((table.collection.clone(), *id));
    }
    Ok(())
}

/// Receipts of edits that are decided and not settled, with an insertion that was merged into another
/// record.
fn merged(db: &Connection) -> Result<Vec<Receipt>, CoreError> {
    let mut statement = db.prepare_cached(
        "SELECT receipt FROM campo_outbox WHERE settled = 0 AND state IN ('applied', 'superseded')
           AND instr(receipt, '\"alias\"') > 0",
    )?;
    let texts: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    texts.iter().map(|text| Ok(serde_json::from_str(text)?)).collect()
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
        "UPDATE campo_outbox SET state = ?2, receipt = ?3, settled = ?4, withdraw = 0 WHERE seq = ?1",
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
                    "UPDATE campo_mutation SET content = ?3, kind = ?4, in_view = 1
                     WHERE seq = ?1 AND position = ?2",
                )?
                .execute(params![
                    entry.seq,
                    position,
                    serde_json::to_string(&left)?,
                    entry::kind_name(left.kind)
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
    // What is settled must not speak for later edits of the same fields.
    mutation.base.retain(|field, _| is_open(field));
    mutation.seen.retain(|field, _| is_open(field));
    if mutation.kind == MutationKind::Insert {
        // The row is there: what is left only changes it.
        mutation.kind = MutationKind::Update;
    }
    let left = mutation.set.len() + mutation.add.len() + mutation.elements.len();
    (left > 0).then_some(mutation)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn left_of(kind: &str) -> Mutation {
        let record = "01970000-0000-7000-8000-000000000001";
        let mutation = json!({
            "collection": "articulos", "record": record, "kind": kind,
            "set": { "medida": "2.00", "nombre": "a" },
            "base": { "medida": 3, "nombre": 3 }, "seen": { "medida": null, "nombre": "b" }
        });
        let outcome = json!({
            "collection": "articulos", "record": record,
            "fields": { "medida": { "outcome": "in_review", "conflict": record } }
        });
        let read = "well formed";
        let mutation = serde_json::from_value(mutation).expect(read);
        in_review(mutation, &serde_json::from_value(outcome).expect(read)).expect("one is open")
    }

    #[test]
    fn of_an_edit_in_review_only_the_open_field_speaks_for_later_edits() {
        let left = left_of("update");
        let names = |map: Vec<&String>| map.into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(names(left.set.keys().collect()), ["medida"]);
        assert_eq!(names(left.base.keys().collect()), ["medida"]);
        assert_eq!(names(left.seen.keys().collect()), ["medida"]);
    }

    #[test]
    fn of_an_insertion_in_review_a_change_of_the_row_is_left() {
        assert_eq!(left_of("insert").kind, MutationKind::Update);
    }
}
