//! From decisions to receipts.

use sha2::{Digest, Sha256};
use sync_protocol::EditTime;
use sync_protocol::problem::Problem;
use sync_protocol::wire::push::Transaction;
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome, Receipt, ReceiptState};

use super::conflict::CONFLICT_FULL;
use crate::store::StoreError;
use crate::store::error::ConstraintKind;

/// The state of a transaction whose mutations came out like this.
pub(crate) fn state_of(mutations: &[MutationOutcome]) -> ReceiptState {
    let outcomes = || mutations.iter().flat_map(|m| m.fields.values().chain(&m.row));
    if outcomes().any(|o| matches!(o, FieldOutcome::InReview { .. })) {
        ReceiptState::InReview
    } else if outcomes().any(|o| {
        matches!(o, FieldOutcome::Superseded { .. } | FieldOutcome::Decided { kept: false, .. })
    }) {
        ReceiptState::Superseded
    } else {
        ReceiptState::Applied
    }
}

/// A receipt for a transaction that took no effect.
pub(super) fn refused(transaction: &Transaction, problem: Problem, now_us: i64) -> Receipt {
    Receipt {
        id: transaction.id,
        state: ReceiptState::Refused,
        problem: Some(problem),
        mutations: Vec::new(),
        held: false,
        settled_at_us: now_us,
    }
}

/// Code of a transaction that has to come again, because another session holds what it needs.
const BUSY: &str = "busy";
/// Code of what builds on such a transaction.
const BUILDS_ON_BUSY: &str = "builds_on_busy";

/// The answer for a transaction that needs what another session holds; it is not kept.
pub(super) fn put_off(transaction: &Transaction, now_us: i64) -> Receipt {
    let problem = Problem::new(503, BUSY, "A row that this edit needs is in use")
        .detail("somebody else is changing it for long; send the same again later")
        .retryable();
    waiting(transaction, problem, now_us)
}

/// The answer for a transaction that may go through later as it is; it is not kept.
pub(super) fn waiting(transaction: &Transaction, problem: Problem, now_us: i64) -> Receipt {
    Receipt { state: ReceiptState::Parked, ..refused(transaction, problem, now_us) }
}

/// Whether a transaction has to come again for such a reason.
pub(super) fn is_put_off(receipt: &Receipt) -> bool {
    waits_for(receipt, BUSY) || waits_for(receipt, BUILDS_ON_BUSY)
}

fn waits_for(receipt: &Receipt, code: &str) -> bool {
    receipt.state == ReceiptState::Parked
        && receipt.problem.as_ref().is_some_and(|problem| problem.code == code)
}

/// The answer for a transaction that builds on one that is refused, held or put off; it is not kept.
pub(super) fn parked(transaction: &Transaction, on: &Receipt, now_us: i64) -> Receipt {
    let problem = if is_put_off(on) {
        Problem::new(503, BUILDS_ON_BUSY, "An edit that this one builds on waits for a row in use")
            .detail(format!("send it again together with transaction {}", on.id))
    } else if on.held || waits_for(on, CONFLICT_FULL) {
        Problem::new(409, "builds_on_held", "An edit that this one builds on is in review")
            .detail(format!("this one goes through when transaction {} is decided", on.id))
    } else {
        Problem::new(409, "builds_on_refused", "An edit that this one builds on was refused")
            .detail(format!(
                "correct or discard transaction {}; this one then goes through by itself",
                on.id
            ))
    }
    .retryable();
    waiting(transaction, problem, now_us)
}

/// The answer for a transaction whose id was used for something else; it is not kept.
pub(super) fn reused(transaction: &Transaction, now_us: i64) -> Receipt {
    let problem = Problem::new(409, "receipt_reused", "This transaction id was used before")
        .detail("the same id came with other content; give each transaction an id of its own");
    refused(transaction, problem, now_us)
}

/// SHA-256 of the transaction's canonical JSON, hex. Left out are what it builds on, because a device
/// may name it anew while the transaction waits, and the corrected time, which two copies of a
/// device's database each work out by themselves.
pub(super) fn content_hash(transaction: &Transaction) -> String {
    let edited = EditTime::certain(0);
    let content = Transaction { builds_on: Vec::new(), edited, ..transaction.clone() };
    let canonical = serde_json::to_vec(&content).unwrap_or_default();
    Sha256::digest(&canonical).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The problem of a transaction that the tables' own constraints refused.
pub(crate) fn constraint_problem(error: &StoreError) -> Option<Problem> {
    let StoreError::Constraint { kind, name, message } = error else { return None };
    let (code, title) = match kind {
        ConstraintKind::Unique => ("duplicate_key", "Something unique exists already"),
        ConstraintKind::ForeignKey => ("unknown_reference", "A referenced row does not exist"),
        ConstraintKind::NotNull => ("field_required", "A value is required"),
        ConstraintKind::Check => ("constraint_failed", "The database refused the change"),
    };
    let mut problem = Problem::new(422, code, title).detail(message.clone());
    if let Some(name) = name {
        problem.more.insert("constraint".to_owned(), name.as_str().into());
    }
    Some(problem)
}
