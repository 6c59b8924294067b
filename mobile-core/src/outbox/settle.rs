//! Receipts arrive: what they change at once, and what only with a checkpoint.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use sync_protocol::RecordId;
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::{Mutation, MutationKind};
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome, Receipt, ReceiptState};

use super::alias;
use super::copy;
use super::entry::{self, Entry, State};
use crate::CoreError;
use crate::edit::fill_in;
use crate::store::rows::{self, Touched};

/// Whether a record came with a page or a checkpoint.
pub type Brought<'a> = &'a dyn Fn(RecordId) -> Result<bool, CoreError>;

/// A push's answer. What took effect stays in the view until the checkpoint that brings the rows; what
/// had no effect leaves it now. An edit that a pull has settled already is not changed: its receipt
/// came from a later moment.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn decided(db: &Connection, schema: &Schema, receipt: &Receipt) -> Result<(), CoreError> {
    let early = receipt.state == ReceiptState::Applied && planted::is(Bug::SettledBeforeRows);
    let leaves = matches!(
        receipt.state,
        ReceiptState::Refused | ReceiptState::HandedOver | ReceiptState::Discarded
    );
    let asks_for_rows = receipt.mutations.iter().any(|outcome| outcome.row.is_some());
    // Nearly all: what they edit need not be read for it.
    if !early && !leaves && !asks_for_rows && note_decided(db, receipt)? {
        return Ok(());
    }
    let Some(entry) = entry::get(db, receipt.id)? else { return Ok(()) };
    if entry.settled || is_put_off_and_taken_back(&entry, receipt) {
        return Ok(());
    }
    if early || leaves {
        let mut touched = Touched::new();
        settle(db, schema, receipt, &mut touched)?;
        return recompute(db, schema, &touched);
    }
    if entry.withdraw {
        show_again(db, schema, &entry)?;
    }
    let mut touched = Touched::new();
    hide_what_was_handed_over(db, &entry, receipt, &mut touched)?;
    recompute(db, schema, &touched)?;
    write_receipt(db, &entry, receipt, false)
}

/// Whether a mutation wants to make a record that its author may not see any more, and a person decides about
/// that, or has decided: it is not theirs to look at either, until it comes as the server's row.
#[must_use]
pub fn is_handed_over(mutation: &Mutation, outcome: &MutationOutcome) -> bool {
    mutation.kind == MutationKind::Insert
        && outcome.row.as_ref().is_some_and(|row| is_in_review(row) || is_decided(row))
        && !planted::is(Bug::HandedOverStaysSeen)
}

fn is_decided(outcome: &FieldOutcome) -> bool {
    matches!(outcome, FieldOutcome::Decided { .. })
}

fn is_in_review(outcome: &FieldOutcome) -> bool {
    matches!(outcome, FieldOutcome::InReview { .. })
}

fn hide_what_was_handed_over(
    db: &Connection,
    entry: &Entry,
    receipt: &Receipt,
    touched: &mut Touched,
) -> Result<(), CoreError> {
    for (index, (mutation, outcome)) in entry.mutations.iter().zip(&receipt.mutations).enumerate() {
        if is_handed_over(mutation, outcome) {
            take_out_of_view(db, entry.seq, i64::try_from(index).unwrap_or(i64::MAX))?;
            touched.insert((mutation.collection.clone(), mutation.record));
        }
    }
    Ok(())
}

/// Writes the receipt of an edit that is neither settled nor taken back. Answers whether there was one.
fn note_decided(db: &Connection, receipt: &Receipt) -> Result<bool, CoreError> {
    let noted = db
        .prepare_cached(
            "UPDATE campo_outbox SET state = ?2, receipt = ?3
             WHERE id = ?1 AND settled = 0 AND withdraw = 0",
        )?
        .execute(params![
            receipt.id.to_string(),
            State::from(receipt.state).as_str(),
            serde_json::to_string(receipt)?
        ])?;
    Ok(noted > 0)
}

/// The server did not keep what it puts off, so the author's word stands: the next push withdraws it.
fn is_put_off_and_taken_back(entry: &Entry, receipt: &Receipt) -> bool {
    entry.withdraw && receipt.state == ReceiptState::Parked
}

/// It was too late to take the edit back: it is in the view again, as any edit that was decided. Of one that a copied
/// database had discarded nothing is left there.
fn show_again(db: &Connection, schema: &Schema, entry: &Entry) -> Result<(), CoreError> {
    let mut touched: Touched = entry::records(db, entry.seq)?.into_iter().collect();
    let mut again = Vec::new();
    if touched.is_empty() {
        for made in &entry.mutations {
            again.push(as_of_now(db, schema, made, made.record)?);
        }
        touched.extend(again.iter().map(|now| (now.collection.clone(), now.record)));
    }
    for (collection, record) in &touched {
        if let Some(collection) = schema.collection(collection) {
            rows::keep_server_state(db, collection, *record)?;
        }
    }
    for (position, mut shown) in again.into_iter().enumerate() {
        let Some(collection) = schema.collection(&shown.collection) else { continue };
        fill_in(db, schema, collection, &mut shown)?;
        entry::show_mutation(db, entry.seq, position, &shown)?;
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
        let stays = entry.settled || is_put_off_and_taken_back(&entry, receipt);
        return if stays { Ok(()) } else { write_receipt(db, &entry, receipt, false) };
    }
    // What was refused may be discarded here. Of an edit that took effect only an older copy of this database can
    // have believed that nobody else had it.
    if entry.state == State::Discarded && has_no_effect(receipt.state) {
        return Ok(());
    }
    touched.extend(entry::records(db, entry.seq)?);
    match receipt.state {
        ReceiptState::InReview => keep_what_is_in_review(db, schema, &entry, receipt, touched)?,
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

fn has_no_effect(state: ReceiptState) -> bool {
    matches!(state, ReceiptState::Refused | ReceiptState::Parked | ReceiptState::Discarded)
}

/// Rows of a backfill, and of a delta before a backfill, come without the receipts that settle their
/// edits, but from a snapshot that is later than every answer that is here: what was decided with effect
/// is in them and leaves the view, or it would show twice. A record that an insertion was merged into
/// takes over from the one that was made here, or both would show. The caller writes and recomputes the
/// records that are added.
///
/// `brought` says whether a record came. It is asked for each open edit of the collection, which are few;
/// rows that come may be many.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`]; those of `brought`.
pub fn take_in(
    db: &Connection,
    schema: &Schema,
    collection: &str,
    brought: Brought<'_>,
    touched: &mut Touched,
) -> Result<(), CoreError> {
    for receipt in merged(db)? {
        let aliases = receipt.mutations.iter().filter(|outcome| outcome.collection == collection);
        for alias in aliases.filter_map(|outcome| outcome.alias) {
            if brought(alias)? {
                alias::take_over(db, schema, &receipt, touched)?;
                break;
            }
        }
    }
    let mut statement = db.prepare_cached(
        "SELECT m.record, m.seq, m.position
         FROM campo_mutation m JOIN campo_outbox o ON o.seq = m.seq
         WHERE m.collection = ?1 AND m.in_view = 1 AND o.settled = 0
           AND o.state IN ('applied', 'superseded')",
    )?;
    let decided: Vec<(String, i64, i64)> = statement
        .query_map([collection], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    if planted::is(Bug::BackfillShowsTwice) {
        return Ok(());
    }
    take_in_what_is_settled(db, collection, brought, touched)?;
    for (record, seq, position) in decided {
        let id = record.parse().map_err(|_| CoreError::Stored("record id".to_owned()))?;
        if brought(id)? {
            take_out_of_view(db, seq, position)?;
            touched.insert((collection.to_owned(), id));
        }
    }
    Ok(())
}

/// Of edits that are in review in part, the rest is in the rows as well.
fn take_in_what_is_settled(
    db: &Connection,
    collection: &str,
    brought: Brought<'_>,
    touched: &mut Touched,
) -> Result<(), CoreError> {
    let mut statement = db.prepare_cached(
        "SELECT m.seq, m.position, m.content, o.receipt
         FROM campo_mutation m JOIN campo_outbox o ON o.seq = m.seq
         WHERE m.collection = ?1 AND m.in_view = 1 AND o.settled = 0 AND o.state = 'in_review'",
    )?;
    let found: Vec<(i64, usize, String, String)> = statement
        .query_map([collection], |row| {
            let position: u32 = row.get(1)?;
            Ok((row.get(0)?, position as usize, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Ok(());
    }
    for (seq, position, content, receipt) in found {
        let mutation: Mutation = serde_json::from_str(&content)?;
        let receipt: Receipt = serde_json::from_str(&receipt)?;
        if receipt.held || !brought(mutation.record)? {
            continue;
        }
        let Some(outcome) = receipt.mutations.get(position) else { continue };
        touched.insert((collection.to_owned(), mutation.record));
        match in_review(mutation, outcome) {
            Some(left) => entry::show_mutation(db, seq, position, &left)?,
            None => take_out_of_view(db, seq, i64::try_from(position).unwrap_or(i64::MAX))?,
        }
    }
    Ok(())
}

fn take_out_of_view(db: &Connection, seq: i64, position: i64) -> Result<(), CoreError> {
    db.prepare_cached("UPDATE campo_mutation SET in_view = 0 WHERE seq = ?1 AND position = ?2")?
        .execute([seq, position])?;
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
    // The server has it now; only what was refused may still be corrected.
    if settled && receipt.state != ReceiptState::Refused {
        copy::remove(db, entry.seq)?;
    } else if settled && entry.withdraw {
        // It lost its copy when its author took it back, which was too late.
        copy::write(db, entry.seq)?;
    }
    Ok(())
}

/// Leaves in the view what a person still decides on. A decision that was taken back brings the author's
/// value into the view again: it is in review once more.
fn keep_what_is_in_review(
    db: &Connection,
    schema: &Schema,
    entry: &Entry,
    receipt: &Receipt,
    touched: &mut Touched,
) -> Result<(), CoreError> {
    if receipt.held || receipt.mutations.is_empty() {
        return hide_what_was_handed_over(db, entry, receipt, touched);
    }
    let mut statement =
        db.prepare_cached("SELECT position, content FROM campo_mutation WHERE seq = ?1")?;
    let mut shown: BTreeMap<i64, Mutation> = BTreeMap::new();
    let mut found = statement.query([entry.seq])?;
    while let Some(row) = found.next()? {
        let content = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        shown.insert(row.get(0)?, serde_json::from_str(content)?);
    }
    drop(found);
    for ((index, outcome), position) in receipt.mutations.iter().enumerate().zip(0..) {
        let known = shown.remove(&position);
        let Some(made) = entry.mutations.get(index) else { continue };
        let mutation = match known {
            Some(shown) if is_whole(&shown, made) => shown,
            known => {
                let named = outcome.alias.unwrap_or(outcome.record);
                let made = as_of_now(db, schema, made, named)?;
                known.map(|shown| completed(shown, &made)).unwrap_or(made)
            }
        };
        let Some(left) = in_review(mutation, outcome) else {
            db.prepare_cached("DELETE FROM campo_mutation WHERE seq = ?1 AND position = ?2")?
                .execute(params![entry.seq, position])?;
            continue;
        };
        // It may have been out of the view, because the row that came first had what was decided until then.
        if let Some(collection) = schema.collection(&left.collection) {
            rows::keep_server_state(db, collection, left.record)?;
        }
        touched.insert((left.collection.clone(), left.record));
        entry::show_mutation(db, entry.seq, index, &left)?;
    }
    Ok(())
}

/// A mutation as it reads by now: its record, which somebody named so, or one that it refers to, may have been
/// merged into another one since.
fn as_of_now(
    db: &Connection,
    schema: &Schema,
    made: &Mutation,
    record: RecordId,
) -> Result<Mutation, CoreError> {
    let mut now = Mutation { record, ..made.clone() };
    if let Some(collection) = schema.collection(&now.collection) {
        now.record = alias::present(db, collection, record)?;
        alias::refer_to_present(db, schema, collection, &mut now.set)?;
    }
    Ok(now)
}

/// Whether nothing was taken out of what is shown of a mutation.
fn is_whole(shown: &Mutation, made: &Mutation) -> bool {
    made.set.keys().all(|field| shown.set.contains_key(field))
        && made.add.keys().all(|field| shown.add.contains_key(field))
        && made.elements.keys().all(|field| shown.elements.contains_key(field))
        && made.base.keys().all(|field| shown.base.contains_key(field))
        && made.seen.keys().all(|field| shown.seen.contains_key(field))
}

/// What is shown of a mutation, with what was taken out of it when it was decided.
fn completed(shown: Mutation, made: &Mutation) -> Mutation {
    let (mut set, mut add) = (made.set.clone(), made.add.clone());
    let (mut elements, mut base) = (made.elements.clone(), made.base.clone());
    let mut seen = made.seen.clone();
    // What is shown has other ids where records were merged.
    set.extend(shown.set);
    add.extend(shown.add);
    elements.extend(shown.elements);
    base.extend(shown.base);
    seen.extend(shown.seen);
    Mutation { set, add, elements, base, seen, ..shown }
}

/// The part of a mutation that a person still decides on.
#[must_use]
pub fn in_review(mut mutation: Mutation, outcome: &MutationOutcome) -> Option<Mutation> {
    if is_handed_over(&mutation, outcome) {
        return None;
    }
    if outcome.row.as_ref().is_some_and(is_in_review) {
        return Some(mutation);
    }
    let is_open = |field: &String| outcome.fields.get(field).is_some_and(is_in_review);
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
    fn of_an_undone_decision_everything_that_is_open_is_shown_again() {
        let record = "01970000-0000-7000-8000-000000000001";
        let read = "well formed";
        let made = json!({
            "collection": "articulos", "record": record, "kind": "insert",
            "set": { "medida": "2.00", "nombre": "a" }, "seen": { "nombre": "b" }
        });
        let made: Mutation = serde_json::from_value(made).expect(read);
        let mut shown = Mutation { kind: MutationKind::Update, ..made.clone() };
        shown.set.remove("nombre");
        shown.seen.clear();
        let open = json!({ "outcome": "in_review", "conflict": record });
        let outcome = json!({
            "collection": "articulos", "record": record,
            "fields": { "medida": open, "nombre": open }
        });
        let outcome = serde_json::from_value(outcome).expect(read);
        let left = in_review(completed(shown, &made), &outcome).expect("both are open");
        assert_eq!((left.kind, left.set, left.seen), (MutationKind::Update, made.set, made.seen));
    }

    #[test]
    fn of_an_insertion_in_review_a_change_of_the_row_is_left() {
        assert_eq!(left_of("insert").kind, MutationKind::Update);
    }
}
