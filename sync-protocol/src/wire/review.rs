//! `conflicts…`: what supervisors list, claim, ask about, decide and undo.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::wire::push::Position;
use crate::wire::unique;
use crate::{ConflictId, DeviceId, ReceiptId, RecordId, RowVersion, Scope, UserId};

/// A conflict with everything a supervisor needs to decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// Its id.
    pub id: ConflictId,
    /// Grows with each change of the conflict; a decision names the one it was taken on.
    pub revision: i64,
    /// Where it stands.
    pub status: ConflictStatus,
    /// Whether it has to be decided.
    pub severity: Severity,
    /// The collection.
    pub collection: String,
    /// The record.
    pub record: RecordId,
    /// The field; none where the row as a whole is meant (a deletion met an edit).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The value that both sides started from, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Json>,
    /// The value on the server; null for a record that is not there.
    pub current: Json,
    /// Who set the value on the server, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_by: Option<Authorship>,
    /// Every edit that wants another value, in the order of arrival.
    pub candidates: Vec<Candidate>,
    /// The record around it, as the caller may see it; of one that is not there, as its author wants it.
    pub row: serde_json::Map<String, Json>,
    /// Of a record that a decision makes: the scopes that it is in, or would be in, of those that the caller
    /// holds. Its author had lost some of them before its insertion came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
    /// The record that such a one belongs to, which may wait as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub belongs_to: Option<BelongsTo>,
    /// When it arose, in microseconds since 1970.
    pub opened_at_us: i64,
    /// Who is on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<UserId>,
    /// Questions and answers between supervisor and authors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// The decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
}

/// The parent of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BelongsTo {
    /// Its collection.
    pub collection: String,
    /// Its id.
    pub record: RecordId,
}

/// Where a conflict stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictStatus {
    /// Waits for somebody.
    Open,
    /// Somebody is on it.
    Claimed,
    /// Decided.
    Resolved,
    /// Nothing to decide: listed for information.
    Informational,
}

/// Whether a conflict has to be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Different fields of one record were merged.
    Merged,
    /// The same field, or a deletion that met an edit: somebody decides.
    Collision,
}

/// Who made an edit, when and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Authorship {
    /// The person; none for plain SQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// What the device is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// When, corrected, in microseconds since 1970.
    pub edited_at_us: i64,
    /// The time is only bounded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
    /// From the edit until it reached the server, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline_us: Option<i64>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// One edit that wants another value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The transaction that carried it, which names it in a decision.
    pub receipt: ReceiptId,
    /// The wanted value; for a row as a whole, the fields of the edit, or `"deleted"`.
    pub value: Json,
    /// The version its author saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_version: Option<RowVersion>,
    /// Who, when and where.
    pub by: Authorship,
    /// Why it needs a decision, where it is not that somebody else changed the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<CandidateReason>,
}

/// Why an edit needs a decision although nothing else changed the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CandidateReason {
    /// Its author does not see the row any more, or would not see the one that it makes: a scope was taken
    /// away, or the row moved, while the edit waited.
    ScopeLost,
}

/// A question or an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Who wrote it.
    pub user: UserId,
    /// What.
    pub text: String,
    /// When, in microseconds since 1970.
    pub at_us: i64,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// Which value.
    pub keep: Keep,
    /// Why.
    pub reason: String,
    /// By whom.
    pub user: UserId,
    /// When, in microseconds since 1970.
    pub at_us: i64,
    /// The value that was in force before, for undoing.
    pub previous: Json,
    /// The row's version after the decision. It can be undone while nothing has changed since.
    pub version: RowVersion,
}

/// Which value stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The one on the server.
    Server,
    /// A candidate's, named by its receipt.
    Candidate(ReceiptId),
    /// Another one.
    Value(#[serde(deserialize_with = "unique::value")] Json),
}

/// Body of `POST conflicts/{id}/resolve`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    /// The revision that the decision was taken on; an older one gets 409.
    pub revision: i64,
    /// Which value stays.
    pub keep: Keep,
    /// Why; kept in the audit trail.
    pub reason: String,
}

/// Body of `POST conflicts/resolve`: many alike at once, each on its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolveManyRequest {
    /// By conflict.
    #[serde(deserialize_with = "unique::by_key")]
    pub conflicts: BTreeMap<ConflictId, ResolveRequest>,
}

/// Body of `POST conflicts/{id}/ask` and `…/answer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteRequest {
    /// The question or answer.
    pub text: String,
}

/// Answer of `GET conflicts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConflictList {
    /// Newest last.
    pub conflicts: Vec<Conflict>,
    /// Pass as `after` for the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Body of `POST conflicts/{id}/claim`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimRequest {
    /// Gives it back instead.
    pub release: bool,
    /// Takes it from whoever has it.
    pub take_over: bool,
}

/// Body of `POST conflicts/{id}/undo`: opens a decided conflict again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoRequest {
    /// The revision that the caller saw; an older one gets 409.
    pub revision: i64,
    /// Why; kept in the audit trail.
    pub reason: String,
}

/// Answer of `POST conflicts/resolve`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolveManyAnswer {
    /// By conflict.
    pub results: BTreeMap<ConflictId, ResolveResult>,
}

/// What became of one of many decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolveResult {
    /// Decided.
    Resolved(Box<Conflict>),
    /// Not decided, and why.
    Failed(Box<crate::problem::Problem>),
}
