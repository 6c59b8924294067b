//! What an edit may reach: referenced rows, parents, and the scopes that the row ends in.

use std::borrow::Cow;

use sync_protocol::problem::{Location, Problem};
use sync_protocol::schema::{Collection, Field, ScopeRule};
use sync_protocol::{Fields, RecordId, Scope, Value};

use super::{Decided, Work};
use crate::push::load::referenced_collection;
use crate::store::StoredRow;

impl Work<'_> {
    /// A referenced row must be there, and be visible to the author: hidden and missing are one.
    pub(super) fn check_reference(
        &self,
        collection: &Collection,
        field: &Field,
        value: &Value,
    ) -> Decided<()> {
        let (Value::Uuid(id), Some(target)) =
            (value, referenced_collection(collection, &field.name))
        else {
            return Ok(());
        };
        let id = RecordId(*id);
        let there = self.referenced_row(target, id).is_some_and(|(target, row)| {
            row.meta.deleted.is_none() && target.is_none_or(|target| self.sees(target, id, row))
        });
        if there {
            return Ok(());
        }
        let at = Location { field: Some(field.name.clone()), ..Location::default() };
        Err(Box::new(
            Problem::new(422, "unknown_reference", "A referenced row does not exist")
                .detail(format!(
                    "`{}` names {id}, but `{target}` has no such record that you can see",
                    field.name
                ))
                .at(at),
        ))
    }

    pub(super) fn referenced_row(
        &self,
        target: &str,
        id: RecordId,
    ) -> Option<(Option<&Collection>, &StoredRow)> {
        let row = self
            .row(target, id)
            .or_else(|| self.loaded.referenced.get(&(target.to_owned(), id)))?;
        Some((self.loaded.schema.collection(target), row))
    }

    /// Fills the columns that a child carries from its parent.
    pub(super) fn follow_parent(&self, collection: &Collection, fields: &mut Fields) {
        let Some(parent) = &collection.parent else { return };
        let Some(Value::Uuid(id)) = fields.get(&parent.field) else { return };
        let id = RecordId(*id);
        let row = match self.referenced_row(&parent.collection, id) {
            Some((_, row)) => Some(Cow::Borrowed(&row.fields)),
            None => self.pending_row(&parent.collection, id).map(Cow::Owned),
        };
        let Some(row) = row else { return };
        for field in collection.fields.iter().filter(|field| field.from_parent) {
            let value = row.get(&field.name).cloned().unwrap_or(Value::Null);
            fields.insert(field.name.clone(), value);
        }
    }

    /// The row must end in a scope that the author holds. Who makes an entity holds its scope.
    pub(super) fn check_scopes(
        &mut self,
        collection: &Collection,
        id: RecordId,
        fields: &Fields,
        made: bool,
    ) -> Decided<()> {
        let scopes = collection.scopes_of(id, fields);
        if scopes.iter().any(|scope| self.holds(scope)) {
            return Ok(());
        }
        let own = collection.scopes.iter().find_map(|rule| match rule {
            ScopeRule::Entity { kind, field } if field == "id" => Some(Scope::entity(kind, id.0)),
            _ => None,
        });
        match own {
            Some(scope) if made => {
                self.plan.grants.push(scope);
                Ok(())
            }
            _ => Err(out_of_scope()),
        }
    }
}

/// The answer to an edit that takes a record to where its author is not.
pub(super) fn out_of_scope() -> Box<Problem> {
    Box::new(
        Problem::new(403, "out_of_scope", "The record would be outside your scopes")
            .detail("it would belong to nobody's or somebody else's work; check who it is for"),
    )
}
