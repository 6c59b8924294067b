//! How much room photos may take: what the server has too goes first, the longest unused first.

use std::collections::BTreeMap;

use rusqlite::Connection;
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::Schema;

use super::queue::{self, Item, State};
use super::{Variant, follow, sweep};
use crate::CoreError;
use crate::store::Store;
use crate::store::meta::{self, name};

/// Room for photos where the app says nothing, in bytes.
pub const SPACE_BYTES: u64 = 500 * 1024 * 1024;

/// How much room photos may take, in bytes.
///
/// # Errors
/// Those of SQLite.
pub fn limit(db: &Connection) -> Result<u64, CoreError> {
    let said = meta::get(db, name::PHOTO_SPACE)?.and_then(|text| text.parse().ok());
    Ok(said.unwrap_or(SPACE_BYTES))
}

/// Lets pictures go until the others fit: only such as the server has confirmed and whose records say so
/// too, and not their thumbnails, by which people find them. What waits stays, whatever the limit says. Answers
/// how many went.
///
/// # Errors
/// Those of SQLite, and [`CoreError::File`].
pub fn make_room(store: &Store) -> Result<usize, CoreError> {
    make_room_beside(store, None)
}

/// The same; the file with this hash stays, because somebody is about to look at it.
///
/// # Errors
/// Those of SQLite, and [`CoreError::File`].
pub fn make_room_beside(store: &Store, shown: Option<&str>) -> Result<usize, CoreError> {
    let gone = store.write(|db| evict(db, &*store.schema_in(db)?, limit(db)?, shown))?;
    if gone > 0 {
        sweep::released(store)?;
    }
    Ok(gone)
}

fn evict(
    db: &Connection,
    schema: &Schema,
    limit: u64,
    shown: Option<&str>,
) -> Result<usize, CoreError> {
    let mut held = queue::waiting(db, true)?.on_device;
    if held <= limit {
        return Ok(0);
    }
    // Equal pictures share a file: it goes when none of their records needs it, the longest unused first.
    let mut files: BTreeMap<String, Vec<Item>> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    for item in queue::by_use(db)? {
        order.retain(|hash| *hash != item.sha256);
        order.push(item.sha256.clone());
        files.entry(item.sha256.clone()).or_default().push(item);
    }
    let mut gone = 0;
    for hash in order {
        if held <= limit {
            break;
        }
        let items = files.remove(&hash).unwrap_or_default();
        let mut may_go = shown != Some(hash.as_str());
        for item in &items {
            may_go &= may_go_of(db, schema, item)?;
        }
        if may_go {
            for item in &items {
                queue::remove(db, &item.name)?;
            }
            gone += 1;
            held = held.saturating_sub(items.iter().map(|item| item.bytes).max().unwrap_or(0));
        }
    }
    Ok(gone)
}

fn may_go_of(db: &Connection, schema: &Schema, item: &Item) -> Result<bool, CoreError> {
    if item.name.variant != Variant::Photo {
        return Ok(false);
    }
    if planted::is(Bug::UnsentPhotoEvicted) {
        return Ok(true);
    }
    let said = follow::state(db, schema, item)?;
    Ok(item.state == State::Stored && said.is_some_and(|said| item.name.variant.is_stored(&said)))
}
