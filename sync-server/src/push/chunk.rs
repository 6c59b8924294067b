//! Cutting a push into chunks in which no two transactions depend on each other.

use std::collections::HashSet;

use sync_protocol::schema::Schema;
use sync_protocol::wire::push::Transaction;

use super::claims::Claims;

/// Most mutations in a chunk: bounds how long its rows stay locked.
const CHUNK_MUTATIONS_MAX: usize = 1_000;

/// Cuts the transactions, in order, into runs in which none changes a row or natural key that
/// another touches, and none builds on another. Each has an id of its own.
pub(super) fn split<'a>(
    schema: &Schema,
    transactions: &'a [Transaction],
) -> impl Iterator<Item = &'a [Transaction]> {
    let mut bounds = vec![0];
    let mut taken = Claims::default();
    let mut ids = HashSet::new();
    let mut mutations = 0;
    for (index, transaction) in transactions.iter().enumerate() {
        let claims = Claims::of(schema, transaction);
        let depends =
            taken.collide(&claims) || transaction.builds_on.iter().any(|id| ids.contains(id));
        if depends || mutations + transaction.mutations.len() > CHUNK_MUTATIONS_MAX {
            if index > 0 {
                bounds.push(index);
            }
            taken = Claims::default();
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

#[cfg(test)]
mod tests {
    use super::*;
    use sync_protocol::schema::parse::{SourceFile, parse};
    use sync_protocol::wire::push::{Mutation, MutationKind};
    use sync_protocol::{EditTime, ReceiptId, RecordId};
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
    fn children_of_one_parent_share_a_chunk_and_follow_the_parent_itself() {
        let file = SourceFile {
            name: "partes.toml".to_owned(),
            text: include_str!("../../../schemas/construccion.toml").to_owned(),
        };
        let schema = parse(&[file]).expect("a schema");
        let mut all: Vec<_> = (1..=5).map(|n| transaction(n, &[n])).collect();
        for child in &mut all[1..] {
            let mutation = &mut child.mutations[0];
            mutation.collection = "avance_items".to_owned();
            mutation.set.insert("avance_id".to_owned(), Uuid::from_u128(1).to_string().into());
        }
        let lengths: Vec<_> = split(&schema, &all).map(<[Transaction]>::len).collect();
        assert_eq!(lengths, [1, 4]);
    }

    #[test]
    fn a_chunk_is_bounded() {
        let all: Vec<_> = (0..2_500).map(|n| transaction(n, &[n])).collect();
        assert_eq!(lengths(&all), [1_000, 1_000, 500]);
    }
}
