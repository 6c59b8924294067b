//! Conflicts: which fields have one, and that none loses a candidate.

use std::collections::{BTreeMap, BTreeSet};

use sync_protocol::ReceiptId;
use sync_protocol::wire::receipt::{FieldOutcome, Receipt};

use super::Trial;
use crate::oracle::snapshot::Snapshot;
use crate::oracle::{Checked, violated};

/// Fields whose conflicts are open from now on.
pub(super) fn note_open(trial: &mut Trial<'_>, receipt: &Receipt) {
    for outcome in &receipt.mutations {
        let name = (outcome.collection.clone(), outcome.alias.unwrap_or(outcome.record));
        for (field, known) in &outcome.fields {
            if matches!(known, FieldOutcome::InReview { .. }) {
                trial.found.push("merge: in review".to_owned());
                trial.open.insert((name.clone(), field.clone()));
            }
        }
    }
}

/// A conflict never loses a candidate, and has everybody whom a receipt says is in it.
pub(super) fn conflicts_keep_their_candidates(
    before: &Snapshot,
    after: &Snapshot,
    receipts: &[Receipt],
) -> Checked {
    let invariant = "a conflict keeps all its candidates";
    let candidates: BTreeMap<_, BTreeSet<ReceiptId>> = after
        .conflicts
        .iter()
        .map(|conflict| (conflict.id, conflict.candidates.iter().map(|c| c.receipt).collect()))
        .collect();
    let none = BTreeSet::new();
    for conflict in &before.conflicts {
        let now = candidates.get(&conflict.id).unwrap_or(&none);
        if let Some(lost) = conflict.candidates.iter().find(|c| !now.contains(&c.receipt)) {
            return violated(invariant, format!("{} lost {}", conflict.id, lost.receipt));
        }
    }
    for receipt in receipts.iter().filter(|r| after.receipts.contains_key(&r.id)) {
        let outcomes = receipt.mutations.iter().flat_map(|m| m.fields.values().chain(&m.row));
        for outcome in outcomes {
            if let FieldOutcome::InReview { conflict, .. } = outcome
                && !candidates.get(conflict).unwrap_or(&none).contains(&receipt.id)
            {
                return violated(invariant, format!("{conflict} lacks {}", receipt.id));
            }
        }
    }
    Ok(())
}
