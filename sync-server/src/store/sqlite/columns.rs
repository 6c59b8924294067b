//! Values as SQLite columns hold them.
//!
//! | type | column |
//! |---|---|
//! | text, enum | TEXT |
//! | integer | INTEGER |
//! | decimal | INTEGER, in units of the last digit |
//! | real | REAL |
//! | boolean | INTEGER, 0 or 1 |
//! | date | INTEGER, days since 1970-01-01 |
//! | timestamp | INTEGER, microseconds since 1970 |
//! | uuid | BLOB of 16 bytes |
//! | set, json | TEXT, canonical JSON |
//!
//! A page's [`Column`] has the same forms, so that rows go from one to the other without a
//! [`Value`] between.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite};
use sync_protocol::schema::FieldType;
use sync_protocol::wire::pull::Column;
use sync_protocol::{RecordId, Value};
use uuid::Uuid;

use super::error::{damaged, failed};
use crate::store::StoreError;

/// A statement that is being given its values.
pub(super) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// The declared type of a column.
pub(super) fn column_type(kind: &FieldType) -> &'static str {
    match kind {
        FieldType::Integer
        | FieldType::Decimal { .. }
        | FieldType::Boolean
        | FieldType::Date
        | FieldType::Timestamp => "INTEGER",
        FieldType::Real => "REAL",
        FieldType::Uuid => "BLOB",
        FieldType::Text | FieldType::Enum { .. } | FieldType::Set | FieldType::Json => "TEXT",
    }
}

/// Gives a statement its next value.
pub(super) fn bind<'q>(statement: Statement<'q>, value: &Value) -> Statement<'q> {
    match value {
        Value::Null => statement.bind(None::<i64>),
        Value::Text(text) => statement.bind(text.clone()),
        Value::Integer(n) | Value::Decimal(n) | Value::Timestamp(n) => statement.bind(*n),
        Value::Real(real) => statement.bind(*real),
        Value::Boolean(b) => statement.bind(i64::from(*b)),
        Value::Date(days) => statement.bind(i64::from(*days)),
        Value::Uuid(id) => statement.bind(*id),
        Value::Set(elements) => {
            let json: serde_json::Value = elements.iter().cloned().collect();
            statement.bind(json.to_string())
        }
        Value::Json(json) => statement.bind(json.to_string()),
    }
}

/// Reads a column as a value.
pub(super) fn read(row: &SqliteRow, index: usize, kind: &FieldType) -> Result<Value, StoreError> {
    let int = || row.try_get_unchecked::<Option<i64>, _>(index).map_err(failed);
    let text = || row.try_get_unchecked::<Option<String>, _>(index).map_err(failed);
    let value = match kind {
        FieldType::Integer => int()?.map(Value::Integer),
        FieldType::Decimal { .. } => int()?.map(Value::Decimal),
        FieldType::Timestamp => int()?.map(Value::Timestamp),
        FieldType::Boolean => int()?.map(|n| Value::Boolean(n != 0)),
        FieldType::Date => match int()? {
            Some(days) => Some(Value::Date(i32::try_from(days).map_err(damaged)?)),
            None => None,
        },
        FieldType::Real => {
            row.try_get_unchecked::<Option<f64>, _>(index).map_err(failed)?.map(Value::Real)
        }
        FieldType::Uuid => {
            row.try_get_unchecked::<Option<Uuid>, _>(index).map_err(failed)?.map(Value::Uuid)
        }
        FieldType::Text | FieldType::Enum { .. } => text()?.map(Value::Text),
        FieldType::Set => match text()? {
            Some(json) => Some(Value::Set(serde_json::from_str(&json).map_err(damaged)?)),
            None => None,
        },
        FieldType::Json => match text()? {
            Some(json) => Some(Value::Json(serde_json::from_str(&json).map_err(damaged)?)),
            None => None,
        },
    };
    Ok(value.unwrap_or(Value::Null))
}

/// Appends a row's column to a page's.
pub(super) fn append(column: &mut Column, row: &SqliteRow, index: usize) -> Result<(), StoreError> {
    match column {
        Column::Int(values) => values.push(row.try_get_unchecked(index).map_err(failed)?),
        Column::Real(values) => values.push(row.try_get_unchecked(index).map_err(failed)?),
        Column::Uuid(values) => values.push(row.try_get_unchecked(index).map_err(failed)?),
        Column::Text(values) => {
            values.push(row.try_get_unchecked::<Option<&str>, _>(index).map_err(failed)?);
        }
    }
    Ok(())
}

/// Reads a column that holds a record's id.
pub(super) fn record(row: &SqliteRow, index: usize) -> Result<RecordId, StoreError> {
    row.try_get_unchecked::<Uuid, _>(index).map(RecordId).map_err(failed)
}

/// Ids as a JSON array of hexadecimal texts, for `SELECT unhex(value) FROM json_each(?)`.
pub(super) fn ids_json<'a>(ids: impl IntoIterator<Item = &'a RecordId>) -> String {
    let mut json = String::from("[");
    for id in ids {
        if json.len() > 1 {
            json.push(',');
        }
        json.push('"');
        json.push_str(id.0.simple().encode_lower(&mut Uuid::encode_buffer()));
        json.push('"');
    }
    json.push(']');
    json
}
