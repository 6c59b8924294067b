//! Receipts: what became of a transaction of edits, by the transaction's id.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::problem::Problem;
use crate::{ConflictId, ReceiptId, RecordId, RowVersion};

/// The outcome of one transaction, as the server has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The transaction.
    pub id: ReceiptId,
    /// The one state that it is in.
    pub state: ReceiptState,
    /// Why it was refused or parked, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// What became of each mutation, in order; empty where none took effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mutations: Vec<MutationOutcome>,
    /// The transaction waits as a whole (`atomic_review`): nothing of it has taken effect yet, and
    /// what builds on it is parked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// When the server settled it, in microseconds since 1970.
    pub settled_at_us: i64,
}

/// States that a server gives. A device has `waiting` and `sending` besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// Took effect.
    Applied,
    /// A concurrent edit won in at least one field; the rest, if any, took effect.
    Superseded,
    /// A person decides on at least one field; the rest took effect (or waits with it, where the
    /// collection says `atomic_review`).
    InReview,
    /// Took no effect; `problem` says why and what to do. Final: a correction is a new transaction.
    Refused,
    /// Not settled and not kept: it builds on a refused transaction (send again once that is solved),
    /// or needs a row that another session holds (`busy`: send again later).
    Parked,
    /// Given to quarantine by a device that lost its rights.
    HandedOver,
    /// Withdrawn by its author.
    Discarded,
}

/// What became of one mutation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MutationOutcome {
    /// The collection.
    pub collection: String,
    /// The record that the mutation named.
    pub record: RecordId,
    /// The row's version after the transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<RowVersion>,
    /// Fields that did not simply take effect.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldOutcome>,
    /// The row itself went another way (a deletion that met an edit, say).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<FieldOutcome>,
    /// The record into which this insertion was merged (natural key, `adopt`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<RecordId>,
    /// Fields that left their limits by this edit (counters).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

/// What became of one field of an edit, where it did not simply take effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum FieldOutcome {
    /// Somebody else's value stands.
    Superseded {
        /// The value that this edit wanted to set, kept for its author.
        value: Json,
        /// The version at which the winning value was set.
        by_version: RowVersion,
    },
    /// A person decides.
    InReview {
        /// The conflict.
        conflict: ConflictId,
        /// What the author was asked and has not answered yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        question: Option<String>,
    },
    /// A person decided.
    Decided {
        /// The conflict.
        conflict: ConflictId,
        /// Whether this edit's value was chosen.
        kept: bool,
    },
}
