//! `POST sync/compare`: which rows of a scope differ, where digests say that some do.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::{RecordId, RowVersion, Scope};

/// Asks for the rows of a scope: those in buckets that differ from the caller's, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareRequest {
    /// The scope, which the caller has to hold.
    pub scope: Scope,
    /// The collection.
    pub collection: String,
    /// Digests of the caller's rows in each of the [`crate::digest::BUCKETS`]; none to be told all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<Vec<Digest>>,
    /// Whether the digest of each row's content is to be told as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub content: bool,
    /// Continue after this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RecordId>,
}

/// Rows in the order of their ids, as of now: they may have changed since the caller's checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareAnswer {
    /// The buckets that differ; all, where the request told none.
    pub buckets: Vec<u8>,
    /// All rows of these buckets after `after`, up to `next`.
    pub rows: Vec<ComparedRow>,
    /// Continue after this record; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<RecordId>,
}

/// A row of the server's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparedRow {
    /// Its id.
    pub id: RecordId,
    /// Its version.
    pub version: RowVersion,
    /// Digest of its content, as far as the caller may see it, if that was asked for
    /// ([`Digest::of_content`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
}
