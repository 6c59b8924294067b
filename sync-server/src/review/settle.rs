//! What a decision means for the candidates' receipts.

use std::collections::BTreeMap;

use sync_protocol::wire::receipt::{FieldOutcome, Receipt};
use sync_protocol::wire::review::{Conflict, Keep};
use sync_protocol::{ReceiptId, StreamId};

use crate::auth::caller::Caller;
use crate::push::state_of;
use crate::store::{StoreError, StoredReceipt, WriteTx};

/// The stream in which a person's decisions are recorded: no device's.
pub(super) fn stream_of(caller: &Caller) -> StreamId {
    StreamId(caller.user.0)
}

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
    let stored = tx.receipts(&ids).await?;
    let changed: Vec<StoredReceipt> = stored
        .into_iter()
        .map(|mut stored| {
            let outcome = match keep {
                None => FieldOutcome::InReview { conflict: conflict.id },
                Some(keep) => FieldOutcome::Decided {
                    conflict: conflict.id,
                    kept: *keep == Keep::Candidate(stored.receipt.id),
                },
            };
            rewrite(&mut stored.receipt, conflict, &outcome, version);
            stored.receipt.settled_at_us = now_us;
            stored
        })
        .collect();
    if changed.is_empty() { Ok(()) } else { tx.save_receipts(&changed).await }
}

fn rewrite(
    receipt: &mut Receipt,
    conflict: &Conflict,
    outcome: &FieldOutcome,
    version: Option<i64>,
) {
    let is_of_conflict = |known: &FieldOutcome| match known {
        FieldOutcome::InReview { conflict: id } | FieldOutcome::Decided { conflict: id, .. } => {
            *id == conflict.id
        }
        FieldOutcome::Superseded { .. } => false,
    };
    for mutation in &mut receipt.mutations {
        let fields: &mut BTreeMap<String, FieldOutcome> = &mut mutation.fields;
        let mut named = false;
        for known in fields.values_mut().chain(&mut mutation.row) {
            if is_of_conflict(known) {
                *known = outcome.clone();
                named = true;
            }
        }
        if named && version.is_some() {
            mutation.version = version;
        }
    }
    receipt.state = state_of(&receipt.mutations);
}
