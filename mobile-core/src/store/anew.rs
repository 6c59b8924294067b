//! A new beginning: the next pull brings everything, because the server cannot go on from the cursor, or
//! because nobody can say any more what is here.

use rusqlite::Connection;

use super::meta::{self, name};
use super::scopes;
use crate::CoreError;
use crate::verify::checkpoint;

/// Lets the next pull bring everything. Rows of scopes that the user has no more leave with its first page,
/// what else it does not bring at its end; edits stay.
///
/// # Errors
/// Those of SQLite.
pub fn begin(db: &Connection) -> Result<(), CoreError> {
    scopes::mark_all_stale(db)?;
    meta::set(db, name::BEGUN_ANEW, "true")?;
    // Everything comes anew; whether all is right then is for the next digests to say.
    db.execute("DELETE FROM campo_refetch", [])?;
    checkpoint::make_due(db)?;
    meta::remove(db, name::CURSOR)
}
