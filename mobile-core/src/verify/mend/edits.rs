//! The outbox: transactions from their copies, mutations from their transactions.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::ValueRef;
use rusqlite::{Row, params};
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::{Mutation, Position};
use sync_protocol::wire::receipt::{Receipt, ReceiptState};
use sync_protocol::{ReceiptId, RecordId};

use super::{Mending, reads};
use crate::CoreError;
use crate::edit::fill_in;
use crate::outbox::copy::{self, Mended};
use crate::outbox::entry::{self, State};
use crate::outbox::settle;
use crate::store::checksum;
use crate::store::rows::{self, Touched};
use crate::verify::damage::{self, Kind};

impl Mending<'_> {
    pub(super) fn transactions(&mut self) -> Result<(), CoreError> {
        for (seq, mended) in copy::mend(self.db)? {
            let place = format!("campo_outbox {seq}");
            match mended {
                Mended::FromCopy => self.note(Kind::Edit, &place, "written from its copy")?,
                Mended::CopyAnew => self.note(Kind::Edit, &place, "its copy was written anew")?,
                Mended::Lost(text) => self.lost(seq, &text)?,
            }
        }
        let mut statement = self.db.prepare(
            "SELECT o.seq, o.id, o.state, o.settled, o.maybe_sent, o.withdraw, o.edited_us, o.uncertain,
                 o.replaced_by, o.receipt, o.ord, o.seen_told, o.mutations, o.builds_on, o.position,
                 EXISTS (SELECT 1 FROM campo_outbox_copy c WHERE c.seq = o.seq),
                 EXISTS (SELECT 1 FROM campo_mutation m WHERE m.seq = o.seq),
                 EXISTS (SELECT 1 FROM campo_mutation m WHERE m.seq = o.seq AND m.in_view = 1),
                 typeof(o.wall_us) = 'integer' AND typeof(o.boot_us) = 'integer'
                     AND typeof(o.boot_id) = 'text'
             FROM campo_outbox o",
        )?;
        let mut found = statement.query([])?;
        let mut wrong: Vec<(i64, String)> = Vec::new();
        let mut lost: Vec<(i64, String)> = Vec::new();
        let mut over: Vec<i64> = Vec::new();
        while let Some(row) = found.next()? {
            let seq: i64 = row.get(0)?;
            let standing = Standing::read(row);
            let text = |index: usize| row.get_ref(index).ok().and_then(|v| v.as_str().ok());
            let readable = text(1).is_some_and(|id| id.parse::<ReceiptId>().is_ok())
                && (text(12).is_some_and(reads::<Vec<Mutation>>) || standing.is_over());
            if !readable && standing.is_over() {
                over.push(seq);
                continue;
            }
            if !readable {
                lost.push((seq, text(12).unwrap_or_default().to_owned()));
                continue;
            }
            let mut set = standing.mend();
            let null_or = |index: usize, fits: &dyn Fn(&str) -> bool| {
                matches!(row.get_ref(index), Ok(ValueRef::Null)) || text(index).is_some_and(fits)
            };
            if !text(12).is_some_and(reads::<Vec<Mutation>>) {
                set.push("mutations = '[]'".to_owned());
            }
            if !text(13).is_some_and(reads::<Vec<ReceiptId>>) {
                set.push("builds_on = '[]'".to_owned());
            }
            if !null_or(14, &reads::<Position>) {
                set.push("position = NULL".to_owned());
            }
            if !null_or(8, &|id| id.parse::<ReceiptId>().is_ok()) {
                set.push("replaced_by = NULL".to_owned());
            }
            let time = matches!(row.get_ref(6)?, ValueRef::Null | ValueRef::Integer(_));
            if !time || flag(row, 7).is_none() {
                set.push("edited_us = NULL, uncertain = 1".to_owned());
            }
            if !matches!(row.get_ref(10)?, ValueRef::Integer(_)) {
                set.push("ord = seq".to_owned());
            }
            if flag(row, 18) != Some(true) {
                // Of one without a copy; when it was made is not needed any more.
                set.push("wall_us = 0, boot_us = 0, boot_id = ''".to_owned());
            }
            if !set.is_empty() {
                wrong.push((seq, set.join(", ")));
            }
        }
        drop(found);
        drop(statement);
        for (seq, set) in wrong {
            self.db.execute(&format!("UPDATE campo_outbox SET {set} WHERE seq = ?1"), [seq])?;
            let place = format!("campo_outbox {seq}");
            self.note(Kind::Edit, &place, "where it stands was unreadable")?;
        }
        for seq in over {
            let place = format!("campo_outbox {seq}");
            self.note(Kind::Bookkeeping, &place, "an edit that is over, without a name")?;
            self.remove(seq)?;
        }
        for (seq, raw) in lost {
            self.lost(seq, &raw)?;
        }
        Ok(())
    }

    /// What is left of it is kept apart; the others go on.
    fn lost(&mut self, seq: i64, text: &str) -> Result<(), CoreError> {
        let place = format!("campo_outbox {seq}");
        self.note(Kind::EditLost, &place, "neither it nor its copy could be read")?;
        damage::keep_lost(self.db, seq, text)?;
        self.remove(seq)
    }

    fn remove(&self, seq: i64) -> Result<(), CoreError> {
        self.db.execute("DELETE FROM campo_outbox WHERE seq = ?1", [seq])?;
        self.db.execute("DELETE FROM campo_mutation WHERE seq = ?1", [seq])?;
        copy::remove(self.db, seq)
    }

    /// Answers the records whose view changes.
    pub(super) fn mutations(&mut self, schema: &Schema) -> Result<Touched, CoreError> {
        let mut statement = self.db.prepare(
            "SELECT seq, position, collection, record, kind, content, checksum, in_view FROM campo_mutation",
        )?;
        let mut found = statement.query([])?;
        // With whether it was in the view, where that can be read.
        let mut damaged: BTreeMap<(i64, i64), Option<bool>> = BTreeMap::new();
        let mut whole: BTreeSet<(i64, i64)> = BTreeSet::new();
        let mut unnamed: Vec<(rusqlite::types::Value, rusqlite::types::Value)> = Vec::new();
        while let Some(row) = found.next()? {
            let (Ok(seq), Ok(position)) = (row.get_ref(0)?.as_i64(), row.get_ref(1)?.as_i64())
            else {
                unnamed.push((row.get(0)?, row.get(1)?));
                continue;
            };
            let key = (seq, position);
            let text = |index: usize| row.get_ref(index).ok().and_then(|v| v.as_str().ok());
            let written = row.get_ref(6)?.as_i64().unwrap_or(-1);
            let fits = text(5).is_some_and(|content| {
                (written == 0 || written == checksum::of_text(content))
                    && serde_json::from_str::<Mutation>(content).is_ok_and(|mutation| {
                        text(2) == Some(mutation.collection.as_str())
                            && text(3) == Some(mutation.record.to_string().as_str())
                            && text(4) == Some(entry::kind_name(mutation.kind))
                    })
            }) && matches!(row.get_ref(7)?, ValueRef::Integer(0 | 1));
            if fits {
                whole.insert(key);
            } else {
                damaged.insert(key, flag(row, 7));
            }
        }
        drop(found);
        drop(statement);
        for (seq, position) in unnamed {
            self.db.execute(
                "DELETE FROM campo_mutation WHERE seq IS ?1 AND position IS ?2",
                params![seq, position],
            )?;
            self.note(Kind::Edit, "campo_mutation", "a mutation of no known transaction")?;
        }
        let mut touched = Touched::new();
        let mut known: BTreeSet<(i64, i64)> = BTreeSet::new();
        // Records that were merged into others go by those in the view, not in what was sent.
        let mut aliases: BTreeMap<(String, RecordId), RecordId> = BTreeMap::new();
        entry::list(self.db, "1 = 1", |entry| {
            let outcomes = entry.receipt.into_iter().flat_map(|receipt| receipt.mutations);
            aliases.extend(
                outcomes.filter_map(|o| o.alias.map(|alias| ((o.collection, o.record), alias))),
            );
            Ok(true)
        })?;
        let mut missing: Vec<(i64, usize, Shown)> = Vec::new();
        entry::list(self.db, "1 = 1", |entry| {
            for (position, index) in (0_i64..).zip(0..entry.mutations.len()) {
                let key = (entry.seq, position);
                known.insert(key);
                let Some(shown) = shown(&entry, index) else { continue };
                // What is not in the view may have gone for good.
                let in_view = damaged.get(&key).copied().flatten().unwrap_or(shown.in_view);
                let shown = Shown { in_view: shown.in_view && in_view, ..shown };
                if damaged.contains_key(&key) || (shown.in_view && !whole.contains(&key)) {
                    missing.push((entry.seq, index, shown));
                }
            }
            Ok(true)
        })?;
        for key @ (seq, position) in damaged.keys().chain(&whole) {
            if damaged.contains_key(key) || !known.contains(key) {
                self.db.execute(
                    "DELETE FROM campo_mutation WHERE seq = ?1 AND position = ?2",
                    params![seq, position],
                )?;
                let place = format!("campo_mutation {seq}/{position}");
                self.note(Kind::Edit, &place, "cannot be read, or is of no known transaction")?;
            }
        }
        for (seq, position, Shown { mut mutation, in_view }) in missing {
            if let Some(alias) = aliases.get(&(mutation.collection.clone(), mutation.record)) {
                mutation.record = *alias;
            }
            let Some(collection) = schema.collection(&mutation.collection) else { continue };
            if in_view {
                rows::keep_server_state(self.db, collection, mutation.record)?;
            }
            fill_in(self.db, schema, collection, &mut mutation)?;
            entry::show_mutation(self.db, seq, position, &mutation)?;
            self.db.execute(
                "UPDATE campo_mutation SET in_view = ?3 WHERE seq = ?1 AND position = ?2",
                params![seq, i64::try_from(position).unwrap_or(i64::MAX), in_view],
            )?;
            touched.insert((mutation.collection.clone(), mutation.record));
            let place = format!("campo_mutation {seq}/{position}");
            self.note(Kind::Edit, &place, "made anew from its transaction")?;
        }
        Ok(touched)
    }
}

/// A mutation as `campo_mutation` should have it.
struct Shown {
    mutation: Mutation,
    in_view: bool,
}

/// What should be there of a mutation; nothing where its edit is done with, or is sent once more after it was:
/// that is in the server's rows and does not come back into the view.
fn shown(entry: &entry::Entry, index: usize) -> Option<Shown> {
    let mutation = entry.mutations.get(index)?.clone();
    if !entry.settled {
        let decided = matches!(entry.state, State::Applied | State::Superseded | State::InReview);
        // One that the server puts off, or put off before it went again, waits like one without an answer.
        let put_off = |receipt: &Receipt| receipt.state == ReceiptState::Parked;
        let open = decided || entry.receipt.as_ref().is_none_or(put_off);
        let in_view = !entry.withdraw && !is_handed_over(entry, index);
        return open.then_some(Shown { mutation, in_view });
    }
    match entry.state {
        // Later edits may refer to what it wanted to insert.
        State::Refused if entry.replaced_by.is_none() => Some(Shown { mutation, in_view: false }),
        State::InReview => {
            let receipt = entry.receipt.as_ref().filter(|receipt| !receipt.held);
            let outcome = receipt.and_then(|receipt| receipt.mutations.get(index));
            let mutation = match outcome {
                Some(outcome) => settle::in_review(mutation, outcome)?,
                None => mutation,
            };
            Some(Shown { mutation, in_view: !is_handed_over(entry, index) })
        }
        _ => None,
    }
}

fn is_handed_over(entry: &entry::Entry, index: usize) -> bool {
    let outcome = entry.receipt.as_ref().and_then(|receipt| receipt.mutations.get(index));
    let mutation = entry.mutations.get(index);
    mutation.zip(outcome).is_some_and(|(made, known)| settle::is_handed_over(made, known))
}

/// Where a transaction stands, as far as its columns can be read.
struct Standing {
    state: Option<State>,
    settled: Option<bool>,
    maybe_sent: Option<bool>,
    withdraw: Option<bool>,
    seen_told: Option<bool>,
    /// What the server said; none within where it cannot be read.
    receipt: Option<Option<Receipt>>,
    has_copy: bool,
    has_mutations: bool,
    is_in_view: bool,
}

impl Standing {
    fn read(row: &Row<'_>) -> Self {
        let text = |index: usize| row.get_ref(index).ok().and_then(|v| v.as_str().ok());
        Self {
            state: text(2).and_then(State::read),
            settled: flag(row, 3),
            maybe_sent: flag(row, 4),
            withdraw: flag(row, 5),
            seen_told: flag(row, 11),
            receipt: match row.get_ref(9) {
                Ok(ValueRef::Null) => None,
                _ => Some(text(9).and_then(|text| serde_json::from_str(text).ok())),
            },
            has_copy: flag(row, 15) == Some(true),
            has_mutations: flag(row, 16) == Some(true),
            is_in_view: flag(row, 17) == Some(true),
        }
    }

    /// Nothing of it is to be sent or shown any more.
    fn is_over(&self) -> bool {
        self.settled == Some(true) && self.state.is_some_and(|state| state != State::Refused)
    }

    /// What to set so that it can be read, and its author's intent holds: what was taken back does not
    /// come back, and what waits goes on waiting.
    fn mend(&self) -> Vec<String> {
        let mut set = Vec::new();
        let state = self.state.unwrap_or_else(|| {
            let settled = self.settled == Some(true);
            let state = match &self.receipt {
                Some(Some(receipt)) => State::from(receipt.state),
                // Only what was taken back before it was sent is over without a receipt.
                None if settled || (self.settled.is_none() && !self.has_copy) => State::Discarded,
                _ => State::Waiting,
            };
            set.push(format!("state = '{}', maybe_sent = 1", state.as_str()));
            state
        });
        if self.settled.is_none() {
            let waits = matches!(state, State::Waiting | State::Sending | State::Parked);
            set.push(format!("settled = {}", i64::from(!waits && !self.is_in_view)));
        }
        if self.maybe_sent.is_none() && self.state.is_some() {
            set.push("maybe_sent = 1".to_owned());
        }
        if self.withdraw.is_none() {
            let waits = matches!(state, State::Waiting | State::Sending);
            let hidden = self.has_mutations && !self.is_in_view && !self.has_copy;
            set.push(format!("withdraw = {}", i64::from(waits && hidden)));
        }
        if self.seen_told.is_none() {
            set.push("seen_told = 0".to_owned());
        }
        if matches!(self.receipt, Some(None)) {
            set.push("receipt = NULL".to_owned());
        }
        set
    }
}

/// A flag, where it is one.
fn flag(row: &Row<'_>, index: usize) -> Option<bool> {
    match row.get_ref(index) {
        Ok(ValueRef::Integer(n @ (0 | 1))) => Some(n == 1),
        _ => None,
    }
}
