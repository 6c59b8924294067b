//! Receipts as people see them: their author whole, who resolves conflicts in part.

use sync_protocol::problem::Problem;
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome, Receipt};
use sync_protocol::{ReceiptId, Scope};

use super::{RESOLVE_PERMISSION, ReviewContext};
use crate::push::failed;
use crate::store::{ReadTx, StoreError};

/// A receipt, as far as the caller may see it.
///
/// Its author sees all of it. Who may resolve conflicts sees what became of rows and fields that
/// they see themselves; where there are none, nothing.
///
/// # Errors
/// The store's failures. What is hidden is `None`, as what does not exist.
pub async fn receipt(
    context: ReviewContext<'_>,
    id: ReceiptId,
) -> Result<Option<Receipt>, Problem> {
    let caller = context.caller;
    let find = async {
        let mut tx = context.store.read(caller.tenant).await?;
        let Some(stored) = tx.receipt(id).await? else { return Ok(None) };
        if stored.user == caller.user {
            return Ok(Some(stored.receipt));
        }
        if !caller.may(RESOLVE_PERMISSION) {
            return Ok(None);
        }
        visible_part(context, tx.as_mut(), stored.receipt).await
    };
    find.await.map_err(|error: StoreError| failed(&error))
}

/// Whether a mutation waits to be made by a decision that the caller may take.
async fn waits_for_them(
    context: ReviewContext<'_>,
    outcome: &MutationOutcome,
) -> Result<bool, StoreError> {
    let Some(FieldOutcome::InReview { conflict, .. } | FieldOutcome::Decided { conflict, .. }) =
        outcome.row
    else {
        return Ok(false);
    };
    match super::list::show(context, conflict).await {
        Ok(_) => Ok(true),
        Err(problem) if problem.code == "unknown_conflict" => Ok(false),
        Err(problem) => Err(StoreError::Busy(problem.code)),
    }
}

async fn visible_part(
    context: ReviewContext<'_>,
    tx: &mut dyn ReadTx,
    mut receipt: Receipt,
) -> Result<Option<Receipt>, StoreError> {
    let visible = context.store.schema().visible_to(|permission| context.caller.may(permission));
    let scopes: Vec<Scope> = tx.grants(context.caller.user, None).await?.held;
    let mut shown = Vec::new();
    for mut outcome in std::mem::take(&mut receipt.mutations) {
        let Some(collection) = visible.collection(&outcome.collection) else { continue };
        let Some(whole) = context.store.schema().collection(&outcome.collection) else { continue };
        let record = outcome.alias.unwrap_or(outcome.record);
        let rows = tx.rows(whole, &[record]).await?;
        let in_scope = match rows.get(&record) {
            Some(row) => {
                whole.scopes_of(record, &row.fields).iter().any(|scope| scopes.contains(scope))
            }
            None => waits_for_them(context, &outcome).await?,
        };
        if in_scope {
            outcome.fields.retain(|name, _| collection.field(name).is_some());
            outcome.flags.retain(|name| collection.field(name).is_some());
            shown.push(MutationOutcome { row: None, ..outcome });
        }
    }
    receipt.mutations = shown;
    receipt.problem = None;
    Ok((!receipt.mutations.is_empty()).then_some(receipt))
}
