//! What transactions touch, and whether two of them may be settled together.
//!
//! Two transactions that only read the same row do not disturb each other; one that changes what
//! the other changes or reads has to come before or after it.

use std::collections::HashSet;

use serde_json::Value as Json;
use sync_protocol::RecordId;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::{Mutation, MutationKind, Transaction};

use super::check::CheckedMutation;
use super::load::{natural_key, referenced_collection};
use super::rows::{Loaded, key_text};

/// Something that one transaction may change while no other looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Claim {
    /// A row.
    Row(String, RecordId),
    /// A natural key, as its values in JSON.
    NaturalKey(String, String),
}

/// What one or several transactions touch.
#[derive(Debug, Default)]
pub(super) struct Claims {
    changed: HashSet<Claim>,
    read: HashSet<Claim>,
}

impl Claims {
    /// What a transaction names: the rows that it changes, those that they refer to or belong to,
    /// and natural keys.
    pub fn of(schema: &Schema, transaction: &Transaction) -> Self {
        let mut claims = Self::default();
        for mutation in &transaction.mutations {
            claims.add(schema, mutation);
        }
        claims
    }

    /// The rows that a transaction changes or may have to change: those that it names, and those
    /// that have a natural key which it inserts.
    pub fn of_rows(
        transaction: &Transaction,
        checked: &[CheckedMutation<'_>],
        loaded: &Loaded,
    ) -> Self {
        let named = transaction.mutations.iter().map(|m| (m.collection.clone(), m.record));
        let inserted = checked.iter().filter(|mutation| mutation.kind == MutationKind::Insert);
        let found = inserted.filter_map(|mutation| {
            let name = &mutation.collection.name;
            let key = key_text(mutation.collection, &natural_key(mutation)?);
            let row = loaded.natural_keys.get(&(name.clone(), key))?;
            Some((name.clone(), *row))
        });
        let changed = named.chain(found).map(|(name, id)| Claim::Row(name, id)).collect();
        Self { changed, read: HashSet::new() }
    }

    fn add(&mut self, schema: &Schema, mutation: &Mutation) {
        let name = &mutation.collection;
        self.changed.insert(Claim::Row(name.clone(), mutation.record));
        let Some(collection) = schema.collection(name) else { return };
        for (field, value) in &mutation.set {
            if let Some(target) = referenced_collection(collection, field)
                && let Some(id) = value.as_str().and_then(|id| id.parse().ok())
            {
                self.read.insert(Claim::Row(target.to_owned(), id));
            }
        }
        if let Some(key) = &collection.natural_key
            && mutation.kind != MutationKind::Delete
            && key.fields.iter().any(|field| mutation.set.contains_key(field))
        {
            let values: Vec<Option<&Json>> =
                key.fields.iter().map(|f| mutation.set.get(f)).collect();
            let text = serde_json::to_string(&values).unwrap_or_default();
            self.changed.insert(Claim::NaturalKey(name.clone(), text));
        }
    }

    /// Whether one of them changes what the other changes or reads.
    pub fn collide(&self, other: &Self) -> bool {
        !self.changed.is_disjoint(&other.changed)
            || !self.changed.is_disjoint(&other.read)
            || !self.read.is_disjoint(&other.changed)
    }

    /// Adds those of another.
    pub fn extend(&mut self, other: Self) {
        self.changed.extend(other.changed);
        self.read.extend(other.read);
    }

    /// Whether nothing is touched.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.read.is_empty()
    }
}

/// Whether any two of these touch the same.
pub(super) fn any_collide(all: impl IntoIterator<Item = Claims>) -> bool {
    let mut taken = Claims::default();
    all.into_iter().any(|claims| {
        let collides = taken.collide(&claims);
        taken.extend(claims);
        collides
    })
}
