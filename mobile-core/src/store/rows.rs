//! Rows: reading and writing them, and keeping table, server state and edits together.
//!
//! A record without edits in the view has its server state in the table (`_pending = 0`). With the
//! first such edit the server's state moves to `campo_server_row` ([`keep_server_state`]), and the
//! table shows what [`crate::view`] makes of both ([`recompute`]), until the last edit has left.

use std::collections::{BTreeSet, HashSet};

use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};
use sync_protocol::schema::{Collection, FieldType};
use sync_protocol::value::{fields_to_json, format_date};
use sync_protocol::wire::push::Mutation;
use sync_protocol::{Fields, RecordId, RowVersion, Value};

use super::checksum::{self, FieldChecksum};
use super::{scopes, tables};
use crate::CoreError;
use crate::verify::damage::{self, Kind};
use crate::view::{stored_value, view};

/// A row as the server has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerRow {
    /// Its content.
    pub fields: Fields,
    /// Its version.
    pub version: RowVersion,
    /// The number of its set of scopes.
    pub scopes: i64,
}

/// A row as the app sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its content.
    pub fields: Fields,
    /// The server's version; 0 for a row that is not there yet.
    pub version: RowVersion,
    /// The number of its set of scopes.
    pub scopes: i64,
    /// How many of its edits are not settled.
    pub pending: i64,
}

/// A row without edits is what the server has.
impl From<Row> for ServerRow {
    fn from(row: Row) -> Self {
        Self { fields: row.fields, version: row.version, scopes: row.scopes }
    }
}

/// Records whose view has to be computed anew, by their collections.
pub type Touched = BTreeSet<(String, RecordId)>;

/// A value as SQLite stores it.
#[must_use]
pub fn to_sql(value: &Value) -> Sql {
    match value {
        Value::Null => Sql::Null,
        Value::Text(text) => Sql::Text(text.clone()),
        Value::Integer(n) | Value::Decimal(n) | Value::Timestamp(n) => Sql::Integer(*n),
        Value::Real(real) => Sql::Real(*real),
        Value::Boolean(b) => Sql::Integer(i64::from(*b)),
        Value::Date(days) => Sql::Text(format_date(*days)),
        Value::Uuid(id) => Sql::Text(id.to_string()),
        Value::Set(elements) => {
            let json: serde_json::Value = elements.iter().cloned().collect();
            Sql::Text(json.to_string())
        }
        Value::Json(json) => Sql::Text(json.to_string()),
    }
}

/// A value from SQLite. `None` if it is none of this type.
#[must_use]
pub fn from_sql(kind: &FieldType, value: ValueRef<'_>) -> Option<Value> {
    Some(match (kind, value) {
        (_, ValueRef::Null) => Value::Null,
        (FieldType::Integer, ValueRef::Integer(n)) => Value::Integer(n),
        (FieldType::Decimal { .. }, ValueRef::Integer(n)) => Value::Decimal(n),
        (FieldType::Timestamp, ValueRef::Integer(n)) => Value::Timestamp(n),
        (FieldType::Boolean, ValueRef::Integer(n)) => Value::Boolean(n != 0),
        (FieldType::Real, ValueRef::Real(real)) => Value::Real(real),
        (FieldType::Set | FieldType::Json, ValueRef::Text(text)) => {
            stored_value(kind, &serde_json::from_slice(text).ok()?)?
        }
        (_, ValueRef::Text(text)) => {
            stored_value(kind, &serde_json::Value::from(std::str::from_utf8(text).ok()?))?
        }
        _ => return None,
    })
}

/// Reads the row that the app sees.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`] for a value of another type.
pub fn read(
    db: &Connection,
    collection: &Collection,
    record: RecordId,
) -> Result<Option<Row>, CoreError> {
    read_with(db, collection, record, |field| {
        Err(CoreError::Stored(format!("{}.{field} of {record}", collection.name)))
    })
}

/// As [`read`], but a value that cannot be read is none: for what goes on although a row is damaged.
///
/// # Errors
/// Those of SQLite.
pub fn read_legible(
    db: &Connection,
    collection: &Collection,
    record: RecordId,
) -> Result<Option<Row>, CoreError> {
    read_with(db, collection, record, |_| Ok(Value::Null))
}

fn read_with(
    db: &Connection,
    collection: &Collection,
    record: RecordId,
    illegible: impl Fn(&str) -> Result<Value, CoreError>,
) -> Result<Option<Row>, CoreError> {
    let mut statement = db.prepare_cached(&tables::select_one(collection))?;
    let mut found = statement.query([record.to_string()])?;
    let Some(sql) = found.next()? else { return Ok(None) };
    let mut fields = Fields::new();
    for (index, field) in collection.fields.iter().enumerate() {
        let value = match from_sql(&field.kind, sql.get_ref(index)?) {
            Some(value) => value,
            None => illegible(&field.name)?,
        };
        fields.insert(field.name.clone(), value);
    }
    let next = collection.fields.len();
    Ok(Some(Row {
        fields,
        version: sql.get(next)?,
        scopes: sql.get(next + 1)?,
        pending: sql.get(next + 2)?,
    }))
}

/// The server's state of a record: from beside the table if it has edits, else from the table.
///
/// # Errors
/// As [`read`].
pub fn server_state(
    db: &Connection,
    collection: &Collection,
    record: RecordId,
) -> Result<Option<ServerRow>, CoreError> {
    let kept: Option<(RowVersion, i64, Option<String>)> = db
        .prepare_cached(
            "SELECT version, scopes, content FROM campo_server_row
             WHERE collection = ?1 AND record = ?2",
        )?
        .query_row(params![collection.name, record.to_string()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    match kept {
        Some((version, scopes, Some(content))) => {
            let fields = fields_from_json(collection, &serde_json::from_str(&content)?)?;
            Ok(Some(ServerRow { fields, version, scopes }))
        }
        Some((_, _, None)) => Ok(None),
        None => Ok(read(db, collection, record)?.map(ServerRow::from)),
    }
}

/// Reads stored content; fields that the schema no longer has are left out, new ones are null.
///
/// # Errors
/// [`CoreError::Stored`] for a value of another type.
pub fn fields_from_json(
    collection: &Collection,
    json: &serde_json::Map<String, serde_json::Value>,
) -> Result<Fields, CoreError> {
    let mut fields = Fields::new();
    for field in &collection.fields {
        let value = match json.get(&field.name) {
            None => Value::Null,
            // A value that does not fit is one from before the field's type changed.
            Some(json) => stored_value(&field.kind, json).unwrap_or(Value::Null),
        };
        fields.insert(field.name.clone(), value);
    }
    Ok(fields)
}

/// Moves the server's state of a record beside the table, before its first edit gets into the view. One that
/// is damaged is noted and to be asked for: there it gets another checksum, which fits.
///
/// # Errors
/// As [`read`].
pub fn keep_server_state(
    db: &Connection,
    collection: &Collection,
    record: RecordId,
) -> Result<(), CoreError> {
    if is_beside(db, &collection.name, record)? {
        return Ok(());
    }
    if !is_whole(db, collection, record)? {
        let place = damage::row_place(&collection.name, &record.to_string());
        damage::found(db, Kind::Content, &place, "the content is not what was written")?;
        damage::refetch(db, &collection.name, record)?;
    }
    let state = read_legible(db, collection, record)?.map(ServerRow::from);
    put_beside(db, collection, record, state.as_ref())
}

/// Whether the content of a record in the table, if it is there, is what was written.
fn is_whole(db: &Connection, collection: &Collection, record: RecordId) -> Result<bool, CoreError> {
    let mut statement = db.prepare_cached(&tables::select_one_for_checksum(collection))?;
    let mut found = statement.query([record.to_string()])?;
    let Some(row) = found.next()? else { return Ok(true) };
    let written = row.get_ref(1)?.as_i64().unwrap_or(-1);
    let fields = field_checksums(collection);
    Ok(written == checksum::UNKNOWN || written == checksum_of(row, 3, &fields)?)
}

/// Writes the server's state of a record beside the table. The caller recomputes the record.
///
/// # Errors
/// Those of SQLite.
pub fn put_beside(
    db: &Connection,
    collection: &Collection,
    record: RecordId,
    state: Option<&ServerRow>,
) -> Result<(), CoreError> {
    let content = state
        .map(|row| serde_json::to_string(&fields_to_json(&collection.fields, &row.fields)))
        .transpose()?;
    db.prepare_cached(
        "INSERT INTO campo_server_row (collection, record, version, scopes, content, checksum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (collection, record) DO UPDATE
         SET version = excluded.version, scopes = excluded.scopes, content = excluded.content,
             checksum = excluded.checksum",
    )?
    .execute(params![
        collection.name,
        record.to_string(),
        state.map_or(0, |row| row.version),
        state.map_or(scopes::NONE, |row| row.scopes),
        content,
        checksum::of_optional(content.as_deref()),
    ])?;
    Ok(())
}

/// Whether the record has edits in the view.
///
/// # Errors
/// Those of SQLite.
pub fn has_edits(db: &Connection, collection: &str, record: RecordId) -> Result<bool, CoreError> {
    Ok(db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM campo_mutation
             WHERE collection = ?1 AND record = ?2 AND in_view = 1)",
        )?
        .query_row(params![collection, record.to_string()], |row| row.get(0))?)
}

/// Whether the server's state of a record is kept beside the table.
///
/// # Errors
/// Those of SQLite.
pub fn is_beside(db: &Connection, collection: &str, record: RecordId) -> Result<bool, CoreError> {
    Ok(db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM campo_server_row WHERE collection = ?1 AND record = ?2)",
        )?
        .query_row(params![collection, record.to_string()], |row| row.get(0))?)
}

/// The ids, as they are stored, of all records of a collection whose server's state is kept beside the table.
///
/// # Errors
/// Those of SQLite.
pub fn beside(db: &Connection, collection: &str) -> Result<HashSet<String>, CoreError> {
    let mut statement =
        db.prepare_cached("SELECT record FROM campo_server_row WHERE collection = ?1")?;
    let mut found = statement.query([collection])?;
    let mut ids = HashSet::new();
    while let Some(row) = found.next()? {
        ids.extend(row.get_ref(0)?.as_str().ok().map(str::to_owned));
    }
    Ok(ids)
}

/// Takes over what the server has of a record (`None`: nothing that this person may see).
///
/// # Errors
/// Those of SQLite.
pub fn set_server_state(
    db: &Connection,
    collection: &Collection,
    record: RecordId,
    state: Option<&ServerRow>,
) -> Result<(), CoreError> {
    if has_edits(db, &collection.name, record)? {
        put_beside(db, collection, record, state)?;
        return recompute(db, collection, record);
    }
    match state {
        Some(row) => show(db, collection, record, &row.fields, (row.version, row.scopes), 0),
        None => hide(db, collection, record),
    }
}

/// Computes anew what the app sees of a record whose edits or server state changed. A row that has no edits
/// and nothing beside it is left as it is: written again, it would get a checksum that fits, damaged or not.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn recompute(
    db: &Connection,
    collection: &Collection,
    record: RecordId,
) -> Result<(), CoreError> {
    let edits = edits_in_view(db, &collection.name, record)?;
    if edits.is_empty() && !is_beside(db, &collection.name, record)? {
        return Ok(());
    }
    let server = server_state(db, collection, record)?;
    let pending = i64::try_from(edits.len()).unwrap_or(i64::MAX);
    let seen = view(collection, server.as_ref().map(|row| &row.fields), &edits);
    if edits.is_empty() {
        db.prepare_cached("DELETE FROM campo_server_row WHERE collection = ?1 AND record = ?2")?
            .execute(params![collection.name, record.to_string()])?;
    }
    match seen {
        Some(fields) => {
            let place = server.map_or((0, scopes::NONE), |row| (row.version, row.scopes));
            show(db, collection, record, &fields, place, pending)
        }
        None => hide(db, collection, record),
    }
}

/// Computes anew what the app sees of all records with edits in the view, after their table has changed:
/// an edit may set a field that was not there.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn recompute_edited(db: &Connection, collection: &Collection) -> Result<(), CoreError> {
    let mut statement = db.prepare_cached(
        "SELECT record FROM campo_mutation WHERE collection = ?1 AND in_view = 1
         UNION SELECT record FROM campo_server_row WHERE collection = ?1",
    )?;
    let records: Vec<String> =
        statement.query_map([&collection.name], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for record in records {
        let record = record.parse().map_err(|_| CoreError::Stored("record id".to_owned()))?;
        // It went with a table that the schema had lost. What is kept beside loses its columns as well: who
        // may not read a field any more has it nowhere.
        let state = server_state(db, collection, record)?;
        put_beside(db, collection, record, state.as_ref())?;
        recompute(db, collection, record)?;
    }
    Ok(())
}

/// The edits of a record that are in the view, in order.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn edits_in_view(
    db: &Connection,
    collection: &str,
    record: RecordId,
) -> Result<Vec<Mutation>, CoreError> {
    let mut statement = db.prepare_cached(
        "SELECT m.content FROM campo_mutation m JOIN campo_outbox o ON o.seq = m.seq
         WHERE m.collection = ?1 AND m.record = ?2 AND m.in_view = 1
         ORDER BY o.ord, o.seq, m.position",
    )?;
    let mut found = statement.query(params![collection, record.to_string()])?;
    let mut edits = Vec::new();
    while let Some(row) = found.next()? {
        edits.push(serde_json::from_str(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?);
    }
    Ok(edits)
}

fn show(
    db: &Connection,
    collection: &Collection,
    record: RecordId,
    fields: &Fields,
    (version, scopes): (RowVersion, i64),
    pending: i64,
) -> Result<(), CoreError> {
    let names = collection.fields.iter().map(|f| f.name.as_str());
    let mut statement = db.prepare_cached(&tables::upsert(&collection.name, names.clone()))?;
    let values: Vec<Sql> =
        names.clone().map(|name| fields.get(name).map_or(Sql::Null, to_sql)).collect();
    let checksum = names
        .zip(&values)
        .fold(0, |sum, (name, value)| sum ^ FieldChecksum::new(name).of(ValueRef::from(value)));
    let own = [version, scopes, pending, checksum::of_row(checksum)];
    let parameters =
        std::iter::once(Sql::Text(record.to_string())).chain(values).chain(own.map(Sql::Integer));
    statement.execute(params_from_iter(parameters))?;
    Ok(())
}

fn hide(db: &Connection, collection: &Collection, record: RecordId) -> Result<(), CoreError> {
    let table = tables::quoted(&collection.name);
    db.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?
        .execute([record.to_string()])?;
    Ok(())
}

/// The beginnings of the checksums of a collection's fields.
#[must_use]
pub fn field_checksums(collection: &Collection) -> Vec<FieldChecksum> {
    collection.fields.iter().map(|field| FieldChecksum::new(&field.name)).collect()
}

/// The checksum of a row whose fields begin at this column.
///
/// # Errors
/// Those of SQLite.
pub fn checksum_of(
    row: &rusqlite::Row<'_>,
    first: usize,
    fields: &[FieldChecksum],
) -> Result<i64, CoreError> {
    let mut sum = 0;
    for (index, field) in fields.iter().enumerate() {
        sum ^= field.of(row.get_ref(first + index)?);
    }
    Ok(checksum::of_row(sum))
}
