//! Removing files: only what was let go of, and, much later, what nothing explains.
//!
//! Who lets go of a file says so in the same transaction (`campo_photo_released`), and a sweep removes it unless
//! something else names it. A file that is neither named nor let go of is a puzzle: a photo whose
//! line or record is damaged, or that an older database from a backup does not know. A record that needs it gets its line
//! back ([`mend::adopt`]). The others stay for a day in which rows were verified, and longer if none were.

use rusqlite::{Connection, params};
use sync_protocol::planted::{self, Bug};

use super::{mend, queue};
use crate::CoreError;
use crate::store::Store;
use crate::store::meta::{self, name};

/// How long a file stays that nothing names, between two verified checkpoints, in microseconds.
const ORPHAN_US: i64 = 24 * 60 * 60 * 1_000_000;

/// Removes files that were let go of.
///
/// # Errors
/// Those of SQLite, and [`CoreError::File`]: what is left goes with the next sweep.
pub fn released(store: &Store) -> Result<(), CoreError> {
    if !store.read(any_released)? {
        return Ok(());
    }
    // Inside a writing transaction: nobody adds one meanwhile.
    store.write(|db| {
        let wanted = queue::wanted(db)?;
        for sha256 in queue::released(db)?.difference(&wanted) {
            store.photos().remove(sha256)?;
        }
        db.execute("DELETE FROM campo_photo_released", [])?;
        Ok(())
    })
}

/// Gives files their own names whose records are committed. After a crash it removes the others.
///
/// # Errors
/// Those of SQLite, and [`CoreError::File`].
pub fn settle(store: &Store) -> Result<(), CoreError> {
    if store.photos().has_begun()? {
        store.locked(|db| store.photos().settle(&queue::wanted(db)?))?;
    }
    Ok(())
}

fn any_released(db: &Connection) -> Result<bool, CoreError> {
    Ok(db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM campo_photo_released)")?
        .query_row([], |row| row.get(0))?)
}

/// Looks for files that nothing names. Only at a checkpoint: before, records may be missing.
///
/// # Errors
/// Those of SQLite, and [`CoreError::File`].
pub fn orphans(store: &Store) -> Result<(), CoreError> {
    store.write(|db| {
        let schema = store.schema_in(db)?;
        let files = store.photos();
        files.settle(&queue::wanted(db)?)?;
        // They would come back into the queue at once.
        let lets_go = planted::is(Bug::UnsentPhotoEvicted) || planted::is(Bug::RefusedPhotoDropped);
        if !lets_go {
            mend::adopt(db, &schema, files)?;
        }
        let wanted = queue::wanted(db)?;
        let verified_us = meta::get_number(db, name::VERIFIED_US)?;
        let here = files.list()?;
        for sha256 in here.iter().filter(|sha256| !wanted.contains(*sha256)) {
            db.prepare_cached(
                "INSERT OR IGNORE INTO campo_photo_orphan (sha256, since_us) VALUES (?1, ?2)",
            )?
            .execute(params![sha256, verified_us])?;
            let since_us: i64 = db
                .prepare_cached("SELECT since_us FROM campo_photo_orphan WHERE sha256 = ?1")?
                .query_row([sha256], |row| row.get(0))?;
            if verified_us.saturating_sub(since_us) > ORPHAN_US {
                files.remove(sha256)?;
            }
        }
        let kept = serde_json::to_string(
            &here.iter().filter(|sha256| !wanted.contains(*sha256)).collect::<Vec<_>>(),
        )?;
        db.execute(
            "DELETE FROM campo_photo_orphan WHERE sha256 NOT IN (SELECT value FROM json_each(?1))",
            [kept],
        )?;
        Ok(())
    })
}
