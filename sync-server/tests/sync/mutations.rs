//! Edits as phones send them.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use sync_protocol::wire::push::{Mutation, MutationKind};
use sync_protocol::{RecordId, RowVersion};

pub fn insert(collection: &str, record: RecordId, set: Json) -> Mutation {
    mutation(collection, record, MutationKind::Insert, set, None)
}

/// An update whose author saw the row at `base`.
pub fn update(collection: &str, record: RecordId, set: Json, base: RowVersion) -> Mutation {
    mutation(collection, record, MutationKind::Update, set, Some(base))
}

/// A difference to a counter.
pub fn add(collection: &str, record: RecordId, field: &str, difference: &str) -> Mutation {
    let mut update = update(collection, record, json!({}), 1);
    update.add.insert(field.to_owned(), json!(difference));
    update
}

pub fn delete(collection: &str, record: RecordId, base: RowVersion) -> Mutation {
    mutation(collection, record, MutationKind::Delete, json!({}), Some(base))
}

fn mutation(
    collection: &str,
    record: RecordId,
    kind: MutationKind,
    set: Json,
    base: Option<RowVersion>,
) -> Mutation {
    let set = set.as_object().cloned().unwrap_or_default();
    Mutation {
        collection: collection.to_owned(),
        record,
        kind,
        base: base.iter().flat_map(|base| set.keys().map(|k| (k.clone(), *base))).collect(),
        set,
        add: Map::new(),
        elements: BTreeMap::new(),
        seen: Map::new(),
        row_base: base,
    }
}
