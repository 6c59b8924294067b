//! Natural keys: an insertion whose key a live row has is refused, or adopted by that row.

use sync_protocol::merge::FieldEdit;
use sync_protocol::problem::Problem;
use sync_protocol::schema::{Collection, Field, MergeRule, OnDuplicate};
use sync_protocol::wire::receipt::MutationOutcome;
use sync_protocol::{Fields, RecordId, Value};

use super::{Decided, Work};
use crate::push::check::CheckedMutation;
use crate::push::load::referenced_collection;
use crate::push::rows::key_text;
use crate::store::StoredRow;

/// Who has a natural key, as the mutations decided so far leave it.
pub(super) enum Holder {
    Nobody,
    Row(RecordId),
    /// A row of this transaction had it, and has it no more.
    FreedHere,
}

impl Work<'_> {
    /// Looks for the row that has a natural key, among those of this transaction first.
    pub(super) fn holder(&self, collection: &Collection, key: &[String]) -> Holder {
        let has =
            |row: &StoredRow| row.meta.deleted.is_none() && key_of(collection, &row.fields) == key;
        let taken = self.rows.iter().find(|((of, _), row)| *of == collection.name && has(row));
        if let Some(((_, id), _)) = taken {
            return Holder::Row(*id);
        }
        let name = (collection.name.clone(), key.to_vec());
        match self.loaded.natural_keys.get(&name) {
            Some(id) if !self.rows.contains_key(&(collection.name.clone(), *id)) => {
                Holder::Row(*id)
            }
            Some(_) => Holder::FreedHere,
            None => Holder::Nobody,
        }
    }

    /// The mutation with the ids that records of this transaction go by since their insertion.
    pub(super) fn renamed<'m>(&self, mutation: &CheckedMutation<'m>) -> CheckedMutation<'m> {
        let mut mutation = mutation.clone();
        let collection = mutation.collection;
        if let Some(alias) = self.aliases.get(&(collection.name.clone(), mutation.record)) {
            mutation.record = *alias;
        }
        for (field, edit) in &mut mutation.edits {
            if let FieldEdit::Set(Value::Uuid(id)) = edit
                && let Some(target) = referenced_collection(collection, &field.name)
                && let Some(alias) = self.aliases.get(&(target.to_owned(), RecordId(*id)))
            {
                *id = alias.0;
            }
        }
        mutation
    }

    /// An insertion whose natural key a live row has.
    pub(super) fn duplicate(
        &mut self,
        mutation: &CheckedMutation<'_>,
        existing: RecordId,
    ) -> Decided<MutationOutcome> {
        let collection = mutation.collection;
        let adopts = collection
            .natural_key
            .as_ref()
            .is_some_and(|key| key.on_duplicate == OnDuplicate::Adopt);
        let row = self
            .row(&collection.name, existing)
            .filter(|row| row.meta.deleted.is_none() && self.sees(collection, existing, row))
            .cloned();
        match row {
            Some(row) if adopts => {
                let mut outcome = self.update(mutation, existing, row, true)?;
                outcome.alias = Some(existing);
                self.aliases.insert((collection.name.clone(), mutation.record), existing);
                Ok(outcome)
            }
            row => {
                let key = collection.natural_key.as_ref().map(|k| k.fields.join(" + "));
                let mut problem =
                    Problem::new(422, "duplicate_key", "Such a record exists already").detail(
                        format!(
                            "`{}` allows one record for each {}; edit the existing one instead",
                            collection.name,
                            key.unwrap_or_default()
                        ),
                    );
                if row.is_some() {
                    problem.more.insert("existing".to_owned(), existing.to_string().into());
                }
                Err(Box::new(problem))
            }
        }
    }
}

/// The canonical text of a row's natural key.
fn key_of(collection: &Collection, fields: &Fields) -> Vec<String> {
    let names = collection.natural_key.iter().flat_map(|key| &key.fields);
    let values: Vec<Value> =
        names.map(|name| fields.get(name).cloned().unwrap_or(Value::Null)).collect();
    key_text(collection, &values)
}

/// What an insertion says of a field, as an addition to a row that is there.
pub(super) fn as_addition(field: &Field, edit: &FieldEdit) -> FieldEdit {
    match (field.merge, edit) {
        (MergeRule::Counter, FieldEdit::Set(value)) => FieldEdit::Add(value.units().unwrap_or(0)),
        (MergeRule::Set, FieldEdit::Set(Value::Set(elements))) => {
            FieldEdit::Elements { add: elements.clone(), remove: Default::default() }
        }
        _ => edit.clone(),
    }
}
