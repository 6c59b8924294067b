//! Emptying a database before its file goes.

use super::{Store, tables};
use crate::CoreError;
use crate::outbox::unsent;
use crate::store::meta;

/// Takes everything out of a database, in one transaction that makes sure that no work is lost.
///
/// # Errors
/// [`CoreError::Unsent`] when there is work that exists nowhere else; those of SQLite. Nothing has changed
/// then.
pub fn empty(store: &Store) -> Result<(), CoreError> {
    store.write_schema(|db| {
        let count = unsent::unsaved(db)?;
        if count > 0 {
            return Err(CoreError::Unsent { count, person: String::new() });
        }
        for collection in meta::schema(db)?.collections.keys() {
            db.execute_batch(&format!("DROP TABLE IF EXISTS {}", tables::quoted(collection)))?;
        }
        let mut statement = db.prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'campo\\_%' ESCAPE '\\'",
        )?;
        let names: Vec<String> =
            statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for name in names {
            db.execute_batch(&format!("DELETE FROM {}", tables::quoted(&name)))?;
        }
        Ok(())
    })
}
