//! What a decision means for the candidates' receipts.

use std::collections::BTreeMap;

use sync_protocol::wire::receipt::{FieldOutcome, Receipt, ReceiptState};
use sync_protocol::wire::review::{Conflict, Keep};
use sync_protocol::{ReceiptId, UserId};

use crate::push::state_of;
use crate::store::{StoreError, StoredReceipt, WriteTx};

/// Writes the outcome of a decision into the receipts of all candidates, or, with `keep` none,
/// that they are in review again.
pub(super) async fn receipts(
    tx: &mut dyn WriteTx,
    conflict: &Conflict,
    keep: Option<&Keep>,
    version: Option<i64>,
    now_us: i64,
) -> Result<(), StoreError> {
    let ids: Vec<ReceiptId> = conflict.candidates.iter().map(|c| c.receipt).collect();
    let stored = tx.lock_receipts(&ids).await?;
    let changed: Vec<StoredReceipt> = stored
        .into_iter()
        .filter_map(|mut stored| {
            let outcome = match keep {
                None => FieldOutcome::InReview { conflict: conflict.id, question: None },
                Some(keep) => FieldOutcome::Decided {
                    conflict: conflict.id,
                    kept: is_kept(conflict, keep, stored.receipt.id),
                },
            };
            let named = rewrite(&mut stored.receipt, conflict, &outcome, version);
            stored.receipt.settled_at_us = now_us;
            named.then_some(stored)
        })
        .collect();
    if changed.is_empty() { Ok(()) } else { tx.save_receipts(&changed).await }
}

/// Whether a decision keeps what a candidate wants. Of a record that a decision makes the later candidate is the
/// earlier one with another edit on top.
fn is_kept(conflict: &Conflict, keep: &Keep, candidate: ReceiptId) -> bool {
    let Keep::Candidate(kept) = keep else { return false };
    if *kept == candidate {
        return true;
    }
    if conflict.scopes.is_empty() {
        return false;
    }
    let place = |id: ReceiptId| conflict.candidates.iter().position(|c| c.receipt == id);
    place(candidate).zip(place(*kept)).is_some_and(|(earlier, later)| earlier < later)
}

/// Writes a question to the authors into the receipts of all candidates, or takes it out of those of the
/// author who has answered it.
pub(super) async fn question(
    tx: &mut dyn WriteTx,
    conflict: &Conflict,
    question: &Question,
) -> Result<(), StoreError> {
    let ids: Vec<ReceiptId> = conflict.candidates.iter().map(|c| c.receipt).collect();
    let mut changed = Vec::new();
    for mut stored in tx.lock_receipts(&ids).await? {
        let text = match question {
            Question::Asked(text) => Some(text),
            Question::AnsweredBy(author) if *author == stored.user => None,
            Question::AnsweredBy(_) => continue,
        };
        let outcome = FieldOutcome::InReview { conflict: conflict.id, question: text.cloned() };
        if rewrite(&mut stored.receipt, conflict, &outcome, None) {
            changed.push(stored);
        }
    }
    if changed.is_empty() { Ok(()) } else { tx.save_receipts(&changed).await }
}

/// What becomes of the question to a conflict's authors.
pub(super) enum Question {
    Asked(String),
    AnsweredBy(UserId),
}

/// Answers whether the receipt names the conflict at all.
fn rewrite(
    receipt: &mut Receipt,
    conflict: &Conflict,
    outcome: &FieldOutcome,
    version: Option<i64>,
) -> bool {
    let is_of_conflict = |known: &FieldOutcome| match known {
        FieldOutcome::InReview { conflict: id, .. }
        | FieldOutcome::Decided { conflict: id, .. } => *id == conflict.id,
        FieldOutcome::Superseded { .. } => false,
    };
    let own = conflict.candidates.iter().find(|candidate| candidate.receipt == receipt.id);
    let lost = own.is_some_and(|candidate| candidate.reason.is_some());
    let mut any = false;
    for mutation in &mut receipt.mutations {
        let fields: &mut BTreeMap<String, FieldOutcome> = &mut mutation.fields;
        let mut named = false;
        for known in fields.values_mut().chain(&mut mutation.row) {
            if is_of_conflict(known) {
                *known = outcome.clone();
                named = true;
            }
        }
        // How often a row changed is not for who does not see it.
        if named && version.is_some() && !lost {
            mutation.version = version;
        }
        any |= named;
    }
    // The rest of a transaction that waited as a whole may have been refused at its release.
    if receipt.state != ReceiptState::Refused {
        receipt.state = state_of(&receipt.mutations);
    }
    any
}
