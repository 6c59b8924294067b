//! Records that a natural key merged into others: later edits still use the id that they were
//! given on the device, until its next pull tells it the new one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sync_protocol::RecordId;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::Transaction;

use super::load::referenced_collection;

/// The transaction with every renamed record under its present id.
pub(super) fn rename<'t>(
    schema: &Schema,
    transaction: &'t Transaction,
    aliases: BTreeMap<(&str, RecordId), RecordId>,
) -> Cow<'t, Transaction> {
    if aliases.is_empty() {
        return Cow::Borrowed(transaction);
    }
    let mut transaction = transaction.clone();
    for mutation in &mut transaction.mutations {
        if let Some(alias) = aliases.get(&(mutation.collection.as_str(), mutation.record)) {
            mutation.record = *alias;
        }
        let Some(collection) = schema.collection(&mutation.collection) else { continue };
        for (field, value) in &mut mutation.set {
            let id = value.as_str().and_then(|text| text.parse::<RecordId>().ok());
            if let Some(target) = referenced_collection(collection, field)
                && let Some(alias) = id.and_then(|id| aliases.get(&(target, id)))
            {
                *value = alias.to_string().into();
            }
        }
    }
    Cow::Owned(transaction)
}
