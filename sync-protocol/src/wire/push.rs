//! `POST sync/push`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::wire::receipt::Receipt;
use crate::wire::unique;
use crate::{EditTime, PushId, ReceiptId, RecordId, RowVersion, StreamId};

/// Body of a push: transactions in the order in which the user made them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushRequest {
    /// The history these edits belong to.
    pub stream: StreamId,
    /// Each atomic, each applied at most once by its id.
    pub transactions: Vec<Transaction>,
    /// Transactions that their author takes back although the server may have them. Settled before the
    /// others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdraw: Vec<ReceiptId>,
    /// Receipts whose outcome the device has made durable; the server may forget their content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<ReceiptId>,
    /// Where this push stands in the stream's history. Without it nothing is checked, which is safe
    /// only for a client whose data cannot be copied or restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<PushMark>,
}

/// Tells a database from its copies: whoever pushes knows the stream's last push, or is a copy that
/// has missed some of the stream's history and has to draw a stream of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushMark {
    /// This attempt, also if the same transactions were sent before. Durable before it is sent.
    pub id: PushId,
    /// The last attempt that was answered, and those without an answer since: the server has seen
    /// one of them last, or the push is refused as a whole (`stream_moved`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<PushId>,
}

/// Edits that take effect together or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// Drawn by the device; the receipt's id as well.
    pub id: ReceiptId,
    /// When it was made, corrected and frozen.
    pub edited: EditTime,
    /// The phone's own clock at that moment, in microseconds since 1970, for the record.
    pub wall_clock_us: i64,
    /// The refused transaction that this one corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<ReceiptId>,
    /// Earlier transactions of this stream whose records or fields this one uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builds_on: Vec<ReceiptId>,
    /// Where the phone was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// In order.
    pub mutations: Vec<Mutation>,
}

/// A place on earth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Radius of 68 % confidence, in metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_m: Option<f64>,
}

/// A change of one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutation {
    /// The collection.
    pub collection: String,
    /// The row.
    pub record: RecordId,
    /// What is done to it.
    pub kind: MutationKind,
    /// New values, canonical JSON. On an insertion also the first value of counters and sets.
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "unique::document")]
    pub set: Map<String, Json>,
    /// Differences to `counter` fields, canonical JSON (updates only).
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "unique::document")]
    pub add: Map<String, Json>,
    /// Elements that come to and go from `set` fields (updates only).
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique::by_key"
    )]
    pub elements: BTreeMap<String, ElementsEdit>,
    /// Row version that the author saw, per field of `set`, `add` and `elements`. A field that is
    /// missing here, or whose version the server cannot know, counts as concurrent.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique::by_key"
    )]
    pub base: BTreeMap<String, RowVersion>,
    /// Values that the author saw in fields with the rule `review`, canonical JSON: what a
    /// supervisor is shown as the base if the edit turns out to be concurrent.
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "unique::document")]
    pub seen: Map<String, Json>,
    /// Row version that the author saw, for deletions and restorations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_base: Option<RowVersion>,
}

/// What a mutation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MutationKind {
    /// Makes the row.
    Insert,
    /// Changes fields.
    Update,
    /// Deletes the row; a tombstone with its content stays.
    Delete,
    /// Brings a deleted row back as it was.
    Restore,
}

/// A change of a `set` field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElementsEdit {
    /// Elements that come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Elements that go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// Answer of a push: one receipt for each transaction, in the order of the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PushAnswer {
    /// In the order of the request.
    pub receipts: Vec<Receipt>,
    /// For what was to be withdrawn, in the order of the request: `discarded`, or what had become of it
    /// before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<Receipt>,
    /// The server's clock, in microseconds since 1970.
    pub server_time_us: i64,
}
