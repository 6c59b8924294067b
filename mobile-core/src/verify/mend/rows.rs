//! The server's rows, in their tables, beside them and staged: what does not fit is asked for.

use std::collections::BTreeSet;

use rusqlite::params;
use rusqlite::types::{Value as Sql, ValueRef};
use serde_json::Value as Json;
use sync_protocol::RecordId;
use sync_protocol::schema::Schema;
use sync_protocol::wire::receipt::Receipt;

use super::{Mending, reads};
use crate::CoreError;
use crate::store::meta::{self, name};
use crate::store::tables::quoted;
use crate::store::{anew, checksum, rows, scopes};
use crate::verify::damage::Kind;
use crate::verify::held;

impl Mending<'_> {
    pub(super) fn server_rows(&mut self, schema: &Schema) -> Result<(), CoreError> {
        let sets = held::sets(self.db)?;
        let anew = meta::get(self.db, name::BEGUN_ANEW)?.is_some();
        let mut statement = self.db.prepare(
            "SELECT collection, record, version, scopes, content, checksum FROM campo_server_row",
        )?;
        let mut found = statement.query([])?;
        let mut damaged: Vec<(String, RecordId)> = Vec::new();
        let mut unnamed: Vec<(Sql, Sql)> = Vec::new();
        while let Some(row) = found.next()? {
            let name = row.get_ref(0)?.as_str().ok().filter(|n| schema.collection(n).is_some());
            let record = row.get_ref(1)?.as_str().ok().and_then(|text| text.parse().ok());
            let (Some(name), Some(record)) = (name, record) else {
                unnamed.push((row.get(0)?, row.get(1)?));
                continue;
            };
            let content = match row.get_ref(4)? {
                ValueRef::Null => Some(None),
                other => other.as_str().ok().map(Some),
            };
            let written = row.get_ref(5)?.as_i64().unwrap_or(-1);
            let set = row.get_ref(3)?.as_i64().ok();
            let fits = content.is_some_and(|content| {
                (written == 0 || written == checksum::of_optional(content))
                    && content.is_none_or(reads::<serde_json::Map<String, Json>>)
                    && content.is_none() == (set == Some(0))
            }) && row.get_ref(2)?.as_i64().is_ok()
                && set.is_some_and(|set| set == 0 || sets.contains_key(&set.abs()))
                && (anew || set >= Some(0));
            if !fits {
                damaged.push((name.to_owned(), record));
            }
        }
        drop(found);
        drop(statement);
        for (name, record) in unnamed {
            self.db.execute(
                "DELETE FROM campo_server_row WHERE collection = ?1 AND record = ?2",
                params![name, record],
            )?;
            self.note(Kind::Bookkeeping, "campo_server_row", "a row of no known record")?;
        }
        for (name, record) in damaged {
            let Some(collection) = schema.collection(&name) else { continue };
            rows::put_beside(self.db, collection, record, None)?;
            self.refetch(&name, record, "the server's state of an edited row")?;
        }
        // A row with edits has the server's state beside the table, and no other row has.
        for collection in schema.collections.values() {
            for record in self.edited(&collection.name)? {
                if !rows::is_beside(self.db, &collection.name, record)? {
                    rows::put_beside(self.db, collection, record, None)?;
                    self.refetch(&collection.name, record, "the server's state of an edited row")?;
                }
            }
        }
        let orphans = self.records(
            "SELECT collection, record FROM campo_server_row s WHERE NOT EXISTS (
                 SELECT 1 FROM campo_mutation m
                 WHERE m.collection = s.collection AND m.record = s.record AND m.in_view = 1)",
        )?;
        for (name, record) in orphans {
            self.db.execute(
                "DELETE FROM campo_server_row WHERE collection = ?1 AND record = ?2",
                params![name, record.to_string()],
            )?;
            self.refetch(&name, record, "a server's state beside a row without edits")?;
        }
        Ok(())
    }

    pub(super) fn staged(&mut self, schema: &Schema) -> Result<(), CoreError> {
        let sets = held::sets(self.db)?;
        let mut statement = self.db.prepare(
            "SELECT collection, record, version, scopes, content, checksum FROM campo_staged",
        )?;
        let mut found = statement.query([])?;
        let mut damaged: Vec<(Sql, Sql)> = Vec::new();
        while let Some(row) = found.next()? {
            let known = row.get_ref(0)?.as_str().is_ok_and(|n| schema.collection(n).is_some())
                && row.get_ref(1)?.as_str().is_ok_and(|id| id.parse::<RecordId>().is_ok());
            let set = row.get_ref(3)?.as_i64().unwrap_or(-1);
            let content = match row.get_ref(4)? {
                ValueRef::Null => Some(None),
                other => other.as_str().ok().map(Some),
            };
            let written = row.get_ref(5)?.as_i64().unwrap_or(-1);
            let fits = known
                && (set == 0 || sets.contains_key(&set))
                && row.get_ref(2)?.as_i64().is_ok()
                && content.is_some_and(|content| {
                    written == 0 || written == checksum::of_optional(content)
                });
            if !fits {
                damaged.push((row.get(0)?, row.get(1)?));
            }
        }
        drop(found);
        drop(statement);
        for (collection, record) in damaged {
            self.db.execute(
                "DELETE FROM campo_staged WHERE collection = ?1 AND record = ?2",
                params![collection, record],
            )?;
            match (collection, record) {
                (Sql::Text(name), Sql::Text(id)) if id.parse::<RecordId>().is_ok() => {
                    let record = id.parse().unwrap_or(RecordId(uuid::Uuid::nil()));
                    self.refetch(&name, record, "a row that waited for its checkpoint")?;
                }
                _ => self.note(Kind::Bookkeeping, "campo_staged", "a row of no known record")?,
            }
        }
        let receipts: Vec<(Sql, Sql)> = self
            .db
            .prepare("SELECT id, receipt FROM campo_staged_receipt")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let unreadable = receipts
            .iter()
            .any(|(_, receipt)| !matches!(receipt, Sql::Text(text) if reads::<Receipt>(text)));
        if unreadable {
            // Without a cursor the server tells all receipts that this device has not seen.
            anew::begin(self.db)?;
            self.note(Kind::Bookkeeping, "campo_staged_receipt", "beginning anew")?;
        }
        Ok(())
    }

    pub(super) fn tables(&mut self, schema: &Schema) -> Result<(), CoreError> {
        let sets = held::sets(self.db)?;
        let anew = meta::get(self.db, name::BEGUN_ANEW)?.is_some();
        for collection in schema.collections.values() {
            let table = quoted(&collection.name);
            let edited: BTreeSet<RecordId> = self.edited(&collection.name)?.into_iter().collect();
            let mut statement =
                self.db.prepare(&format!("SELECT id, _scopes, _pending, _version FROM {table}"))?;
            let mut found = statement.query([])?;
            let mut unnamed: Vec<Sql> = Vec::new();
            let mut wrong: Vec<(RecordId, bool)> = Vec::new();
            while let Some(row) = found.next()? {
                let id = row.get_ref(0)?.as_str().ok().filter(|id| is_canonical(id));
                let Some(record) = id.and_then(|id| id.parse::<RecordId>().ok()) else {
                    unnamed.push(row.get(0)?);
                    continue;
                };
                if edited.contains(&record) {
                    continue;
                }
                let set = row.get_ref(1)?.as_i64().unwrap_or(0);
                let pending = row.get_ref(2)?.as_i64().unwrap_or(-1);
                // Stale rows wait for the end of a new beginning: without one they would wait for ever.
                let waits = set < 0 && !anew;
                let known = sets.contains_key(&set.saturating_abs());
                let has_version = row.get_ref(3)?.as_i64().is_ok();
                if pending != 0 || waits || !known || !has_version {
                    wrong.push((record, known));
                }
            }
            drop(found);
            drop(statement);
            for id in unnamed {
                self.db.execute(&format!("DELETE FROM {table} WHERE id IS ?1"), [id])?;
                self.note(Kind::Bookkeeping, &collection.name, "a row whose id is none")?;
            }
            for (record, known) in wrong {
                self.db.execute(
                    &format!(
                        "UPDATE {table} SET _pending = 0, _scopes = iif(?2, _scopes, ?3),
                           _version = iif(typeof(_version) = 'integer', _version, 0) WHERE id = ?1"
                    ),
                    params![record.to_string(), known, scopes::UNKNOWN],
                )?;
                self.refetch(&collection.name, record, "its scopes, version or count of edits")?;
            }
        }
        Ok(())
    }
}

fn is_canonical(id: &str) -> bool {
    id.parse::<RecordId>().is_ok_and(|record| record.to_string() == id)
}
