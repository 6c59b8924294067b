//! The typed tables of collections: statements generated from the schema, with quoted names.
//!
//! A table is named like its collection. Apps read it with their own SQL:
//!
//! | type | SQLite | declared as |
//! |---|---|---|
//! | text, enum | TEXT | `TEXT` |
//! | integer | INTEGER | `INTEGER` |
//! | decimal | INTEGER in units of the last digit (12.50 is 1250), so that it sorts and sums | `INTEGER_DECIMAL(2)` |
//! | real | REAL | `REAL` |
//! | boolean | INTEGER 0 or 1 | `BOOLEAN_INTEGER` |
//! | date | TEXT `2026-11-24` | `DATE_TEXT` |
//! | timestamp | INTEGER, microseconds since 1970 | `TIMESTAMP_INTEGER` |
//! | uuid | TEXT | `UUID_TEXT` |
//! | set, json | canonical JSON as TEXT | `SET_TEXT`, `JSON_TEXT` |
//!
//! `_version` is the server's version of the row (0: not there yet), `_scopes` names the scopes it is
//! in, `_pending` counts its edits that are not settled. There is no UNIQUE and no FOREIGN KEY
//! besides the id: the server decides, and a page that swaps two codes must be applicable.

use std::collections::BTreeSet;

use rusqlite::Connection;
use sync_protocol::schema::{Collection, Field, FieldType, Schema};

use super::{meta, rows};
use crate::CoreError;

/// Quotes a name for SQL.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What a column is declared as.
#[must_use]
pub fn declared(kind: &FieldType) -> String {
    match kind {
        FieldType::Text | FieldType::Enum { .. } => "TEXT".to_owned(),
        FieldType::Integer => "INTEGER".to_owned(),
        FieldType::Decimal { scale } => format!("INTEGER_DECIMAL({scale})"),
        FieldType::Real => "REAL".to_owned(),
        FieldType::Boolean => "BOOLEAN_INTEGER".to_owned(),
        FieldType::Date => "DATE_TEXT".to_owned(),
        FieldType::Timestamp => "TIMESTAMP_INTEGER".to_owned(),
        FieldType::Uuid => "UUID_TEXT".to_owned(),
        FieldType::Set => "SET_TEXT".to_owned(),
        FieldType::Json => "JSON_TEXT".to_owned(),
    }
}

fn create(collection: &Collection) -> String {
    let columns: Vec<String> = collection
        .fields
        .iter()
        .map(|f| format!("{} {},", quoted(&f.name), declared(&f.kind)))
        .collect();
    format!(
        "CREATE TABLE {} (id UUID_TEXT PRIMARY KEY NOT NULL, {} \
         _version INTEGER NOT NULL, _scopes INTEGER NOT NULL, _pending INTEGER NOT NULL)",
        quoted(&collection.name),
        columns.join(" ")
    )
}

fn index_name(collection: &str, field: &str) -> String {
    quoted(&format!("campo_ix_{collection}_{field}"))
}

/// Fields by which apps look up: references and scope columns.
fn is_indexed(collection: &Collection, field: &Field) -> bool {
    field.references.is_some() || collection.scope_fields().any(|name| name == field.name)
}

/// Upserts one row. Parameters: id, the fields in the order given, version, scopes, pending.
#[must_use]
pub fn upsert<'a>(collection: &str, fields: impl Iterator<Item = &'a str> + Clone) -> String {
    let columns: String = fields.clone().map(|f| format!("{}, ", quoted(f))).collect();
    let count = fields.clone().count() + 4;
    let parameters = vec!["?"; count].join(", ");
    let updates: String = fields.map(|f| format!("{0} = excluded.{0}, ", quoted(f))).collect();
    format!(
        "INSERT INTO {} (id, {columns}_version, _scopes, _pending) VALUES ({parameters}) \
         ON CONFLICT (id) DO UPDATE SET {updates}_version = excluded._version, \
         _scopes = excluded._scopes, _pending = excluded._pending",
        quoted(collection)
    )
}

/// Reads one row by id: the fields in order, then version, scopes, pending.
#[must_use]
pub fn select_one(collection: &Collection) -> String {
    let columns: String =
        collection.fields.iter().map(|f| format!("{}, ", quoted(&f.name))).collect();
    format!(
        "SELECT {columns}_version, _scopes, _pending FROM {} WHERE id = ?1",
        quoted(&collection.name)
    )
}

/// Brings the tables to another schema and records it.
///
/// New collections and fields are added. What the schema no longer has goes, with its content:
/// either nobody has it any more, or this person may not see it any more. Edits of it stay in the
/// outbox, which holds them as they go to the server, and show again when it comes back. A field whose
/// type changed begins empty.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn migrate(db: &Connection, old: &Schema, new: &Schema, hash: &str) -> Result<(), CoreError> {
    for gone in old.collections.keys().filter(|name| !new.collections.contains_key(*name)) {
        db.execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(gone)))?;
        for table in ["campo_server_row", "campo_staged"] {
            db.execute(&format!("DELETE FROM {table} WHERE collection = ?1"), [gone])?;
        }
    }
    for collection in new.collections.values() {
        let changed = match old.collections.get(&collection.name) {
            None => {
                db.execute_batch(&create(collection))?;
                true
            }
            Some(before) => alter(db, before, collection)?,
        };
        if changed {
            rows::recompute_edited(db, collection)?;
        }
        for field in collection.fields.iter().filter(|f| is_indexed(collection, f)) {
            db.execute_batch(&format!(
                "CREATE INDEX IF NOT EXISTS {} ON {} ({})",
                index_name(&collection.name, &field.name),
                quoted(&collection.name),
                quoted(&field.name)
            ))?;
        }
    }
    meta::set_json(db, meta::name::SCHEMA, new)?;
    meta::set(db, meta::name::SCHEMA_HASH, hash)
}

/// Answers whether any column has changed.
fn alter(db: &Connection, old: &Collection, new: &Collection) -> Result<bool, CoreError> {
    let table = quoted(&new.name);
    let mut changed = false;
    let same = |a: &Field, b: &Field| declared(&a.kind) == declared(&b.kind);
    let mut present: BTreeSet<&str> = old.fields.iter().map(|f| f.name.as_str()).collect();
    for field in &old.fields {
        let kept = new.field(&field.name);
        if kept.is_none_or(|kept| !is_indexed(new, kept) || !same(field, kept)) {
            db.execute_batch(&format!(
                "DROP INDEX IF EXISTS {}",
                index_name(&new.name, &field.name)
            ))?;
        }
        if kept.is_none_or(|kept| !same(field, kept)) {
            let column = quoted(&field.name);
            db.execute_batch(&format!("ALTER TABLE {table} DROP COLUMN {column}"))?;
            present.remove(field.name.as_str());
            changed = true;
        }
    }
    for field in new.fields.iter().filter(|f| !present.contains(f.name.as_str())) {
        let column = quoted(&field.name);
        let kind = declared(&field.kind);
        db.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}"))?;
        changed = true;
    }
    Ok(changed)
}
