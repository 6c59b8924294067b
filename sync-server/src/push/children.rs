//! Why a record cannot be deleted: others belong to it.

use std::collections::{BTreeMap, BTreeSet};

use sync_protocol::RecordId;
use sync_protocol::problem::Problem;
use sync_protocol::schema::Schema;

use super::load::referenced_collection;
use crate::store::error::ConstraintKind;
use crate::store::{StoreError, WriteTx};

/// The problem of deletions of what live records refer to, after the database has refused and undone them;
/// none if that was not the reason.
pub(crate) async fn in_the_way(
    tx: &mut dyn WriteTx,
    schema: &Schema,
    deletions: &[(&str, RecordId)],
    error: &StoreError,
) -> Result<Option<Problem>, StoreError> {
    if !matches!(error, StoreError::Constraint { kind: ConstraintKind::ForeignKey, .. }) {
        return Ok(None);
    }
    let mut deleted: BTreeMap<&str, BTreeSet<RecordId>> = BTreeMap::new();
    for (collection, record) in deletions {
        deleted.entry(collection).or_default().insert(*record);
    }
    let mut children = BTreeSet::new();
    for child in schema.collections.values() {
        let goes = deleted.get(child.name.as_str());
        for field in &child.fields {
            let target = referenced_collection(child, &field.name);
            let Some(ids) = target.and_then(|target| deleted.get(target)) else { continue };
            let ids: Vec<RecordId> = ids.iter().copied().collect();
            let found = tx.referring(child, &field.name, &ids).await?;
            if found.iter().any(|id| goes.is_none_or(|goes| !goes.contains(id))) {
                children.insert(child.name.as_str());
            }
        }
    }
    if children.is_empty() {
        return Ok(None);
    }
    let names: Vec<&str> = children.into_iter().collect();
    let mut problem = Problem::new(422, "has_children", "Other records belong to this one").detail(
        format!("delete those of `{}` first, or in the same transaction", names.join("`, `")),
    );
    problem.more.insert("collections".to_owned(), names.into());
    Ok(Some(problem))
}
