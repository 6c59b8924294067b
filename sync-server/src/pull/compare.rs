//! Which rows of a scope differ from a device's: asked when digests say that some do.
//!
//! An answer costs a pass over the scope's ids and versions for the digests, if the device sent its own, and
//! another, in parts, up to the last row that it names. Content is read only where it is asked for.

use sync_protocol::digest::{BUCKETS, Buckets, Digest};
use sync_protocol::limits::COMPARE_ROWS_MAX;
use sync_protocol::planted::{self, Bug};
use sync_protocol::problem::Problem;
use sync_protocol::schema::Collection;
use sync_protocol::wire::compare::{CompareAnswer, CompareRequest, ComparedRow};
use sync_protocol::{RecordId, RowVersion, Scope};

use super::unknown_collection;
use crate::auth::caller::Caller;
use crate::push::failed;
use crate::store::{ReadTx, Store, StoreError};

/// Rows whose content is read at once.
const CONTENTS_AT_ONCE: usize = 500;

/// Answers a comparison.
///
/// # Errors
/// `unknown_collection`, `unknown_scope` for one that the caller does not hold, `buckets_malformed`, `busy`.
pub async fn compare(
    store: &dyn Store,
    caller: &Caller,
    request: CompareRequest,
) -> Result<CompareAnswer, Problem> {
    let visible = store.schema().visible_to(|permission| caller.may(permission));
    let collection = visible
        .collection(&request.collection)
        .ok_or_else(|| unknown_collection(&request.collection))?;
    if request.buckets.as_ref().is_some_and(|buckets| buckets.len() != BUCKETS) {
        return Err(Problem::new(400, "buckets_malformed", "The digests are not of all buckets")
            .detail(format!(
                "`buckets` has a digest for each of the {BUCKETS} last bytes of an id"
            )));
    }
    let mut tx = store.read(caller.tenant).await.map_err(|error| failed(&error))?;
    let grants = tx.grants(caller.user, None).await.map_err(|error| failed(&error))?;
    if !grants.held.contains(&request.scope) {
        return Err(Problem::new(404, "unknown_scope", "There is no such scope").detail(
            "it does not exist, or you do not hold it (any more): pull to learn which you hold",
        ));
    }
    answer(tx.as_mut(), collection, &request).await.map_err(|error| failed(&error))
}

async fn answer(
    tx: &mut dyn ReadTx,
    collection: &Collection,
    request: &CompareRequest,
) -> Result<CompareAnswer, StoreError> {
    let buckets = match &request.buckets {
        Some(theirs) => own_buckets(tx, &request.scope, collection).await?.differing(theirs),
        None => (0..=u8::MAX).collect(),
    };
    let mut answer = CompareAnswer { buckets, ..CompareAnswer::default() };
    if planted::is(Bug::CompareLeavesOutBucket) {
        answer.buckets.pop();
    }
    if answer.buckets.is_empty() {
        return Ok(answer);
    }
    let mut after = request.after;
    loop {
        let members = part(tx, &request.scope, collection, after).await?;
        after = members.last().map(|(id, _)| *id);
        let last_part = members.len() < COMPARE_ROWS_MAX;
        for (id, version) in members {
            if answer.buckets.binary_search(&Buckets::of(id)).is_err() {
                continue;
            }
            if answer.rows.len() == COMPARE_ROWS_MAX {
                answer.next = answer.rows.last().map(|row| row.id);
                break;
            }
            answer.rows.push(ComparedRow { id, version, content: None });
        }
        if last_part || answer.next.is_some() {
            break;
        }
    }
    if request.content {
        for rows in answer.rows.chunks_mut(CONTENTS_AT_ONCE) {
            let ids: Vec<RecordId> = rows.iter().map(|row| row.id).collect();
            let stored = tx.rows(collection, &ids).await?;
            for row in rows {
                row.content =
                    stored.get(&row.id).map(|row| Digest::of_content(collection, &row.fields));
            }
        }
    }
    Ok(answer)
}

async fn own_buckets(
    tx: &mut dyn ReadTx,
    scope: &Scope,
    collection: &Collection,
) -> Result<Buckets, StoreError> {
    let mut buckets = Buckets::default();
    let mut after = None;
    loop {
        let members = part(tx, scope, collection, after).await?;
        members.iter().for_each(|(id, version)| buckets.add(*id, *version));
        after = members.last().map(|(id, _)| *id);
        if members.len() < COMPARE_ROWS_MAX {
            return Ok(buckets);
        }
    }
}

async fn part(
    tx: &mut dyn ReadTx,
    scope: &Scope,
    collection: &Collection,
    after: Option<RecordId>,
) -> Result<Vec<(RecordId, RowVersion)>, StoreError> {
    tx.members(scope, collection, after, COMPARE_ROWS_MAX).await
}
