//! Pull: from a cursor to pages (DESIGN 3 and 4).
//!
//! One request reads one snapshot and answers a stream of pages from it:
//!
//! ```text
//!  cursor ──► drops and gains (grants that changed)
//!         ──► delta:    rows changed since the cursor, in scopes held        ──► checkpoint
//!         ──► backfill: all rows of gained scopes, in key order              ──► checkpoint
//! ```
//!
//! Every page carries the cursor behind it, so the stream may be cut anywhere.
//!
//! * **A delta that was cut is no checkpoint.** Its pages come from several snapshots: a row that
//!   moved behind the cut in between would be missed. So a resumed delta ends with the snapshot of
//!   its *first* page, and another delta follows from there ([`cursor::Round`]).
//! * **A backfill that was cut** goes on after its last key. What changed meanwhile in the part
//!   that is done comes by delta, which counts the scopes for rows up to that key.
//! * **Receipts** are told since the last checkpoint, and only with a checkpoint: then the rows
//!   that they changed are there as well, as of the same snapshot.
//! * **Rows that a device asks for again** come with the delta, as of its snapshot.
//! * **Digests**, where they are asked for, come with the checkpoint after which all scopes are held whole.
//! * **A grant that changed** is dropped first, also where it is held again now, and gained anew.

pub mod compare;
pub mod cursor;
mod round;

use async_trait::async_trait;
use sync_protocol::limits::{PAGE_ROWS_MAX, REFETCH_ROWS_MAX};
use sync_protocol::problem::Problem;
use sync_protocol::schema::Schema;
use sync_protocol::wire::pull::{PullPage, PullRequest, Records};

use crate::auth::caller::Caller;
use crate::clock::Clock;
use crate::push::failed;
use crate::store::{RowKey, Store};
use crate::stream;

/// Where pages go.
#[async_trait]
pub trait PageSink: Send {
    /// Takes a page; answers whether another one is wanted now. Waits while its reader is slow.
    async fn page(&mut self, page: PullPage) -> bool;
}

/// Answers a pull: pages until the sink has enough or nothing more is to come from the snapshot.
///
/// # Errors
/// Before the first page: `page_size_out_of_range`, `too_many_records`, `unknown_collection`, the cursor's problems
/// (`cursor_malformed`, `cursor_foreign`, `cursor_visibility_changed`, `cursor_history_ended`),
/// `stream_foreign`, and
/// `busy`. After the first page an error ends the stream; the device resumes from its last page.
pub async fn pull(
    store: &dyn Store,
    clock: &dyn Clock,
    caller: &Caller,
    request: PullRequest,
    sink: &mut dyn PageSink,
) -> Result<(), Problem> {
    let rows_max = request.page_rows_max.unwrap_or(PAGE_ROWS_MAX);
    if !(1..=PAGE_ROWS_MAX).contains(&rows_max) {
        return Err(Problem::new(400, "page_size_out_of_range", "The page size is out of range")
            .detail(format!("page_rows_max is 1 to {PAGE_ROWS_MAX}, but {rows_max} was asked")));
    }
    let visible = store.schema().visible_to(|permission| caller.may(permission));
    let hash = visible.hash();
    let cursor = request
        .cursor
        .as_deref()
        .map(|text| cursor::Cursor::read(text, caller, &hash))
        .transpose()?;
    let refetch = records(&visible, &request.refetch)?;
    let mut tx = store.read(caller.tenant).await.map_err(|error| failed(&error))?;
    if stream::is_foreign(tx.as_mut(), caller, request.stream).await.map_err(|e| failed(&e))? {
        return Err(stream::foreign());
    }
    for position in cursor.iter().flat_map(cursor::Cursor::positions) {
        if !tx.knows(position).await.map_err(|error| failed(&error))? {
            return Err(cursor::history_ended());
        }
    }
    let schema = (request.schema_hash.as_deref() != Some(&hash)).then(|| visible.clone());
    let mut round = round::Round {
        tx: tx.as_mut(),
        clock,
        caller,
        visible: &visible,
        visibility: hash,
        stream: request.stream,
        size: round::PageSize::new(rows_max),
        refetch,
        digests: request.digests,
        sink,
        opening: PullPage { schema, ..PullPage::default() },
    };
    round.run(cursor).await.map_err(|error| failed(&error))
}

/// The rows that are to come again.
fn records(visible: &Schema, wanted: &[Records]) -> Result<Vec<RowKey>, Problem> {
    let count: usize = wanted.iter().map(|records| records.ids.len()).sum();
    if count > REFETCH_ROWS_MAX {
        return Err(Problem::new(400, "too_many_records", "Too many rows are asked for again")
            .detail(format!("`refetch` may name {REFETCH_ROWS_MAX} rows, but names {count}")));
    }
    let mut keys = Vec::with_capacity(count);
    for Records { collection, ids } in wanted {
        if visible.collection(collection).is_none() {
            return Err(unknown_collection(collection));
        }
        let key = |record| RowKey { collection: collection.clone(), record };
        keys.extend(ids.iter().copied().map(key));
    }
    Ok(keys)
}

/// The same for a collection that is hidden as for one that does not exist.
fn unknown_collection(name: &str) -> Problem {
    Problem::new(400, "unknown_collection", "There is no such collection")
        .detail(format!("the schema has no collection `{name:.80}`"))
}
