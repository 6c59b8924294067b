//! Rows of a delta that wait for its checkpoint.

use rusqlite::{Connection, params};
use sync_protocol::RecordId;
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::{Collection, Schema};
use sync_protocol::value::fields_to_json;
use sync_protocol::wire::pull::PageTable;
use sync_protocol::wire::receipt::Receipt;

use crate::CoreError;
use crate::outbox::settle;
use crate::store::rows::{self, ServerRow, Touched};
use crate::store::{checksum, scopes};
use crate::verify::damage::{self, Kind};

/// Puts a page's rows aside. A later page of the same round overwrites an earlier one.
///
/// # Errors
/// Those of SQLite.
pub fn stage(
    db: &Connection,
    collection: &Collection,
    table: &PageTable,
    sets: &[i64],
) -> Result<(), CoreError> {
    let mut statement = db.prepare_cached(
        "INSERT OR REPLACE INTO campo_staged (collection, record, version, scopes, content, checksum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut contents = super::Contents::of(collection, table)?;
    for (row, id) in table.ids.iter().enumerate() {
        let scopes = sets[table.scope_sets[row] as usize];
        let content = if scopes == scopes::NONE {
            None
        } else {
            let fields = contents.take(row);
            Some(serde_json::to_string(&fields_to_json(&collection.fields, &fields))?)
        };
        statement.execute(params![
            collection.name,
            id.to_string(),
            table.versions[row],
            scopes,
            content,
            checksum::of_optional(content.as_deref()),
        ])?;
    }
    for id in &table.exits {
        let none: Option<String> = None;
        let (id, sum) = (id.to_string(), checksum::of_optional(None));
        statement.execute(params![collection.name, id, 0, scopes::NONE, none, sum])?;
    }
    Ok(())
}

/// Puts receipts aside.
///
/// # Errors
/// Those of SQLite.
pub fn stage_receipts(db: &Connection, receipts: &[Receipt]) -> Result<(), CoreError> {
    for receipt in receipts {
        db.prepare_cached(
            "INSERT OR REPLACE INTO campo_staged_receipt (id, receipt) VALUES (?1, ?2)",
        )?
        .execute(params![receipt.id.to_string(), serde_json::to_string(receipt)?])?;
    }
    Ok(())
}

/// Whether nothing waits for a checkpoint.
///
/// # Errors
/// Those of SQLite.
pub fn is_empty(db: &Connection) -> Result<bool, CoreError> {
    Ok(db
        .prepare_cached(
            "SELECT NOT EXISTS (SELECT 1 FROM campo_staged)
                AND NOT EXISTS (SELECT 1 FROM campo_staged_receipt)",
        )?
        .query_row([], |row| row.get(0))?)
}

/// Forgets staged rows that a backfill page brings from a snapshot that is at least as new.
///
/// # Errors
/// Those of SQLite.
pub fn forget(db: &Connection, table: &PageTable) -> Result<(), CoreError> {
    let mut statement =
        db.prepare_cached("DELETE FROM campo_staged WHERE collection = ?1 AND record = ?2")?;
    let any: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM campo_staged)")?
        .query_row([], |row| row.get(0))?;
    if any {
        for id in table.ids.iter().chain(&table.exits) {
            statement.execute(params![table.collection, id.to_string()])?;
        }
    }
    Ok(())
}

fn is_staged(db: &Connection, collection: &str, record: RecordId) -> Result<bool, CoreError> {
    Ok(db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM campo_staged WHERE collection = ?1 AND record = ?2)",
        )?
        .query_row(params![collection, record.to_string()], |row| row.get(0))?)
}

/// Shows everything that waited, and settles the edits that waited with it.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn show(db: &Connection, schema: &Schema, touched: &mut Touched) -> Result<(), CoreError> {
    if is_empty(db)? {
        return Ok(());
    }
    let awaited = damage::awaits_rows(db)?;
    // Once for each collection: it looks through the open edits, not through the rows.
    for name in schema.collections.keys() {
        let came = |record| is_staged(db, name, record);
        settle::take_in(db, schema, name, &came, touched)?;
    }
    let mut statement = db.prepare_cached(
        "SELECT collection, record, version, scopes, content, checksum FROM campo_staged
         ORDER BY collection, record",
    )?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let name: String = row.get(0)?;
        let Some(collection) = schema.collection(&name) else { continue };
        let record: String = row.get(1)?;
        let record: RecordId =
            record.parse().map_err(|_| CoreError::Stored("staged record id".to_owned()))?;
        let content: Option<String> = row.get(4)?;
        let written: i64 = row.get(5)?;
        let whole = written == 0 || written == checksum::of_optional(content.as_deref());
        if !whole && !planted::is(Bug::StagedDamageShown) {
            let place = damage::row_place(&name, &record.to_string());
            damage::found(db, Kind::Content, &place, "what waited was not what the server sent")?;
            damage::refetch(db, &name, record)?;
            continue;
        }
        let state = match content {
            Some(content) => Some(ServerRow {
                fields: rows::fields_from_json(collection, &serde_json::from_str(&content)?)?,
                version: row.get(2)?,
                scopes: row.get(3)?,
            }),
            None => None,
        };
        if awaited {
            damage::came(db, &name, record)?;
        }
        let edited = rows::has_edits(db, &name, record)?;
        // One whose last edit has just left the view still has its server state beside the table.
        if edited || touched.contains(&(name.clone(), record)) {
            rows::put_beside(db, collection, record, state.as_ref())?;
            touched.insert((name, record));
        } else {
            rows::set_server_state(db, collection, record, state.as_ref())?;
        }
    }
    drop(found);
    let mut statement =
        db.prepare_cached("SELECT receipt FROM campo_staged_receipt ORDER BY id")?;
    let receipts: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for receipt in receipts {
        settle::settle(db, schema, &serde_json::from_str(&receipt)?, touched)?;
    }
    db.execute_batch("DELETE FROM campo_staged; DELETE FROM campo_staged_receipt;")?;
    Ok(())
}
