//! Natural keys: insertions that are merged into other rows, and what refers to them by their old ids.

use std::collections::BTreeMap;

use sync_protocol::RecordId;
use sync_protocol::schema::{MergeRule, Schema};
use sync_protocol::wire::push::{ElementsEdit, Mutation, MutationKind};

use super::history::elements;
use crate::oracle::snapshot::Name;

/// An insertion that is merged into a row with its natural key: first values of counters and sets are
/// additions to what is there, and the author has seen nothing of it.
pub(super) fn adopted(schema: &Schema, insertion: &Mutation) -> Mutation {
    let mut update = Mutation { kind: MutationKind::Update, ..insertion.clone() };
    let Some(collection) = schema.collection(&insertion.collection) else { return update };
    for field in &collection.fields {
        let rule = field.merge;
        if !matches!(rule, MergeRule::Counter | MergeRule::Set) {
            continue;
        }
        let Some(value) = update.set.remove(&field.name) else { continue };
        if rule == MergeRule::Counter {
            update.add.insert(field.name.clone(), value);
        } else {
            let add = elements(&value).into_iter().collect();
            let edit = ElementsEdit { add, remove: Vec::new() };
            update.elements.insert(field.name.clone(), edit);
        }
    }
    update
}

/// A mutation that refers to records by the ids that they have now.
pub(super) fn refers_to(
    schema: &Schema,
    mutation: &Mutation,
    aliases: &BTreeMap<Name, RecordId>,
) -> Mutation {
    let mut mutation = mutation.clone();
    let Some(collection) = schema.collection(&mutation.collection) else { return mutation };
    for field in &collection.fields {
        let Some(target) = &field.references else { continue };
        let Some(value) = mutation.set.get_mut(&field.name) else { continue };
        let id = value.as_str().and_then(|text| text.parse().ok());
        let new = id.and_then(|id| aliases.get(&(target.clone(), id)));
        if let Some(new) = new {
            *value = new.to_string().into();
        }
    }
    mutation
}
