//! Problems are solved by their author: correct and send again, or discard.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use serde_json::{Map, Value as Json};
use sync_protocol::ReceiptId;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::{Mutation, MutationKind};

use super::entry::{self, Entry, State};
use super::settle;
use super::{copy, list, parking};
use crate::CoreError;
use crate::clock::Reading;
use crate::edit::{builds_on, fill_in, known_collection, note_what_was_seen, wanted};
use crate::random::Random;
use crate::store::rows::{self, Touched};

/// Who corrects, with what.
pub struct Author<'a> {
    /// What they may do.
    pub permissions: &'a BTreeSet<String>,
    /// Source of the new transaction's id.
    pub random: &'a dyn Random,
    /// The clocks now.
    pub now: Reading,
}

/// Makes a new transaction in the place of a refused one: the same edits, with `correction` (values
/// by field) over those of the mutation that the problem is about. What builds on the refused one
/// builds on the new one from now on and is sent after it. If the correction uses something that was
/// made later, it is sent after that.
///
/// For a parked transaction nothing is to be corrected; it goes on by itself.
///
/// # Errors
/// [`CoreError::WrongState`] unless it is refused and not replaced; or what is wrong with the
/// correction.
pub fn retry(
    db: &Connection,
    schema: &Schema,
    author: &Author<'_>,
    id: ReceiptId,
    correction: Option<&Map<String, Json>>,
) -> Result<ReceiptId, CoreError> {
    let old = find(db, id)?;
    if old.state != State::Refused || old.replaced_by.is_some() {
        let reason = match (old.state, old.replaced_by) {
            (_, Some(by)) => format!("it was corrected by {by} already"),
            (State::Parked, _) => {
                "it goes on by itself when what it builds on is corrected".to_owned()
            }
            _ => "only refused edits can be corrected".to_owned(),
        };
        return Err(wrong_state(&old, reason));
    }
    let mut mutations = old.mutations.clone();
    // The author has seen the present rows only if they look at them again to correct something.
    let made = if correction.is_some() { author.now.clone() } else { old.made.clone() };
    if let Some(correction) = correction {
        let index =
            list::problem_of(&old).and_then(|p| p.at).and_then(|at| at.mutation).unwrap_or(0);
        let Some(mutation) = mutations.get_mut(index) else {
            return Err(CoreError::BadRequest("the transaction is empty".to_owned()));
        };
        correct(db, schema, author, mutation, correction)?;
    }
    let heirs = all_heirs(db, old.id)?;
    let builds_on = bases(db, schema, &old, &mutations, correction.is_some(), &heirs)?;
    let new = ReceiptId(author.random.uuid()?);
    let seq = entry::begin(db, new, &made)?;
    entry::complete(db, seq, &mutations, &builds_on, old.position)?;
    let ord = make_place(db, &old, &builds_on, &heirs)?;
    db.execute(
        "UPDATE campo_outbox SET ord = ?2, replaces = ?3 WHERE seq = ?1",
        params![seq, ord, old.id.to_string()],
    )?;
    copy::write(db, seq)?;
    if correction.is_none() {
        db.execute(
            "UPDATE campo_outbox SET edited_us = o.edited_us, uncertain = o.uncertain
             FROM (SELECT edited_us, uncertain FROM campo_outbox WHERE seq = ?2) AS o
             WHERE campo_outbox.seq = ?1",
            params![seq, old.seq],
        )?;
    }
    db.execute(
        "UPDATE campo_outbox SET replaced_by = ?2 WHERE seq = ?1",
        params![old.seq, new.to_string()],
    )?;
    db.execute("DELETE FROM campo_mutation WHERE seq = ?1", [old.seq])?;
    copy::remove(db, old.seq)?;
    let mut touched = Touched::new();
    for (position, mutation) in mutations.iter().enumerate() {
        let collection = known_collection(schema, &mutation.collection)?;
        rows::keep_server_state(db, collection, mutation.record)?;
        let mut shown = mutation.clone();
        fill_in(db, schema, collection, &mut shown)?;
        entry::show_mutation(db, seq, position, &shown)?;
        touched.insert((mutation.collection.clone(), mutation.record));
    }
    rebuild_on(db, id, Some(new))?;
    parking::refresh(db)?;
    settle::recompute(db, schema, &touched)?;
    Ok(new)
}

/// What the correction builds on: what the old one did, and records and edits that were made after it
/// and that the correction uses or its author has seen, but never what builds on the old one itself.
fn bases(
    db: &Connection,
    schema: &Schema,
    old: &Entry,
    mutations: &[Mutation],
    corrected: bool,
    heirs: &[Entry],
) -> Result<Vec<ReceiptId>, CoreError> {
    let mut found: BTreeSet<ReceiptId> = old.builds_on.iter().copied().collect();
    let seen_until = if corrected { i64::MAX } else { old.ord };
    for mutation in mutations {
        let collection = known_collection(schema, &mutation.collection)?;
        found.extend(builds_on(db, schema, collection, mutation, old.seq, seen_until)?);
    }
    found.retain(|id| *id != old.id && heirs.iter().all(|heir| heir.id != *id));
    Ok(found.into_iter().collect())
}

/// The place of a correction in the order: that of the old one, unless it builds on something later.
/// Then it comes right after that, and what builds on it after it.
fn make_place(
    db: &Connection,
    old: &Entry,
    builds_on: &[ReceiptId],
    heirs: &[Entry],
) -> Result<i64, CoreError> {
    let mut last = old.ord;
    for id in builds_on {
        last = last.max(entry::get(db, *id)?.map_or(0, |base| base.ord));
    }
    if last == old.ord {
        return Ok(last);
    }
    let moved: Vec<&Entry> = heirs.iter().filter(|heir| heir.ord <= last).collect();
    let count = i64::try_from(moved.len()).unwrap_or(i64::MAX);
    db.execute("UPDATE campo_outbox SET ord = ord + ?1 + 1 WHERE ord > ?2", [count, last])?;
    for (ord, heir) in (last + 2..).zip(moved) {
        db.execute("UPDATE campo_outbox SET ord = ?2 WHERE seq = ?1", [heir.seq, ord])?;
    }
    Ok(last + 1)
}

/// What builds on a transaction, directly or through others, in the order of sending.
fn all_heirs(db: &Connection, id: ReceiptId) -> Result<Vec<Entry>, CoreError> {
    let mut known = BTreeSet::from([id]);
    let mut heirs = Vec::new();
    entry::list(db, "settled = 0 AND builds_on <> '[]'", |entry| {
        if entry.builds_on.iter().any(|id| known.contains(id)) {
            known.insert(entry.id);
            heirs.push(entry);
        }
        Ok(true)
    })?;
    Ok(heirs)
}

fn correct(
    db: &Connection,
    schema: &Schema,
    author: &Author<'_>,
    mutation: &mut Mutation,
    correction: &Map<String, Json>,
) -> Result<(), CoreError> {
    let collection = known_collection(schema, &mutation.collection)?;
    match mutation.kind {
        MutationKind::Insert => {
            let mut set = mutation.set.clone();
            set.extend(correction.clone());
            mutation.set = wanted::insertion(collection, author.permissions, &set)?;
        }
        MutationKind::Update => {
            let row = rows::read(db, collection, mutation.record)?.ok_or_else(|| {
                CoreError::NoSuchRecord {
                    collection: collection.name.clone(),
                    record: mutation.record,
                }
            })?;
            for field in correction.keys() {
                mutation.set.remove(field);
                mutation.add.remove(field);
                mutation.elements.remove(field);
                mutation.base.remove(field);
                mutation.seen.remove(field);
            }
            let permissions = author.permissions;
            wanted::update(collection, permissions, &row.fields, correction, mutation)?;
            let earlier = rows::edits_in_view(db, &collection.name, mutation.record)?;
            let names: Vec<String> = correction.keys().cloned().collect();
            note_what_was_seen(collection, &row, &earlier, &names, mutation);
        }
        MutationKind::Delete | MutationKind::Restore => {
            return Err(CoreError::BadRequest(
                "a deletion or restoration has no fields to correct: retry it without any"
                    .to_owned(),
            ));
        }
    }
    Ok(())
}

/// Takes back an edit. One that the server does not have (it waits, is parked, or was refused) is
/// discarded at once. One that may have been sent leaves the view and is withdrawn with the next push:
/// then the server says whether in time, or what had become of it.
///
/// # Errors
/// [`CoreError::WrongState`] in other states, [`CoreError::HasHeirs`] when later edits need the record
/// that it makes.
pub fn discard(db: &Connection, schema: &Schema, id: ReceiptId) -> Result<(), CoreError> {
    let entry = find(db, id)?;
    let reason = match entry.state {
        State::Refused if entry.replaced_by.is_some() => Some("it was corrected already"),
        State::Refused | State::Parked | State::Waiting | State::Sending => None,
        State::Discarded => Some("nothing is left to take back"),
        _ => Some("the server has it; make a new edit instead"),
    };
    if let Some(reason) = reason {
        return Err(wrong_state(&entry, reason.to_owned()));
    }
    let heirs = heirs(db, id)?;
    let makes_record = entry.mutations.iter().any(|m| m.kind == MutationKind::Insert);
    if makes_record && !heirs.is_empty() {
        return Err(CoreError::HasHeirs { heirs: heirs.iter().map(|heir| heir.id).collect() });
    }
    let touched: Touched = entry::records(db, entry.seq)?.into_iter().collect();
    if entry.maybe_sent && matches!(entry.state, State::Waiting | State::Sending) {
        // Nothing new may build on it. It comes back if it was too late.
        db.execute("UPDATE campo_mutation SET in_view = 0 WHERE seq = ?1", [entry.seq])?;
        db.execute("UPDATE campo_outbox SET withdraw = 1 WHERE seq = ?1", [entry.seq])?;
        copy::remove(db, entry.seq)?;
        return settle::recompute(db, schema, &touched);
    }
    db.execute("DELETE FROM campo_mutation WHERE seq = ?1", [entry.seq])?;
    db.execute(
        "UPDATE campo_outbox SET state = 'discarded', settled = 1 WHERE seq = ?1",
        [entry.seq],
    )?;
    copy::remove(db, entry.seq)?;
    let_heirs_go(db, entry.id)?;
    parking::refresh(db)?;
    settle::recompute(db, schema, &touched)
}

/// What builds on a discarded transaction builds on what that was built on.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn let_heirs_go(db: &Connection, discarded: ReceiptId) -> Result<(), CoreError> {
    let Some(entry) = entry::get(db, discarded)? else { return Ok(()) };
    for heir in heirs(db, discarded)? {
        replace(db, &heir, discarded, &entry.builds_on)?;
    }
    Ok(())
}

fn find(db: &Connection, id: ReceiptId) -> Result<Entry, CoreError> {
    entry::get(db, id)?.ok_or(CoreError::NoSuchReceipt(id))
}

fn wrong_state(entry: &Entry, reason: String) -> CoreError {
    let state = entry.state.as_str().replace('_', " ");
    CoreError::WrongState { receipt: entry.id, state, reason }
}

fn heirs(db: &Connection, id: ReceiptId) -> Result<Vec<Entry>, CoreError> {
    let mut heirs = Vec::new();
    entry::list(db, "settled = 0 AND builds_on <> '[]'", |entry| {
        if entry.builds_on.contains(&id) {
            heirs.push(entry);
        }
        Ok(true)
    })?;
    Ok(heirs)
}

/// Lets what builds on `old` build on `new`, or on nothing.
fn rebuild_on(db: &Connection, old: ReceiptId, new: Option<ReceiptId>) -> Result<(), CoreError> {
    let new: Vec<ReceiptId> = new.into_iter().collect();
    for heir in heirs(db, old)? {
        replace(db, &heir, old, &new)?;
    }
    Ok(())
}

fn replace(
    db: &Connection,
    heir: &Entry,
    old: ReceiptId,
    new: &[ReceiptId],
) -> Result<(), CoreError> {
    let mut builds_on: Vec<ReceiptId> =
        heir.builds_on.iter().copied().filter(|id| *id != old).chain(new.iter().copied()).collect();
    builds_on.sort();
    builds_on.dedup();
    db.execute(
        "UPDATE campo_outbox SET builds_on = ?2 WHERE seq = ?1",
        params![heir.seq, serde_json::to_string(&builds_on)?],
    )?;
    copy::write(db, heir.seq)
}
