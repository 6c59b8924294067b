//! The scrub: goes through all rows, a few each time, and finds those whose content is not what was
//! written.

use rusqlite::{Connection, params};
use sync_protocol::RecordId;
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::{Collection, Schema};

use super::damage::{self, Kind};
use crate::CoreError;
use crate::store::meta::{self, name};
use crate::store::{rows, tables};

/// Rows that a round looks at, with the commit of its checkpoint: a millisecond or two. A database of 100,000
/// rows is through in two hundred rounds.
pub const ROWS_A_ROUND: usize = 500;

/// Looks at the next rows, at most so many, from where it stopped last. Answers how many were damaged.
///
/// # Errors
/// Those of SQLite.
pub fn some(db: &Connection, schema: &Schema, rows_max: usize) -> Result<u64, CoreError> {
    let (from, mut after): (String, String) =
        meta::get_json(db, name::SCRUBBED).unwrap_or_default().unwrap_or_default();
    let mut damaged = 0;
    let mut left = rows_max;
    for collection in schema.collections.values().filter(|collection| collection.name >= from) {
        if collection.name != from {
            after.clear();
        }
        let part = look(db, collection, &after, left)?;
        damaged += part.damaged;
        left -= part.rows;
        if left == 0 {
            meta::set_json(db, name::SCRUBBED, &(&collection.name, part.last))?;
            return Ok(damaged);
        }
    }
    // From the beginning, the next time.
    meta::remove(db, name::SCRUBBED)?;
    Ok(damaged)
}

/// Looks at all rows. Answers how many were damaged.
///
/// # Errors
/// Those of SQLite.
pub fn all(db: &Connection, schema: &Schema) -> Result<u64, CoreError> {
    let mut damaged = 0;
    for collection in schema.collections.values() {
        damaged += look(db, collection, "", usize::MAX)?.damaged;
    }
    Ok(damaged)
}

/// What was seen of a collection.
#[derive(Debug, Default)]
struct Part {
    rows: usize,
    damaged: u64,
    /// The id of the last row.
    last: String,
}

fn look(
    db: &Connection,
    collection: &Collection,
    after: &str,
    rows_max: usize,
) -> Result<Part, CoreError> {
    let fields = rows::field_checksums(collection);
    let beside = rows::beside(db, &collection.name)?;
    let mut statement = db.prepare_cached(&tables::select_for_checksum(collection))?;
    let limit = i64::try_from(rows_max).unwrap_or(-1);
    let mut found = statement.query(params![after, limit])?;
    let mut part = Part::default();
    let mut damaged: Vec<String> = Vec::new();
    while let Some(row) = found.next()? {
        part.rows += 1;
        let Ok(id) = row.get_ref(0)?.as_str() else { continue };
        id.clone_into(&mut part.last);
        let written = row.get_ref(1)?.as_i64().unwrap_or(-1);
        if planted::is(Bug::ScrubLooksAway) {
            continue;
        }
        // A row that shows no edits, while it has some, got its id from damage.
        let shows_none = !beside.is_empty() && row.get_ref(2)?.as_i64() == Ok(0);
        if (written != 0 && written != rows::checksum_of(row, 3, &fields)?)
            || (shows_none && beside.contains(id))
        {
            damaged.push(id.to_owned());
        }
    }
    drop(found);
    for id in damaged {
        part.damaged += 1;
        let place = damage::row_place(&collection.name, &id);
        damage::found(db, Kind::Content, &place, "the content is not what was written")?;
        // One whose id is damaged is taken off by `mend`; its true row is missing, which the digest tells.
        let Ok(record) = id.parse::<RecordId>() else { continue };
        if rows::has_edits(db, &collection.name, record)?
            && rows::is_beside(db, &collection.name, record)?
        {
            // The view is made of the server's state and the edits, which are kept beside.
            rows::recompute(db, collection, record)?;
            damage::repaired(db, &place)?;
        } else {
            damage::refetch(db, &collection.name, record)?;
        }
    }
    Ok(part)
}
