//! At a checkpoint: whether the device holds what the server says.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};
use sync_protocol::Scope;
use sync_protocol::digest::RowSet;
use sync_protocol::schema::Schema;
use sync_protocol::wire::pull::ScopeDigest;

use super::damage::{self, Kind};
use super::held;
use crate::CoreError;
use crate::store::meta::{self, name};

/// How long after a comparison the next one is due, in microseconds of the server's clock. It reads all
/// ids and versions, some tens of milliseconds for 100,000 rows on a cheap phone.
const EVERY_US: i64 = 10 * 60 * 1_000_000;
/// In place of the time of the last comparison: the next checkpoint brings digests, also that of a new
/// beginning.
const DUE: i64 = 0;
/// How long after everything was brought anew because digests differed it may be so again.
const ANEW_EVERY_US: i64 = 24 * 60 * 60 * 1_000_000;

/// Whether the next checkpoint is to bring digests.
///
/// Not with the first sync: there a comparison would be a tenth of its time, and the next round makes up
/// for it.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn is_due(db: &Connection) -> Result<bool, CoreError> {
    let (suspects, backfilling): (bool, bool) = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM campo_suspect), EXISTS (SELECT 1 FROM campo_backfill)",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let last = meta::get_json::<i64>(db, name::VERIFIED_US)?;
    if suspects || last == Some(DUE) {
        return Ok(true);
    }
    if meta::get(db, name::CURSOR)?.is_none() {
        return Ok(false);
    }
    let Some(last) = last else { return Ok(true) };
    let checkpoint = meta::get_number(db, name::LAST_CHECKPOINT_US)?;
    // The server's clock may have been set back.
    Ok(backfilling || checkpoint.abs_diff(last) >= EVERY_US.unsigned_abs())
}

/// The next checkpoint is to bring digests, whenever the last one was.
///
/// # Errors
/// Those of SQLite.
pub fn make_due(db: &Connection) -> Result<(), CoreError> {
    meta::set_json(db, name::VERIFIED_US, &DUE)
}

/// Compares what is held with what a checkpoint told. What differs is suspect from now on, and what was
/// suspect and is right is so no more. Answers how many sets of rows differ.
///
/// # Errors
/// Those of SQLite.
pub fn compare(
    db: &Connection,
    schema: &Schema,
    told: &[ScopeDigest],
    server_time_us: i64,
) -> Result<u64, CoreError> {
    let here = held::all(db, schema)?;
    let there: BTreeMap<(Scope, String), RowSet> = told
        .iter()
        .map(|told| ((told.scope.clone(), told.collection.clone()), told.set()))
        .collect();
    // All that the server knows of is whole now, whatever this device thought.
    db.execute("DELETE FROM campo_backfill", [])?;
    db.execute("DELETE FROM campo_suspect", [])?;
    let keys: BTreeSet<&(Scope, String)> = here.keys().chain(there.keys()).collect();
    let mut differing = Vec::new();
    for key @ (scope, collection) in keys {
        let place = format!("{scope} {collection}");
        let empty = RowSet::default();
        let (own, theirs) = (here.get(key).unwrap_or(&empty), there.get(key).unwrap_or(&empty));
        if own == theirs {
            continue;
        }
        let detail = format!(
            "{} rows here ({}), {} rows at the server ({})",
            own.rows, own.digest, theirs.rows, theirs.digest
        );
        damage::found(db, Kind::Digest, &place, &detail)?;
        db.execute(
            "INSERT INTO campo_suspect (scope, collection) VALUES (?1, ?2)",
            params![scope.as_str(), collection],
        )?;
        differing.push(place);
    }
    damage::digests_agree_but_for(db, &differing)?;
    meta::set_json(db, name::VERIFIED_US, &server_time_us)?;
    Ok(u64::try_from(differing.len()).unwrap_or(u64::MAX))
}

/// What differed is not looked at again before digests are due.
///
/// # Errors
/// Those of SQLite.
pub fn give_up(db: &Connection) -> Result<(), CoreError> {
    db.execute("DELETE FROM campo_suspect", [])?;
    Ok(())
}

/// Whether everything may be brought anew because digests differ: once a day, by the server's clock. A phone
/// whose server counts wrongly must not fetch everything every few minutes.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn may_begin_anew(db: &Connection) -> Result<bool, CoreError> {
    let now = meta::get_number(db, name::LAST_CHECKPOINT_US)?;
    if let Some(last) = meta::get_json::<i64>(db, name::BEGUN_FOR_DIGESTS_US)?
        && now.abs_diff(last) < ANEW_EVERY_US.unsigned_abs()
    {
        return Ok(false);
    }
    meta::set_json(db, name::BEGUN_FOR_DIGESTS_US, &now)?;
    Ok(true)
}
