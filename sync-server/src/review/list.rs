//! Listing conflicts and showing one.

use std::collections::BTreeMap;

use sync_protocol::problem::Problem;
use sync_protocol::wire::review::{Conflict, ConflictList, ConflictStatus, Severity};
use sync_protocol::{ConflictId, RecordId, Scope};

use super::view::Viewer;
use super::{CONFLICTS_MAX, ReviewContext, not_found};
use crate::push::failed;
use crate::store::{ConflictFilter, ReadTx, StoreError, StoredRow};

/// How many times one request reads on for a page; then it answers what there is, and where to go on.
const STEPS_MAX: usize = 5;

/// Which conflicts to list. Everything is optional.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Only these statuses; open and claimed ones where empty.
    pub status: Vec<ConflictStatus>,
    /// Only this severity.
    pub severity: Option<Severity>,
    /// Only this collection.
    pub collection: Option<String>,
    /// Only rows of this scope (`project:<id>`).
    pub scope: Option<Scope>,
    /// Opened not before, in microseconds since 1970.
    pub opened_after_us: Option<i64>,
    /// Opened before, in microseconds since 1970.
    pub opened_before_us: Option<i64>,
    /// [`ConflictList::next`] of the page before.
    pub after: Option<String>,
    /// Most conflicts in the page, 1 to [`CONFLICTS_MAX`].
    pub limit: Option<usize>,
}

/// Lists conflicts that the caller may see, oldest first.
///
/// # Errors
/// `page_size_out_of_range`, `cursor_malformed`, and the store's passing failures.
pub async fn list(context: ReviewContext<'_>, query: ListQuery) -> Result<ConflictList, Problem> {
    let limit = query.limit.unwrap_or(50);
    if !(1..=CONFLICTS_MAX).contains(&limit) {
        return Err(Problem::new(400, "page_size_out_of_range", "The page size is out of range")
            .detail(format!("limit is 1 to {CONFLICTS_MAX}")));
    }
    let mut after = query.after.as_deref().map(read_position).transpose()?;
    let mut tx = context.store.read(context.caller.tenant).await.map_err(|e| failed(&e))?;
    let viewer = viewer(context, tx.as_mut()).await.map_err(|e| failed(&e))?;
    let scopes = match &query.scope {
        Some(scope) if !viewer.scopes.contains(scope) => return Ok(empty()),
        Some(scope) => vec![scope.clone()],
        None => viewer.scopes.iter().cloned().collect(),
    };
    let collections: Vec<String> = viewer
        .visible
        .collections
        .keys()
        .filter(|name| query.collection.as_ref().is_none_or(|wanted| wanted == *name))
        .cloned()
        .collect();
    if collections.is_empty() {
        return Ok(empty());
    }
    let status = if query.status.is_empty() {
        vec![ConflictStatus::Open, ConflictStatus::Claimed]
    } else {
        query.status.clone()
    };
    let mut conflicts = Vec::new();
    // The store filters by scope; who may only see their own conflicts needs further pages.
    for step in 1.. {
        let filter = ConflictFilter {
            status: status.clone(),
            severity: query.severity,
            collections: collections.clone(),
            scopes: scopes.clone(),
            id: None,
            opened_after_us: query.opened_after_us,
            opened_before_us: query.opened_before_us,
            after,
            limit: CONFLICTS_MAX,
        };
        let stored = tx.conflicts(&filter).await.map_err(|e| failed(&e))?;
        let full = stored.len() == CONFLICTS_MAX;
        after = stored.last().map(|last| (last.opened_at_us, last.id));
        for conflict in show_all(context, tx.as_mut(), &viewer, stored).await? {
            conflicts.push(conflict);
            if conflicts.len() == limit {
                break;
            }
        }
        if conflicts.len() == limit {
            let next = conflicts.last().map(|last: &Conflict| (last.opened_at_us, last.id));
            return Ok(ConflictList { conflicts, next: next.map(write_position) });
        }
        if !full || step == STEPS_MAX {
            let next = after.filter(|_| full).map(write_position);
            return Ok(ConflictList { conflicts, next });
        }
    }
    Ok(empty())
}

/// One conflict.
///
/// # Errors
/// `unknown_conflict`, also for one that is hidden.
pub async fn show(context: ReviewContext<'_>, id: ConflictId) -> Result<Conflict, Problem> {
    let mut tx = context.store.read(context.caller.tenant).await.map_err(|e| failed(&e))?;
    let viewer = viewer(context, tx.as_mut()).await.map_err(|e| failed(&e))?;
    let filter = ConflictFilter {
        collections: viewer.visible.collections.keys().cloned().collect(),
        scopes: viewer.scopes.iter().cloned().collect(),
        id: Some(id),
        limit: 1,
        ..ConflictFilter::default()
    };
    let stored = tx.conflicts(&filter).await.map_err(|e| failed(&e))?;
    let shown = show_all(context, tx.as_mut(), &viewer, stored).await?;
    shown.into_iter().next().ok_or_else(not_found)
}

async fn viewer<'a>(
    context: ReviewContext<'a>,
    tx: &mut dyn ReadTx,
) -> Result<Viewer<'a>, StoreError> {
    Ok(Viewer {
        caller: context.caller,
        visible: context.store.schema().visible_to(|permission| context.caller.may(permission)),
        scopes: tx.grants(context.caller.user, None).await?.held.into_iter().collect(),
    })
}

async fn show_all(
    context: ReviewContext<'_>,
    tx: &mut dyn ReadTx,
    viewer: &Viewer<'_>,
    stored: Vec<Conflict>,
) -> Result<Vec<Conflict>, Problem> {
    let schema = context.store.schema();
    let mut records: BTreeMap<&str, Vec<RecordId>> = BTreeMap::new();
    for conflict in &stored {
        records.entry(&conflict.collection).or_default().push(conflict.record);
        if let Some(parent) = &conflict.belongs_to {
            records.entry(&parent.collection).or_default().push(parent.record);
        }
    }
    let mut rows: BTreeMap<(String, RecordId), StoredRow> = BTreeMap::new();
    for (name, mut ids) in records {
        ids.sort();
        ids.dedup();
        let Some(collection) = schema.collection(name) else { continue };
        let found = tx.rows(collection, &ids).await.map_err(|e| failed(&e))?;
        rows.extend(found.into_iter().map(|(id, row)| ((name.to_owned(), id), row)));
    }
    let show = |conflict: Conflict| {
        let collection = schema.collection(&conflict.collection)?;
        let row = rows.get(&(conflict.collection.clone(), conflict.record));
        let parent = conflict.belongs_to.as_ref();
        let parent = parent.and_then(|p| rows.get(&(p.collection.clone(), p.record)));
        viewer.show((collection, parent), conflict, row)
    };
    Ok(stored.into_iter().filter_map(show).collect())
}

fn empty() -> ConflictList {
    ConflictList { conflicts: Vec::new(), next: None }
}

fn write_position((opened_at_us, id): (i64, ConflictId)) -> String {
    format!("{opened_at_us}.{id}")
}

fn read_position(text: &str) -> Result<(i64, ConflictId), Problem> {
    text.split_once('.').and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?))).ok_or_else(
        || {
            Problem::new(400, "cursor_malformed", "The position is damaged")
                .detail("send `next` of the last page as `after`, unchanged")
        },
    )
}
