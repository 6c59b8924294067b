//! What an author saw, as conflicts show it: only what a conflict can be about, and no more of it.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use sync_protocol::Value;
use sync_protocol::limits::JSON_BYTES_MAX;
use sync_protocol::schema::{Collection, MergeRule, Schema};
use sync_protocol::wire::push::{Mutation, Transaction};

/// The values that the author saw of the fields under review that the mutation edits. Others, and
/// those that are longer than a value may be, say nothing.
pub(super) fn seen(collection: &Collection, mutation: &Mutation) -> BTreeMap<String, Json> {
    let told = |name: &String| {
        let value = mutation.seen.get(name)?;
        let field = collection.field(name).filter(|field| field.merge == MergeRule::Review)?;
        let value = Value::read(field, value).ok()?.to_json(&field.kind);
        (value.to_string().len() <= JSON_BYTES_MAX).then(|| (name.clone(), value))
    };
    mutation.set.keys().filter_map(told).collect()
}

/// The transaction as it is kept while it waits: without what its mutations say of fields that they
/// do not edit.
pub(super) fn kept(schema: &Schema, transaction: &Transaction) -> Transaction {
    let mut kept = transaction.clone();
    for mutation in &mut kept.mutations {
        mutation.seen = match schema.collection(&mutation.collection) {
            Some(collection) => seen(collection, mutation).into_iter().collect(),
            None => serde_json::Map::new(),
        };
        let Mutation { set, add, elements, base, .. } = mutation;
        base.retain(|name, _| {
            set.contains_key(name) || add.contains_key(name) || elements.contains_key(name)
        });
    }
    kept
}
