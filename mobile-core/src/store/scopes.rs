//! Sets of scopes: each row is in one, named by a small number.
//!
//! Rows of a history that ended are *stale* until they came anew or did not: the number of their set is
//! negative. The set itself stays known, so that a row that is in no scope held any more leaves with the
//! first page, not with the last.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, params};
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::Schema;
use sync_protocol::{RecordId, Scope};

use super::meta::{self, name};
use super::rows;
use super::tables::{self, quoted};
use crate::CoreError;

/// The set of a row that the server does not have (yet).
pub const NONE: i64 = 0;
/// No set has this number. It is given to a row of which nobody knows any more what scopes it is in, so that
/// a new beginning takes it off unless it comes again.
pub const UNKNOWN: i64 = i64::MAX;

/// The number of a set; the empty set is [`NONE`].
///
/// # Errors
/// Those of SQLite.
pub fn number(db: &Connection, scopes: &BTreeSet<Scope>) -> Result<i64, CoreError> {
    if scopes.is_empty() {
        return Ok(NONE);
    }
    let text = serde_json::to_string(scopes)?;
    let known = db
        .prepare_cached("SELECT id FROM campo_scope_set WHERE scopes = ?1")?
        .query_row([&text], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    db.prepare_cached("INSERT INTO campo_scope_set (scopes) VALUES (?1)")?.execute([&text])?;
    Ok(db.last_insert_rowid())
}

/// Takes scopes off the device: rows in no other scope leave, also staged ones; the sets of the
/// others shrink. Rows with edits in the view are computed anew from what is left. Answers how many left.
///
/// # Errors
/// Those of SQLite.
pub fn drop_scopes(db: &Connection, schema: &Schema, drops: &[Scope]) -> Result<u64, CoreError> {
    if drops.is_empty() || planted::is(Bug::DropIgnored) {
        return Ok(0);
    }
    let mut gone = 0;
    let drops: BTreeSet<&Scope> = drops.iter().collect();
    let begun_anew = meta::get(db, name::BEGUN_ANEW)?.is_some();
    for (before, set) in sets(db)? {
        let left: BTreeSet<Scope> = set.iter().filter(|s| !drops.contains(s)).cloned().collect();
        if left.len() == set.len() {
            continue;
        }
        let after = match planted::is(Bug::FirstLostScopeTakesRow) {
            true => NONE,
            false => number(db, &left)?,
        };
        if after == NONE {
            db.execute(
                "UPDATE campo_staged SET content = NULL, checksum = 0, scopes = 0 WHERE scopes = ?1",
                [before],
            )?;
        } else {
            db.execute(
                "UPDATE campo_staged SET scopes = ?2 WHERE scopes = ?1",
                params![before, after],
            )?;
        }
        gone += move_rows(db, schema, before, after)?;
        if begun_anew {
            gone += move_rows(db, schema, -before, -after)?;
        }
    }
    for scope in drops {
        db.execute("DELETE FROM campo_backfill WHERE scope = ?1", [scope.as_str()])?;
    }
    Ok(gone)
}

/// Begins anew after a history that ended: every row counts as stale until a backfill brings it again.
/// Edits are not touched.
///
/// # Errors
/// Those of SQLite.
pub fn mark_all_stale(db: &Connection) -> Result<(), CoreError> {
    if !planted::is(Bug::StagedRowsKept) {
        db.execute_batch("DELETE FROM campo_staged; DELETE FROM campo_staged_receipt;")?;
    }
    db.execute_batch(
        "DELETE FROM campo_backfill;
         UPDATE campo_server_row SET scopes = -scopes WHERE scopes > 0;",
    )?;
    for collection in tables::collections(db)? {
        let table = quoted(&collection);
        db.execute(&format!("UPDATE {table} SET _scopes = -_scopes WHERE _scopes > 0"), [])?;
    }
    Ok(())
}

/// Takes off stale rows that are in none of these scopes, which are all that the user has now; the sets of
/// the others shrink. Answers how many left.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn take_off_lost(db: &Connection, schema: &Schema, held: &[Scope]) -> Result<u64, CoreError> {
    if planted::is(Bug::StaleRowsKept) {
        return Ok(0);
    }
    let mut lost = Vec::new();
    for (id, set) in sets(db)? {
        let left: BTreeSet<Scope> = set.iter().filter(|s| held.contains(s)).cloned().collect();
        if left.is_empty() {
            lost.push(-id);
        } else if left.len() < set.len() {
            move_rows(db, schema, -id, -number(db, &left)?)?;
        }
    }
    // Rows of a set that is damaged are in none of the scopes, as far as anybody knows.
    let known: BTreeSet<i64> = sets(db)?.into_iter().map(|(id, _)| -id).collect();
    lost.extend(stale_sets(db, schema)?.difference(&known));
    take_off(db, schema, lost.into_iter())
}

/// Takes off what is stale: called when everything that the server has was brought anew. Answers how many left.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn sweep_stale(db: &Connection, schema: &Schema) -> Result<u64, CoreError> {
    if planted::is(Bug::StaleRowsKept) {
        return Ok(0);
    }
    take_off(db, schema, stale_sets(db, schema)?.into_iter())
}

/// The sets that stale rows are in, also those that are not known any more.
fn stale_sets(db: &Connection, schema: &Schema) -> Result<BTreeSet<i64>, CoreError> {
    let beside =
        std::iter::once("SELECT DISTINCT scopes FROM campo_server_row WHERE scopes < 0".to_owned());
    let tables = schema
        .collections
        .keys()
        .map(|name| format!("SELECT DISTINCT _scopes FROM {} WHERE _scopes < 0", quoted(name)));
    let mut stale = BTreeSet::new();
    for sql in beside.chain(tables) {
        let mut statement = db.prepare(&sql)?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            stale.insert(row.get(0)?);
        }
    }
    Ok(stale)
}

/// All sets by their numbers. One that cannot be read is left out: [`crate::verify::mend`] removes it.
///
/// # Errors
/// Those of SQLite.
pub fn sets(db: &Connection) -> Result<Vec<(i64, BTreeSet<Scope>)>, CoreError> {
    let mut statement = db.prepare("SELECT id, scopes FROM campo_scope_set")?;
    let mut found = statement.query([])?;
    let mut sets = Vec::new();
    while let Some(row) = found.next()? {
        let set = row.get_ref(1)?.as_str().ok().and_then(|text| serde_json::from_str(text).ok());
        if let Some(set) = set {
            sets.push((row.get(0)?, set));
        }
    }
    Ok(sets)
}

/// Gives rows of one set another one, or takes them off where that is none. Answers how many left.
fn move_rows(db: &Connection, schema: &Schema, before: i64, after: i64) -> Result<u64, CoreError> {
    if after == NONE {
        return take_off(db, schema, std::iter::once(before));
    }
    db.execute(
        "UPDATE campo_server_row SET scopes = ?2 WHERE scopes = ?1",
        params![before, after],
    )?;
    for collection in schema.collections.values() {
        let table = quoted(&collection.name);
        let sql = format!("UPDATE {table} SET _scopes = ?2 WHERE _scopes = ?1");
        db.execute(&sql, params![before, after])?;
    }
    Ok(0)
}

/// Takes off the rows of these sets. Those with edits in the view are computed anew without the server's
/// state. Answers how many rows of the server that were.
fn take_off(
    db: &Connection,
    schema: &Schema,
    sets: impl Iterator<Item = i64>,
) -> Result<u64, CoreError> {
    let sets = serde_json::to_string(&sets.collect::<Vec<i64>>())?;
    let mut statement = db.prepare(
        "SELECT collection, record FROM campo_server_row
         WHERE scopes IN (SELECT value FROM json_each(?1))",
    )?;
    let edited: Vec<(String, String)> = statement
        .query_map([&sets], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    db.execute(
        "UPDATE campo_server_row SET scopes = 0, version = 0, content = NULL, checksum = 0
         WHERE scopes IN (SELECT value FROM json_each(?1))",
        [&sets],
    )?;
    let mut gone = edited.len();
    for collection in schema.collections.values() {
        let table = quoted(&collection.name);
        gone += db.execute(
            &format!(
                "DELETE FROM {table}
                 WHERE _scopes IN (SELECT value FROM json_each(?1)) AND _pending = 0"
            ),
            [&sets],
        )?;
    }
    for (collection, record) in edited {
        if let Some(collection) = schema.collection(&collection) {
            let record: RecordId =
                record.parse().map_err(|_| CoreError::Stored("record id".to_owned()))?;
            rows::recompute(db, collection, record)?;
        }
    }
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}
