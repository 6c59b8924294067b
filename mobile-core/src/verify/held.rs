//! What this device holds of the server's rows: for each scope and collection, ids and versions.
//!
//! Of a row with edits in the view the server's state counts, which is kept beside the table.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sync_protocol::digest::RowSet;
use sync_protocol::schema::{Collection, Schema};
use sync_protocol::{RecordId, RowVersion, Scope};

use crate::CoreError;
use crate::store::scopes;
use crate::store::tables::quoted;

/// Sets of scopes by their numbers.
pub type Sets = HashMap<i64, Vec<Scope>>;

/// The sets that can be read.
///
/// # Errors
/// Those of SQLite.
pub fn sets(db: &Connection) -> Result<Sets, CoreError> {
    Ok(scopes::sets(db)?.into_iter().map(|(id, set)| (id, set.into_iter().collect())).collect())
}

/// What there is, by scope and collection.
///
/// # Errors
/// Those of SQLite.
pub fn all(
    db: &Connection,
    schema: &Schema,
) -> Result<BTreeMap<(Scope, String), RowSet>, CoreError> {
    let sets = sets(db)?;
    let mut held = BTreeMap::new();
    for collection in schema.collections.values() {
        // By number of the set first: most rows are in few sets.
        let mut by_set: HashMap<i64, RowSet> = HashMap::new();
        each(db, collection, |row| {
            by_set.entry(row.set).or_default().add(row.record, row.version);
            Ok(())
        })?;
        for (set, rows) in by_set {
            for scope in sets.get(&set).into_iter().flatten() {
                let key = (scope.clone(), collection.name.clone());
                let all: &mut RowSet = held.entry(key).or_default();
                all.rows += rows.rows;
                all.digest.0 ^= rows.digest.0;
            }
        }
    }
    Ok(held)
}

/// The rows of one scope.
///
/// # Errors
/// Those of SQLite.
pub fn rows(
    db: &Connection,
    collection: &Collection,
    scope: &Scope,
) -> Result<BTreeMap<RecordId, RowVersion>, CoreError> {
    let sets = sets(db)?;
    let with: HashSet<i64> =
        sets.iter().filter(|(_, set)| set.contains(scope)).map(|(id, _)| *id).collect();
    let mut rows = BTreeMap::new();
    each(db, collection, |row| {
        if with.contains(&row.set) {
            rows.insert(row.record, row.version);
        }
        Ok(())
    })?;
    Ok(rows)
}

/// A row of the server's, as it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub record: RecordId,
    /// Its version; -1 for what is none.
    pub version: RowVersion,
    /// The number of its set of scopes.
    pub set: i64,
}

/// Calls `take` with each row of a collection that the server has in a scope, as this device knows it.
/// Rows whose id is none are left out: [`super::mend`] finds them.
///
/// # Errors
/// Those of SQLite and of `take`.
pub fn each(
    db: &Connection,
    collection: &Collection,
    mut take: impl FnMut(Held) -> Result<(), CoreError>,
) -> Result<(), CoreError> {
    let mut beside: HashSet<RecordId> = HashSet::new();
    let mut statement = db.prepare_cached(
        "SELECT record, version, scopes, content IS NOT NULL FROM campo_server_row WHERE collection = ?1",
    )?;
    let mut found = statement.query([&collection.name])?;
    while let Some(row) = found.next()? {
        let Some(record) = record(row.get_ref(0)?) else { continue };
        beside.insert(record);
        let (version, set) = (number(row.get_ref(1)?), number(row.get_ref(2)?));
        if row.get(3)? && set > 0 {
            take(Held { record, version, set })?;
        }
    }
    let table = quoted(&collection.name);
    let mut statement =
        db.prepare(&format!("SELECT id, _version, _scopes FROM {table} WHERE _scopes <> 0"))?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let Some(record) = record(row.get_ref(0)?) else { continue };
        let (version, set) = (number(row.get_ref(1)?), number(row.get_ref(2)?));
        if set > 0 && !beside.contains(&record) {
            take(Held { record, version, set })?;
        }
    }
    Ok(())
}

fn record(value: ValueRef<'_>) -> Option<RecordId> {
    value.as_str().ok()?.parse().ok()
}

fn number(value: ValueRef<'_>) -> i64 {
    value.as_i64().unwrap_or(-1)
}
