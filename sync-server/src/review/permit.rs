//! What a supervisor may decide a conflict to with a value of their own, or with that of a candidate whose
//! author did not see the row: what they might write as an edit. Other candidates' values passed these
//! checks when they were pushed.

use std::collections::BTreeSet;

use sync_protocol::problem::Problem;
use sync_protocol::schema::{Collection, MergeRule};
use sync_protocol::wire::review::{Conflict, Keep};
use sync_protocol::{Fields, RecordId, Scope, Value};

use super::ReviewContext;
use super::resolve::store_failed;
use crate::auth::caller::Caller;
use crate::store::{RowWrite, StoredRow, WriteTx};

/// Refuses a value that the caller might not write.
pub(super) async fn value(
    context: ReviewContext<'_>,
    tx: &mut dyn WriteTx,
    (collection, conflict, row): (&Collection, &Conflict, &StoredRow),
    keep: &Keep,
    write: Option<&RowWrite>,
) -> Result<(), Problem> {
    let Some(write) = write else { return Ok(()) };
    let unchecked = match keep {
        Keep::Server => false,
        Keep::Value(_) => true,
        Keep::Candidate(receipt) => {
            let mut candidates = conflict.candidates.iter();
            candidates.any(|c| c.receipt == *receipt && c.reason.is_some())
        }
    };
    if !unchecked {
        return Ok(());
    }
    for name in write.set.keys() {
        field(context.caller, collection, name)?;
    }
    let scopes = tx.scopes_of(context.caller.user).await.map_err(store_failed)?;
    let mut after: Fields = row.fields.clone();
    after.extend(write.set.clone());
    if !sees(collection, conflict.record, &after, &scopes) {
        return Err(Problem::new(403, "out_of_scope", "The record would be outside your scopes")
            .detail("decide on a value that keeps it where you can see it"));
    }
    for (name, value) in &write.set {
        let target = collection.field(name).and_then(|field| field.references.as_deref());
        let (Some(target), Value::Uuid(id)) = (target, value) else { continue };
        let Some(target) = context.store.schema().collection(target) else { continue };
        let id = RecordId(*id);
        let found = tx.rows(target, &[id]).await.map_err(store_failed)?.remove(&id);
        let visible = found.is_some_and(|row| {
            row.meta.deleted.is_none() && sees(target, id, &row.fields, &scopes)
        });
        if !visible {
            return Err(Problem::new(422, "unknown_reference", "A referenced row does not exist")
                .detail(format!("`{name}` names no `{}` that you can see", target.name)));
        }
    }
    Ok(())
}

fn field(caller: &Caller, collection: &Collection, name: &str) -> Result<(), Problem> {
    let known = collection.field(name).filter(|f| f.read.as_deref().is_none_or(|r| caller.may(r)));
    let Some(field) = known else {
        return Err(Problem::new(422, "unknown_field", "There is no such field")
            .detail(format!("`{}` has no field `{name}` that you can see", collection.name)));
    };
    if field.from_parent || matches!(field.merge, MergeRule::Server | MergeRule::Immutable) {
        return Err(Problem::new(422, "field_read_only", "This field is not written by edits")
            .detail(format!("leave `{name}` out")));
    }
    match field.write.as_deref().filter(|write| !caller.may(write)) {
        None => Ok(()),
        Some(permission) => {
            Err(Problem::new(403, "field_forbidden", "You may not change this field")
                .detail(format!("`{name}` needs the permission `{permission}`")))
        }
    }
}

fn sees(collection: &Collection, id: RecordId, row: &Fields, held: &BTreeSet<Scope>) -> bool {
    collection.scopes_of(id, row).iter().any(|scope| held.contains(scope))
}
