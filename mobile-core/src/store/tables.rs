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
//! in, `_pending` counts its edits that are not settled, `_checksum` is that of its fields ([`checksum`]). There is no UNIQUE and no FOREIGN KEY
//! besides the id: the server decides, and a page that swaps two codes must be applicable.

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior, params};
use sync_protocol::schema::{Collection, Field, FieldType, Schema};

#[cfg(doc)]
use super::checksum;
use super::{meta, rows};
use crate::CoreError;
use crate::outbox::copy;

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
         _version INTEGER NOT NULL, _scopes INTEGER NOT NULL, _pending INTEGER NOT NULL, \
         _checksum INTEGER NOT NULL DEFAULT 0)",
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

/// Upserts one row. Parameters: id, the fields in the order given, version, scopes, pending, checksum.
#[must_use]
pub fn upsert<'a>(collection: &str, fields: impl Iterator<Item = &'a str> + Clone) -> String {
    let columns: String = fields.clone().map(|f| format!("{}, ", quoted(f))).collect();
    let count = fields.clone().count() + 5;
    let parameters = vec!["?"; count].join(", ");
    let updates: String = fields.map(|f| format!("{0} = excluded.{0}, ", quoted(f))).collect();
    format!(
        "INSERT INTO {} (id, {columns}_version, _scopes, _pending, _checksum) VALUES ({parameters}) \
         ON CONFLICT (id) DO UPDATE SET {updates}_version = excluded._version, \
         _scopes = excluded._scopes, _pending = excluded._pending, \
         _checksum = excluded._checksum",
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

/// Reads rows with all that a checksum needs, in the order of their ids: id, checksum, pending, the fields.
/// Parameters: the id to continue after, how many.
#[must_use]
pub fn select_for_checksum(collection: &Collection) -> String {
    format!("{} WHERE id > ?1 ORDER BY id LIMIT ?2", all_for_checksum(collection))
}

/// As [`select_for_checksum`], the row with an id.
#[must_use]
pub fn select_one_for_checksum(collection: &Collection) -> String {
    format!("{} WHERE id = ?1", all_for_checksum(collection))
}

fn all_for_checksum(collection: &Collection) -> String {
    let columns: String =
        collection.fields.iter().map(|f| format!(", {}", quoted(&f.name))).collect();
    format!("SELECT id, _checksum, _pending{columns} FROM {}", quoted(&collection.name))
}

/// Brings the tables to another schema and records it.
///
/// New collections and fields are added. What the schema no longer has goes, with its content:
/// either nobody has it any more, or this person may not see it any more. Edits of it stay in the
/// outbox, which holds them as they go to the server, and show again when it comes back. A field whose
/// type changed begins empty.
///
/// What there is to be changed is read from the tables, not from `known`, the record of the schema they were
/// made from: that may be lost.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn migrate(db: &Connection, known: &Schema, new: &Schema, hash: &str) -> Result<(), CoreError> {
    for gone in collections(db)?.iter().filter(|name| !new.collections.contains_key(*name)) {
        db.execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(gone)))?;
        for table in ["campo_server_row", "campo_staged", "campo_refetch", "campo_suspect"] {
            db.execute(&format!("DELETE FROM {table} WHERE collection = ?1"), [gone])?;
        }
    }
    for collection in new.collections.values() {
        let present = columns(db, &collection.name)?;
        let changed = if present.is_empty() {
            db.execute_batch(&create(collection))?;
            true
        } else {
            let changed = alter(db, &present, collection)?;
            if changed {
                write_checksums(db, collection)?;
            }
            // Where the schema was lost, what was settled meanwhile could not be computed.
            changed || known.collection(&collection.name).is_none()
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

/// The collections that have a table.
///
/// # Errors
/// Those of SQLite.
pub fn collections(db: &Connection) -> Result<Vec<String>, CoreError> {
    let mut statement = db.prepare(
        r"SELECT name FROM sqlite_master WHERE type = 'table'
          AND name NOT LIKE 'campo\_%' ESCAPE '\' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'",
    )?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The columns of a table and what they are declared as; none where there is no table.
fn columns(db: &Connection, table: &str) -> Result<BTreeMap<String, String>, CoreError> {
    let mut statement = db.prepare("SELECT name, type FROM pragma_table_info(?1)")?;
    Ok(statement
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?)
}

/// Columns that are no fields.
const OWN_COLUMNS: [&str; 5] = ["id", "_version", "_scopes", "_pending", "_checksum"];

/// Answers whether any column has changed.
fn alter(
    db: &Connection,
    present: &BTreeMap<String, String>,
    new: &Collection,
) -> Result<bool, CoreError> {
    let table = quoted(&new.name);
    let mut changed = false;
    let same = |field: &Field| present.get(&field.name) == Some(&declared(&field.kind));
    for name in present.keys().filter(|name| !OWN_COLUMNS.contains(&name.as_str())) {
        let kept = new.field(name);
        if kept.is_none_or(|kept| !is_indexed(new, kept) || !same(kept)) {
            db.execute_batch(&format!("DROP INDEX IF EXISTS {}", index_name(&new.name, name)))?;
        }
        if kept.is_none_or(|kept| !same(kept)) {
            db.execute_batch(&format!("ALTER TABLE {table} DROP COLUMN {}", quoted(name)))?;
            changed = true;
        }
    }
    for field in new.fields.iter().filter(|field| !same(field)) {
        let column = quoted(&field.name);
        let kind = declared(&field.kind);
        db.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}"))?;
        changed = true;
    }
    Ok(changed)
}

/// Gives checksums to tables that an older version made, and copies to its waiting edits.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn add_checksums(writer: &mut Connection) -> Result<(), CoreError> {
    let db = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Without a readable schema the next pull brings one, and then its checksums.
    let schema = meta::schema(&db).unwrap_or_default();
    for name in collections(&db)? {
        if columns(&db, &name)?.contains_key("_checksum") {
            continue;
        }
        db.execute_batch(&format!(
            "ALTER TABLE {} ADD COLUMN _checksum INTEGER NOT NULL DEFAULT 0",
            quoted(&name)
        ))?;
        if let Some(collection) = schema.collection(&name) {
            write_checksums(&db, collection)?;
        }
    }
    copy::write_missing(&db)?;
    Ok(db.commit()?)
}

/// Writes the checksums of all rows anew.
fn write_checksums(db: &Connection, collection: &Collection) -> Result<(), CoreError> {
    let fields = rows::field_checksums(collection);
    let table = quoted(&collection.name);
    let columns: String =
        collection.fields.iter().map(|f| format!(", {}", quoted(&f.name))).collect();
    let mut read = db.prepare(&format!("SELECT rowid{columns} FROM {table}"))?;
    let mut write = db.prepare(&format!("UPDATE {table} SET _checksum = ?2 WHERE rowid = ?1"))?;
    let mut found = read.query([])?;
    while let Some(row) = found.next()? {
        let rowid: i64 = row.get(0)?;
        write.execute(params![rowid, rows::checksum_of(row, 1, &fields)?])?;
    }
    Ok(())
}
