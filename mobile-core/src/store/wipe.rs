//! Emptying a database before its file goes.
//!
//! Deleting rows is not enough: SQLite leaves their bytes in free pages, and in the file itself as long as
//! the deletion is only in its log. A process that is killed before the file goes would leave all of it,
//! tokens included. So what is freed is overwritten, the file shrinks to what is left, and the log is
//! written into it.

use rusqlite::Connection;

use super::{Store, tables};
use crate::CoreError;
use crate::outbox::unsent;
use crate::store::meta;

/// Takes everything out of a database, in one transaction that makes sure that no work is lost, and then
/// out of its files.
///
/// # Errors
/// [`CoreError::Unsent`] when there is work that exists nowhere else: nothing has changed then.
/// [`CoreError::DatabaseLocked`] while another process reads: what is left in the files goes when this is
/// called again. Those of SQLite.
pub fn empty(store: &Store) -> Result<(), CoreError> {
    overwrite_what_is_freed(store, true)?;
    match delete_all(store) {
        // A full disk has no room to overwrite. Then what is freed leaves the file, and no more.
        Err(CoreError::DiskFull) => {
            overwrite_what_is_freed(store, false)?;
            delete_all(store)?;
        }
        other => other?,
    }
    store.read(|db| {
        db.execute_batch("VACUUM")?;
        let is_busy: bool =
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if is_busy { Err(CoreError::DatabaseLocked) } else { Ok(()) }
    })
}

fn overwrite_what_is_freed(store: &Store, overwrite: bool) -> Result<(), CoreError> {
    store.read(|db| Ok(db.pragma_update(None, "secure_delete", overwrite)?))
}

fn delete_all(store: &Store) -> Result<(), CoreError> {
    store.write_schema(|db| {
        let count = unsent::unsaved(db)?;
        if count > 0 {
            return Err(CoreError::Unsent { count, person: String::new() });
        }
        for collection in meta::schema(db)?.collections.keys() {
            db.execute_batch(&format!("DROP TABLE IF EXISTS {}", tables::quoted(collection)))?;
        }
        for name in bookkeeping(db)? {
            db.execute_batch(&format!("DELETE FROM {}", tables::quoted(&name)))?;
        }
        Ok(())
    })
}

fn bookkeeping(db: &Connection) -> Result<Vec<String>, CoreError> {
    let mut statement = db.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'campo\\_%' ESCAPE '\\'",
    )?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}
