//! Mends the bookkeeping: each of its tables is read as a whole, and what cannot be read or does not fit
//! the rest is written anew, from what is kept twice or from the server.
//!
//! | table | what mends it |
//! |---|---|
//! | `campo_meta` | a value that cannot be read is removed: the next pull brings the schema, the next login the session, a new stream is drawn |
//! | `campo_scope_set` | a set that cannot be read is removed; its rows are asked for |
//! | `campo_outbox` | its copy ([`copy`]); where it stands follows from its receipt, and from what the other columns say of its author's intent |
//! | `campo_mutation` | made anew from the transaction |
//! | `campo_server_row` | the row is asked for |
//! | `campo_staged`, `campo_staged_receipt` | the row is asked for; a new beginning tells all receipts |
//! | the rows' tables | an id that is none leaves, a row in no known scope or with a wrong count of edits is asked for |
//! | the rest | what cannot be read is removed |

mod edits;
mod rows;
mod values;

use rusqlite::Connection;
use sync_protocol::RecordId;

use super::damage::{self, Kind};
use crate::CoreError;
#[cfg(doc)]
use crate::outbox::copy;
use crate::outbox::settle;
use crate::store::meta::{self, name};
use crate::store::{anew, tables};

/// Mends what it finds. Answers how much that was.
///
/// # Errors
/// Those of SQLite.
pub fn all(db: &Connection) -> Result<u64, CoreError> {
    let mut mending = Mending { db, found: 0 };
    mending.values()?;
    mending.schema()?;
    mending.scope_sets()?;
    mending.transactions()?;
    mending.small_tables()?;
    mending.damage_log()?;
    if meta::get(db, name::SCHEMA)?.is_none() && !tables::collections(db)?.is_empty() {
        // Without it nothing can be said of rows. The next pull brings both.
        if meta::get(db, name::CURSOR)?.is_some() || meta::get(db, name::BEGUN_ANEW)?.is_none() {
            anew::begin(db)?;
            mending.note(Kind::Bookkeeping, "campo_meta schema", "beginning anew")?;
        }
        return Ok(mending.found);
    }
    let schema = meta::schema(db)?;
    let mut touched = mending.mutations(&schema)?;
    mending.server_rows(&schema)?;
    mending.staged(&schema)?;
    mending.tables(&schema)?;
    for collection in schema.collections.keys() {
        for record in mending.edited(collection)? {
            touched.insert((collection.clone(), record));
        }
    }
    // Also where nothing was found: what an edited row shows is in no digest.
    settle::recompute(db, &schema, &touched)?;
    Ok(mending.found)
}

struct Mending<'a> {
    db: &'a Connection,
    found: u64,
}

impl Mending<'_> {
    fn note(&mut self, kind: Kind, place: &str, detail: &str) -> Result<(), CoreError> {
        self.found += 1;
        damage::mended(self.db, kind, place, detail)
    }

    /// A row is asked for; the entry of the log stays open until it is here.
    fn refetch(
        &mut self,
        collection: &str,
        record: RecordId,
        detail: &str,
    ) -> Result<(), CoreError> {
        self.found += 1;
        let place = damage::row_place(collection, &record.to_string());
        damage::found(self.db, Kind::Bookkeeping, &place, detail)?;
        damage::refetch(self.db, collection, record)
    }

    /// Records of a collection with edits in the view.
    fn edited(&self, collection: &str) -> Result<Vec<RecordId>, CoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT DISTINCT record FROM campo_mutation WHERE collection = ?1 AND in_view = 1",
        )?;
        let ids: Vec<String> =
            statement.query_map([collection], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    fn records(&self, sql: &'static str) -> Result<Vec<(String, RecordId)>, CoreError> {
        let found: Vec<(String, String)> = self
            .db
            .prepare(sql)?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        Ok(found.into_iter().filter_map(|(name, id)| Some((name, id.parse().ok()?))).collect())
    }
}

fn reads<T: serde::de::DeserializeOwned>(text: &str) -> bool {
    serde_json::from_str::<T>(text).is_ok()
}
