//! Rows, receipts and audit entries as stores read and write them.

use serde::{Deserialize, Serialize};
use sync_protocol::merge::RowMeta;
use sync_protocol::wire::push::Transaction;
use sync_protocol::wire::receipt::Receipt;
use sync_protocol::wire::review::{Authorship, ConflictStatus, Severity};
use sync_protocol::{
    ConflictId, DeviceId, EditTime, Fields, ReceiptId, RecordId, Scope, StreamId, UserId,
};

/// A row with its bookkeeping.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    /// Content: every declared field. Of a deleted row, what it held.
    pub fields: Fields,
    /// Versions and writers.
    pub meta: RowMeta,
}

/// One row to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct RowWrite {
    /// The row.
    pub record: RecordId,
    /// What is done.
    pub kind: WriteKind,
    /// Insert: all fields. Update: the changed ones with their new values. Delete, restore: empty
    /// (a restore brings back the tombstone's content, changed by whatever is here).
    pub set: Fields,
    /// Update: elements of `set` fields that were added again while present, as (field, element).
    /// With an empty `set` the row's version still grows.
    pub touched: Vec<(String, String)>,
    /// When the edit was made.
    pub time: EditTime,
}

/// What is done to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// Makes it. An id that was ever used is a [`super::StoreError::Constraint`] (unique).
    Insert,
    /// Changes fields.
    Update,
    /// Deletes it and leaves a tombstone.
    Delete,
    /// Brings a deleted row back.
    Restore,
}

/// A receipt with what the server keeps about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredReceipt {
    /// What the device is told.
    pub receipt: Receipt,
    /// The device's history that the transaction belongs to.
    pub stream: StreamId,
    /// The device.
    pub device: DeviceId,
    /// The author.
    pub user: UserId,
    /// Who, when, where, as conflicts show it.
    pub by: Authorship,
    /// SHA-256 of the transaction's canonical JSON, hex: tells a repetition from another content.
    pub content_hash: String,
    /// The refused transaction that this one corrects.
    pub replaces: Option<ReceiptId>,
    /// The transaction, while it waits as a whole for its conflicts to be decided (`atomic_review`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Box<Transaction>>,
}

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, in microseconds since 1970.
    pub at_us: i64,
    /// Who; none for the command line.
    pub user: Option<UserId>,
    /// What: `conflict.opened`, `conflict.claimed`, `conflict.resolved`, `user.granted`, …
    pub action: String,
    /// The conflict that it is about.
    pub conflict: Option<ConflictId>,
    /// Everything else.
    pub detail: serde_json::Value,
}

/// Which conflicts to list.
#[derive(Debug, Clone, Default)]
pub struct ConflictFilter {
    /// Only these statuses; all where empty.
    pub status: Vec<ConflictStatus>,
    /// Only this severity.
    pub severity: Option<Severity>,
    /// Only these collections (what the caller may read, or fewer).
    pub collections: Vec<String>,
    /// Only rows that are in one of these scopes, or were when they were deleted, and records that are not
    /// there and would be in one of them.
    pub scopes: Vec<Scope>,
    /// Only this one.
    pub id: Option<ConflictId>,
    /// Opened not before, in microseconds since 1970.
    pub opened_after_us: Option<i64>,
    /// Opened before, in microseconds since 1970.
    pub opened_before_us: Option<i64>,
    /// Continue after this one, by (opened_at_us, id).
    pub after: Option<(i64, ConflictId)>,
    /// Most conflicts to answer.
    pub limit: usize,
}
