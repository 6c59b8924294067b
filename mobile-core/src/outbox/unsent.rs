//! Work that exists on this device only: what the server has not settled, and what it refused and nobody
//! has corrected. A sign-out or a wipe may not destroy it (DESIGN I12).

use std::collections::BTreeSet;

use rusqlite::Connection;
use sync_protocol::ReceiptId;
use sync_protocol::planted::{self, Bug};

use super::list::{self, ReceiptView, Which};
use crate::CoreError;
use crate::photos::queue;
use crate::store::meta::{self, name};

/// What only this device has, in the order of sending.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn list(db: &Connection) -> Result<Vec<ReceiptView>, CoreError> {
    list::list(db, Which::Unsent, None)
}

/// How many of them no export has saved, with files of photos that only this device has.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn unsaved(db: &Connection) -> Result<usize, CoreError> {
    if planted::is(Bug::WipeTakesUnsent) {
        return Ok(0);
    }
    let exported = exported(db)?;
    let edits = list(db)?.iter().filter(|view| !exported.contains(&view.id)).count();
    Ok(edits + queue::unsaved(db)?.len())
}

/// Notes that a file holds them.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn note_export(
    db: &Connection,
    ids: impl IntoIterator<Item = ReceiptId>,
) -> Result<(), CoreError> {
    let mut exported = exported(db)?;
    exported.extend(ids);
    meta::set_json(db, name::EXPORTED, &exported)
}

fn exported(db: &Connection) -> Result<BTreeSet<ReceiptId>, CoreError> {
    Ok(meta::get_json(db, name::EXPORTED)?.unwrap_or_default())
}
