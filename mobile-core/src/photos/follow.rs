//! What follows for files from what a pull brought: their records are applied, have gone, or say that the server
//! lacks them.
//!
//! | the record | a file that waits | a file that the server has |
//! |---|---|---|
//! | says that it is stored | is stored | stays |
//! | says that it is not | goes on | is offered again: that is how the server asks for it |
//! | is not here, its insertion waits or was refused | waits | – |
//! | is not here, its author took it back or deleted it | goes | goes |
//! | is not here: it moved, or the grant was taken | is kept, unseen, for an export | goes |

use rusqlite::{Connection, OptionalExtension as _, params};
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::{Schema, photos as columns};

use super::PhotoName;
use super::queue::{self, Item, State};
use crate::CoreError;
use crate::store::tables::quoted;

/// Applies the table above to all files. To be called when the tables stand at a checkpoint.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn records(db: &Connection, schema: &Schema) -> Result<(), CoreError> {
    for item in queue::list(db)? {
        match state(db, schema, &item)? {
            Some(state) => {
                if item.adrift {
                    queue::note_adrift(db, &item.name, false)?;
                }
                match (item.state, item.name.variant.is_stored(&state)) {
                    (State::Waiting, true) => queue::note_stored(db, &item.name)?,
                    (State::Stored, false) if !planted::is(Bug::PhotoAskedInVain) => {
                        queue::note_wanted(db, &item.name)?;
                    }
                    _ => {}
                }
            }
            None if is_expected(db, &item)? && !planted::is(Bug::RefusedPhotoDropped) => {}
            None if planted::is(Bug::PhotoLeftBehind) => {}
            None if item.state == State::Stored
                || planted::is(Bug::RefusedPhotoDropped)
                || was_taken_back(db, &item)? =>
            {
                queue::remove(db, &item.name)?;
            }
            None if !item.adrift => queue::note_adrift(db, &item.name, true)?,
            None => {}
        }
    }
    Ok(())
}

/// Lets go of files whose records somebody on this device has discarded, at any time.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn discarded(db: &Connection, schema: &Schema) -> Result<(), CoreError> {
    for item in queue::waiting_files(db)? {
        let gone = state(db, schema, &item)?.is_none() && !is_expected(db, &item)?;
        if gone && was_taken_back(db, &item)? {
            queue::remove(db, &item.name)?;
        }
    }
    Ok(())
}

/// What the record says of its upload; `None` where it is not here.
pub(super) fn state(
    db: &Connection,
    schema: &Schema,
    item: &Item,
) -> Result<Option<String>, CoreError> {
    let Some(collection) = schema.collection(&item.name.collection) else { return Ok(None) };
    let sql = format!(
        "SELECT coalesce({}, '') FROM {} WHERE id = ?1",
        quoted(columns::STATE),
        quoted(&collection.name)
    );
    let mut statement = db.prepare_cached(&sql)?;
    Ok(statement.query_row([item.name.record.to_string()], |row| row.get(0)).optional()?)
}

/// Whether the record is here and names this picture.
///
/// # Errors
/// Those of SQLite.
pub fn names(
    db: &Connection,
    schema: &Schema,
    name: &PhotoName,
    sha256: &str,
) -> Result<bool, CoreError> {
    let Some(collection) = schema.collection(&name.collection) else { return Ok(false) };
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM {} WHERE id = ?1 AND {} = ?2)",
        quoted(&collection.name),
        quoted(name.variant.columns().0)
    );
    let mut statement = db.prepare_cached(&sql)?;
    Ok(statement.query_row(params![name.record.to_string(), sha256], |row| row.get(0))?)
}

/// Whether its insertion is still on its way, or waits to be corrected.
fn is_expected(db: &Connection, item: &Item) -> Result<bool, CoreError> {
    Ok(db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM campo_mutation m JOIN campo_outbox o ON o.seq = m.seq
             WHERE m.collection = ?1 AND m.record = ?2 AND m.kind = 'insert'
               AND o.state <> 'discarded' AND o.replaced_by IS NULL)",
        )?
        .query_row(params![item.name.collection, item.name.record.to_string()], |row| row.get(0))?)
}

/// Whether somebody on this device discarded its insertion, or deleted it.
fn was_taken_back(db: &Connection, item: &Item) -> Result<bool, CoreError> {
    Ok(db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM campo_outbox o, json_each(o.mutations) m
             WHERE instr(o.mutations, ?2) > 0 AND m.value ->> '$.record' = ?2
               AND m.value ->> '$.collection' = ?1
               AND ((o.state = 'discarded' AND m.value ->> '$.kind' = 'insert')
                 OR (o.state IN ('applied', 'superseded') AND m.value ->> '$.kind' = 'delete')))",
        )?
        .query_row(params![item.name.collection, item.name.record.to_string()], |row| row.get(0))?)
}
