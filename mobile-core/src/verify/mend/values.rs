//! Single values, sets of scopes, and tables of which a line that cannot be read is no loss.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use sync_protocol::schema::Schema;
use sync_protocol::{Scope, StreamId};

use super::{Mending, reads};
use crate::CoreError;
use crate::outbox::stream;
use crate::store::meta::{self, name};
use crate::verify::damage::Kind;

impl Mending<'_> {
    pub(super) fn values(&mut self) -> Result<(), CoreError> {
        for (value, readable) in READABLE {
            let text: Option<Option<String>> = self
                .db
                .query_row("SELECT CASE typeof(value) WHEN 'text' THEN value END FROM campo_meta WHERE name = ?1", [value], |row| row.get(0))
                .map(Some)
                .or_else(none_where_no_row)?;
            let Some(text) = text else { continue };
            if text.as_deref().is_some_and(readable) {
                continue;
            }
            meta::remove(self.db, value)?;
            if *value == name::STREAM {
                stream::forget_old(self.db)?;
            }
            if *value == name::SCHEMA {
                // The next pull brings it, because no hash is told.
                meta::remove(self.db, name::SCHEMA_HASH)?;
            }
            self.note(Kind::Bookkeeping, &format!("campo_meta {value}"), "cannot be read")?;
        }
        Ok(())
    }

    /// Without its schema a device can read no page: the next pull brings it, if no hash is told.
    pub(super) fn schema(&mut self) -> Result<(), CoreError> {
        let has = |name| Ok::<_, CoreError>(meta::get(self.db, name)?.is_some());
        if has(name::SCHEMA_HASH)? && !has(name::SCHEMA)? {
            meta::remove(self.db, name::SCHEMA_HASH)?;
            self.note(Kind::Bookkeeping, "campo_meta schema", "is missing")?;
        }
        Ok(())
    }

    /// Times of the log that are none: when it was found is not known then, and what was repaired is.
    pub(super) fn damage_log(&mut self) -> Result<(), CoreError> {
        let mended = self.db.execute(
            "UPDATE campo_damage SET
                 found_us = CASE typeof(found_us) WHEN 'integer' THEN found_us ELSE 0 END,
                 repaired_us = CASE typeof(repaired_us)
                     WHEN 'integer' THEN repaired_us WHEN 'null' THEN NULL ELSE 0 END
             WHERE typeof(found_us) <> 'integer' OR typeof(repaired_us) NOT IN ('integer', 'null')",
            [],
        )?;
        if mended > 0 {
            self.note(Kind::Bookkeeping, "campo_damage", "times that cannot be read")?;
        }
        Ok(())
    }

    pub(super) fn scope_sets(&mut self) -> Result<(), CoreError> {
        let mut statement = self.db.prepare("SELECT id, scopes FROM campo_scope_set")?;
        let mut found = statement.query([])?;
        let mut unreadable: Vec<i64> = Vec::new();
        while let Some(row) = found.next()? {
            let set = row.get_ref(1)?.as_str().ok().and_then(|text| {
                let set: BTreeSet<Scope> = serde_json::from_str(text).ok()?;
                (serde_json::to_string(&set).ok()? == text).then_some(set)
            });
            if set.is_none() {
                unreadable.push(row.get(0)?);
            }
        }
        for id in unreadable {
            self.db.execute("DELETE FROM campo_scope_set WHERE id = ?1", [id])?;
            self.note(Kind::Bookkeeping, &format!("campo_scope_set {id}"), "cannot be read")?;
        }
        Ok(())
    }

    /// Tables of which a line that cannot be read is no loss.
    pub(super) fn small_tables(&mut self) -> Result<(), CoreError> {
        let is_scope: Readable = |text| text.parse::<Scope>().is_ok();
        let is_id: Readable = |text| text.parse::<uuid::Uuid>().is_ok();
        let tables = [
            ("campo_backfill", "scope", is_scope),
            ("campo_push", "id", is_id),
            ("campo_refetch", "record", is_id),
            ("campo_suspect", "scope", is_scope),
        ];
        for (table, column, fits) in tables {
            let values: Vec<rusqlite::types::Value> = self
                .db
                .prepare(&format!("SELECT {column} FROM {table}"))?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for value in values {
                let readable = matches!(&value, rusqlite::types::Value::Text(text) if fits(text));
                if !readable {
                    self.db
                        .execute(&format!("DELETE FROM {table} WHERE {column} IS ?1"), [value])?;
                    self.note(Kind::Bookkeeping, table, "a line that cannot be read")?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a value of `campo_meta` can be read.
type Readable = fn(&str) -> bool;

/// The values that this library reads back, and what they have to be. A cursor is the server's: it says
/// when it cannot read one.
const READABLE: &[(&str, Readable)] = &[
    (name::SCHEMA, reads::<Schema>),
    (name::STREAM, is_stream),
    (name::SESSION, reads::<crate::sync::session::StoredSession>),
    (name::PERMISSIONS, reads::<BTreeSet<String>>),
    (name::ANCHOR, reads::<crate::clock::Anchor>),
    (name::LAST_CONTACT_US, reads::<i64>),
    (name::LAST_CHECKPOINT_US, reads::<i64>),
    (name::LAST_EDIT_US, reads::<i64>),
    (name::REMAINING, reads::<i64>),
    (name::VERIFIED_US, reads::<i64>),
    (name::BEGUN_FOR_DIGESTS_US, reads::<i64>),
    (name::SCRUBBED, reads::<(String, String)>),
    (name::EXPORTED, reads::<Json>),
    (name::LAST_FAILURE, reads::<crate::outbox::list::Failure>),
];

fn is_stream(text: &str) -> bool {
    text.parse::<StreamId>().is_ok()
}

fn none_where_no_row<T>(error: rusqlite::Error) -> Result<Option<T>, rusqlite::Error> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(None),
        other => Err(other),
    }
}
