//! Cutting a push into chunks in which no two transactions depend on each other.

use std::collections::HashSet;

use sync_protocol::RecordId;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::{Mutation, MutationKind, Transaction};

/// Most mutations in a chunk: bounds how long its rows stay locked.
const CHUNK_MUTATIONS_MAX: usize = 1_000;

/// What two transactions of one chunk may not share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Claim {
    /// A row, be it changed or the parent of a changed one.
    Row(String, RecordId),
    /// A natural key, as its values in JSON.
    NaturalKey(String, String),
}

/// Cuts the transactions, in order, into runs that share no row, parent or natural key, and that
/// do not build on one another.
pub(super) fn split<'a>(
    schema: &Schema,
    transactions: &'a [Transaction],
) -> impl Iterator<Item = &'a [Transaction]> {
    let mut bounds = vec![0];
    let mut taken = HashSet::new();
    let mut ids = HashSet::new();
    let mut mutations = 0;
    for (index, transaction) in transactions.iter().enumerate() {
        let claims: HashSet<Claim> = claims(schema, transaction).collect();
        let depends = !taken.is_disjoint(&claims)
            || ids.contains(&transaction.id)
            || transaction.builds_on.iter().any(|id| ids.contains(id));
        if depends || mutations + transaction.mutations.len() > CHUNK_MUTATIONS_MAX {
            if index > 0 {
                bounds.push(index);
            }
            taken.clear();
            ids.clear();
            mutations = 0;
        }
        mutations += transaction.mutations.len();
        taken.extend(claims);
        ids.insert(transaction.id);
    }
    bounds.push(transactions.len());
    (1..bounds.len())
        .map(move |i| &transactions[bounds[i - 1]..bounds[i]])
        .filter(|c| !c.is_empty())
}

/// The rows, parents and natural keys of a transaction.
pub(super) fn claims(schema: &Schema, transaction: &Transaction) -> impl Iterator<Item = Claim> {
    transaction.mutations.iter().flat_map(|mutation| claims_of(schema, mutation))
}

fn claims_of(schema: &Schema, mutation: &Mutation) -> Vec<Claim> {
    let name = &mutation.collection;
    let mut claims = vec![Claim::Row(name.clone(), mutation.record)];
    let Some(collection) = schema.collection(name) else { return claims };
    if let Some(parent) = &collection.parent
        && let Some(id) = mutation.set.get(&parent.field).and_then(|id| id.as_str()?.parse().ok())
    {
        claims.push(Claim::Row(parent.collection.clone(), id));
    }
    if let Some(key) = &collection.natural_key
        && mutation.kind != MutationKind::Delete
        && key.fields.iter().any(|field| mutation.set.contains_key(field))
    {
        let values: Vec<_> = key.fields.iter().map(|f| mutation.set.get(f)).collect();
        let text = serde_json::to_string(&values).unwrap_or_default();
        claims.push(Claim::NaturalKey(name.clone(), text));
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;
    use sync_protocol::{EditTime, ReceiptId};
    use uuid::Uuid;

    fn transaction(id: u128, records: &[u128]) -> Transaction {
        let mutation = |record: &u128| Mutation {
            collection: "avances".to_owned(),
            record: RecordId(Uuid::from_u128(*record)),
            kind: MutationKind::Update,
            set: serde_json::Map::new(),
            add: serde_json::Map::new(),
            elements: std::collections::BTreeMap::new(),
            base: std::collections::BTreeMap::new(),
            seen: serde_json::Map::new(),
            row_base: None,
        };
        Transaction {
            id: ReceiptId(Uuid::from_u128(id)),
            edited: EditTime::certain(0),
            wall_clock_us: 0,
            replaces: None,
            builds_on: Vec::new(),
            position: None,
            mutations: records.iter().map(mutation).collect(),
        }
    }

    fn lengths(transactions: &[Transaction]) -> Vec<usize> {
        split(&Schema::default(), transactions).map(<[Transaction]>::len).collect()
    }

    #[test]
    fn independent_transactions_share_a_chunk() {
        let all: Vec<_> = (1..=10).map(|n| transaction(n, &[n])).collect();
        assert_eq!(lengths(&all), [10]);
        assert_eq!(lengths(&[]), [0usize; 0]);
    }

    #[test]
    fn a_shared_row_or_a_dependency_begins_a_new_chunk() {
        let mut all = vec![transaction(1, &[1]), transaction(2, &[2, 1]), transaction(3, &[3])];
        assert_eq!(lengths(&all), [1, 2]);
        let second = all[1].id;
        all[2].builds_on.push(second);
        assert_eq!(lengths(&all), [1, 1, 1]);
    }

    #[test]
    fn a_chunk_is_bounded() {
        let all: Vec<_> = (0..2_500).map(|n| transaction(n, &[n])).collect();
        assert_eq!(lengths(&all), [1_000, 1_000, 500]);
    }
}
