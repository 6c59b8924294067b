//! The outbox: transactions from their copies, mutations from their transactions.

use std::collections::BTreeSet;

use rusqlite::params;
use rusqlite::types::ValueRef;
use sync_protocol::ReceiptId;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::{Mutation, Position};
use sync_protocol::wire::receipt::Receipt;

use super::{Mending, reads};
use crate::CoreError;
use crate::edit::fill_in;
use crate::outbox::copy::{self, Mended};
use crate::outbox::entry;
use crate::outbox::settle::Touched;
use crate::store::{checksum, rows};
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
            "SELECT seq, id, state, settled, maybe_sent, withdraw, edited_us, uncertain, replaced_by,
                 receipt, ord, seen_told, mutations, builds_on, position
             FROM campo_outbox",
        )?;
        let mut found = statement.query([])?;
        let mut wrong: Vec<(i64, &'static str)> = Vec::new();
        let mut lost: Vec<(i64, String)> = Vec::new();
        while let Some(row) = found.next()? {
            let seq: i64 = row.get(0)?;
            let text = |index: usize| row.get_ref(index).ok().and_then(|v| v.as_str().ok());
            let flag = |index: usize| matches!(row.get_ref(index), Ok(ValueRef::Integer(0 | 1)));
            let null_or = |index: usize, fits: &dyn Fn(&str) -> bool| {
                matches!(row.get_ref(index), Ok(ValueRef::Null)) || text(index).is_some_and(fits)
            };
            let content = text(1).is_some_and(|id| id.parse::<ReceiptId>().is_ok())
                && text(12).is_some_and(reads::<Vec<Mutation>>)
                && text(13).is_some_and(reads::<Vec<ReceiptId>>)
                && null_or(14, &reads::<Position>);
            if !content {
                let raw: String = text(12).unwrap_or_default().to_owned();
                lost.push((seq, raw));
                continue;
            }
            if text(2).is_none_or(|state| entry::State::read(state).is_none())
                || ![3, 4, 5, 11].into_iter().all(flag)
                || !null_or(9, &reads::<Receipt>)
            {
                wrong.push((
                    seq,
                    "state = 'waiting', settled = 0, maybe_sent = 1, withdraw = 0, seen_told = 0, receipt = NULL",
                ));
            }
            if !matches!(row.get_ref(6)?, ValueRef::Null | ValueRef::Integer(_)) || !flag(7) {
                wrong.push((seq, "edited_us = NULL, uncertain = 1"));
            }
            if !null_or(8, &|id| id.parse::<ReceiptId>().is_ok()) {
                wrong.push((seq, "replaced_by = NULL"));
            }
            if !matches!(row.get_ref(10)?, ValueRef::Integer(_)) {
                wrong.push((seq, "ord = seq"));
            }
        }
        drop(found);
        drop(statement);
        for (seq, set) in wrong {
            self.db.execute(&format!("UPDATE campo_outbox SET {set} WHERE seq = ?1"), [seq])?;
            self.note(
                Kind::Edit,
                &format!("campo_outbox {seq}"),
                "where it stands was unreadable",
            )?;
        }
        for (seq, raw) in lost {
            self.lost(seq, &raw)?;
        }
        Ok(())
    }

    /// What is left of it is kept in the log; the others go on.
    fn lost(&mut self, seq: i64, text: &str) -> Result<(), CoreError> {
        self.found += 1;
        let place = format!("campo_outbox {seq}");
        damage::found(self.db, Kind::EditLost, &place, text)?;
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
        let mut damaged: BTreeSet<(i64, i64)> = BTreeSet::new();
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
                whole.insert(key)
            } else {
                damaged.insert(key)
            };
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
        let mut missing: Vec<(i64, i64, Mutation)> = Vec::new();
        entry::list(self.db, "1 = 1", |entry| {
            // Of an edit that is settled only what a person decides on is left in the view.
            let all = !entry.settled && !entry.withdraw;
            for (position, mutation) in (0_i64..).zip(&entry.mutations) {
                let key = (entry.seq, position);
                known.insert(key);
                if damaged.contains(&key) || (all && !whole.contains(&key)) {
                    missing.push((entry.seq, position, mutation.clone()));
                }
            }
            Ok(true)
        })?;
        for key @ (seq, position) in damaged.union(&whole) {
            if damaged.contains(key) || !known.contains(key) {
                self.db.execute(
                    "DELETE FROM campo_mutation WHERE seq = ?1 AND position = ?2",
                    params![seq, position],
                )?;
                let place = format!("campo_mutation {seq}/{position}");
                self.note(Kind::Edit, &place, "cannot be read, or is of no known transaction")?;
            }
        }
        for (seq, position, mut mutation) in missing {
            let Some(collection) = schema.collection(&mutation.collection) else { continue };
            rows::keep_server_state(self.db, collection, mutation.record)?;
            fill_in(self.db, schema, collection, &mut mutation)?;
            let at = usize::try_from(position).unwrap_or(0);
            entry::show_mutation(self.db, seq, at, &mutation)?;
            touched.insert((mutation.collection.clone(), mutation.record));
            let place = format!("campo_mutation {seq}/{position}");
            self.note(Kind::Edit, &place, "made anew from its transaction")?;
        }
        Ok(touched)
    }
}
