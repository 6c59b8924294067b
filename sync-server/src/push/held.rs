//! Transactions that waited as a whole (`atomic_review`), when their last conflict is decided.
//!
//! What was decided is in the rows already. The rest of the transaction is decided anew against
//! the rows as they are, as its author's edit, and takes effect, or is refused with its reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use sync_protocol::EditTime;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::{MutationKind, Transaction};
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome, Receipt, ReceiptState};

use super::apply::write;
use super::check::check;
use super::decide::{Author, Plan, decide};
use super::load::load;
use super::outcome::{constraint_problem, refused, state_of};
use crate::store::{StoreError, StoredReceipt, WriteTx};

/// Lets a held transaction take effect and saves its receipt. `stored` says what was decided.
/// Changes are recorded as its author's; the caller sets its own writer again afterwards.
pub(crate) async fn release(
    tx: &mut dyn WriteTx,
    schema: &Arc<Schema>,
    mut stored: StoredReceipt,
    now_us: i64,
) -> Result<(), StoreError> {
    let Some(transaction) = stored.held.take() else { return Ok(()) };
    let transaction = *transaction;
    tx.write_as(stored.stream).await?;
    tx.savepoint().await?;
    let settled = match settle(tx, schema, &stored, &transaction, now_us).await {
        Ok(receipt) => tx.release_savepoint().await.map(|()| receipt),
        Err(error) => Err(error),
    };
    let mut receipt = match settled {
        Ok(receipt) => receipt,
        Err(error) => {
            let Some(problem) = constraint_problem(&error) else { return Err(error) };
            tx.rollback_to_savepoint().await?;
            refused(&transaction, problem, now_us)
        }
    };
    if receipt.state == ReceiptState::Refused {
        // What was decided stays decided; the refusal is about the rest.
        receipt.mutations.clone_from(&stored.receipt.mutations);
    }
    // Held again: the whole, whose mutations the receipt goes by.
    stored.held = receipt.held.then(|| Box::new(transaction));
    stored.receipt = receipt;
    tx.save_receipts(&[stored]).await
}

async fn settle(
    tx: &mut dyn WriteTx,
    schema: &Arc<Schema>,
    stored: &StoredReceipt,
    transaction: &Transaction,
    now_us: i64,
) -> Result<Receipt, StoreError> {
    let rest = &undecided(transaction, &stored.receipt.mutations);
    let plan = if rest.mutations.is_empty() {
        Plan::default()
    } else {
        // The author had the permissions when the edit was made.
        let checked = match check(schema, &|_| true, rest) {
            Ok(checked) => checked,
            Err(problem) => return Ok(refused(rest, *problem, now_us)),
        };
        let mutations: Vec<_> = checked.iter().collect();
        let loaded = load(tx, schema, stored.user, stored.stream, &mutations).await?;
        let time = EditTime { at_us: stored.by.edited_at_us, uncertain: stored.by.uncertain };
        let author = Author { stream: stored.stream, time, by: stored.by.clone(), now_us };
        match decide(&loaded, &author, rest, &checked) {
            Ok(plan) => plan,
            Err(problem) => return Ok(refused(rest, *problem, now_us)),
        }
    };
    let versions = write(tx, schema, &[&plan]).await?;
    for scope in &plan.grants {
        tx.grant(stored.user, scope).await?;
    }
    for conflict in &plan.conflicts {
        tx.save_conflict(conflict).await?;
    }
    let mut mutations = stored.receipt.mutations.clone();
    let outcomes: BTreeMap<_, _> =
        plan.outcomes.into_iter().map(|o| ((o.collection.clone(), o.record), o)).collect();
    for mutation in &mut mutations {
        let name = (mutation.collection.clone(), mutation.record);
        let Some(outcome) = outcomes.get(&name) else { continue };
        mutation.version = versions.get(&name).copied().or(outcome.version).or(mutation.version);
        mutation.alias = outcome.alias;
        mutation.flags.clone_from(&outcome.flags);
        mutation.fields.extend(outcome.fields.clone());
        mutation.row = outcome.row.clone().or(mutation.row.take());
    }
    Ok(Receipt {
        id: rest.id,
        state: state_of(&mutations),
        problem: None,
        mutations,
        held: plan.held,
        settled_at_us: now_us,
    })
}

/// The transaction without the fields and rows that were decided.
fn undecided(transaction: &Transaction, outcomes: &[MutationOutcome]) -> Transaction {
    let decided = |outcome: &FieldOutcome| matches!(outcome, FieldOutcome::Decided { .. });
    let mut rest = transaction.clone();
    let mut outcomes = outcomes.iter();
    rest.mutations.retain_mut(|mutation| {
        let Some(outcome) = outcomes.next() else { return true };
        if outcome.row.as_ref().is_some_and(decided) {
            return false;
        }
        for (name, _) in outcome.fields.iter().filter(|(_, outcome)| decided(outcome)) {
            mutation.set.remove(name);
            mutation.add.remove(name);
            mutation.elements.remove(name);
        }
        mutation.kind != MutationKind::Update
            || !(mutation.set.is_empty() && mutation.add.is_empty() && mutation.elements.is_empty())
    });
    rest
}
