//! Rows that a chunk works on: as loaded, with the changes that were decided on top.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sync_protocol::schema::{Collection, Schema};
use sync_protocol::wire::review::{Authorship, Conflict};
use sync_protocol::{RecordId, Scope, StreamId, Value};

use crate::store::StoredRow;

/// A row's name across collections.
pub(super) type RowName = (String, RecordId);

/// Everything that deciding about a chunk needs from the database.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The collections.
    pub schema: Arc<Schema>,
    /// Scopes that the author holds.
    pub scopes: BTreeSet<Scope>,
    /// Scopes that the author held once, and does not hold now.
    pub lost_scopes: BTreeSet<Scope>,
    /// Rows that are to be changed, locked, deleted ones included.
    pub rows: BTreeMap<RowName, StoredRow>,
    /// Rows that the author does not see, and held once.
    pub lost: BTreeSet<RowName>,
    /// Rows that are referred to, not locked.
    pub referenced: BTreeMap<RowName, StoredRow>,
    /// Live rows that have a natural key which an insertion names.
    pub natural_keys: BTreeMap<(String, Vec<String>), RecordId>,
    /// Hashes of pictures of photos to be inserted that other photos have already.
    pub pictures: BTreeSet<String>,
    /// Open conflicts of the rows, and of records that they refer to and that are not there.
    pub conflicts: Vec<Conflict>,
    /// Who writes in the streams that last changed fields under review.
    pub authors: BTreeMap<StreamId, Authorship>,
}

/// The canonical text of a natural key's values, by which [`Loaded::natural_keys`] finds rows.
pub(super) fn key_text(collection: &Collection, values: &[Value]) -> Vec<String> {
    let fields = collection.natural_key.iter().flat_map(|key| &key.fields);
    fields
        .zip(values)
        .map(|(name, value)| match collection.field(name) {
            Some(field) => value.to_json(&field.kind).to_string(),
            None => String::new(),
        })
        .collect()
}
