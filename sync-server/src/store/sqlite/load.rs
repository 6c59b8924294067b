//! Reading rows with their bookkeeping.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sync_protocol::{Fields, RecordId, Value};

use super::columns::{ids_json, read, record};
use super::error::{damaged, failed};
use super::tables::{Table, generated};
use crate::store::{StoreError, StoredRow};

/// Rows by id, deleted ones with the content of their tombstones.
pub(super) async fn rows(
    connection: &mut SqliteConnection,
    table: &Table,
    number: i64,
    ids: impl IntoIterator<Item = &RecordId>,
) -> Result<BTreeMap<RecordId, StoredRow>, StoreError> {
    let sql = format!(
        "SELECT r.record, r.meta, r.tombstone, {} FROM sync_rows r LEFT JOIN {} t ON t.id = r.record \
         WHERE r.collection = ? AND r.record IN (SELECT unhex(value) FROM json_each(?))",
        table.field_list(),
        table.quoted()
    );
    let found = sqlx::query(generated(sql))
        .bind(number)
        .bind(ids_json(ids))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    found.iter().map(|row| Ok((record(row, 0)?, stored_row(table, row)?))).collect()
}

fn stored_row(table: &Table, row: &SqliteRow) -> Result<StoredRow, StoreError> {
    let meta: &str = row.try_get(1).map_err(failed)?;
    let meta = serde_json::from_str(meta).map_err(damaged)?;
    let tombstone: Option<&str> = row.try_get(2).map_err(failed)?;
    let fields = match tombstone {
        Some(json) => from_tombstone(table, json)?,
        None => fields(table, row, 3)?,
    };
    Ok(StoredRow { fields, meta })
}

/// The declared fields, which begin at a column of the result.
fn fields(table: &Table, row: &SqliteRow, first: usize) -> Result<Fields, StoreError> {
    let declared = table.collection.fields.iter().enumerate();
    declared.map(|(i, f)| Ok((f.name.clone(), read(row, first + i, &f.kind)?))).collect()
}

fn from_tombstone(table: &Table, json: &str) -> Result<Fields, StoreError> {
    let content: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(json).map_err(damaged)?;
    let mut fields = Fields::new();
    for (field, declared) in table.unlimited.iter().zip(&table.collection.fields) {
        let value = match content.get(&field.name) {
            Some(json) => Value::from_json(field, json).map_err(damaged)?,
            // The field was added after the deletion.
            None => declared.default_value(),
        };
        fields.insert(field.name.clone(), value);
    }
    Ok(fields)
}
