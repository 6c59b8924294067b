//! Records that wait for a decision before they are made: their author had lost the scopes that they would
//! belong to.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use sync_protocol::Scope;
use sync_protocol::schema::{Collection, MergeRule, ScopeRule};
use sync_protocol::wire::push::{Mutation, MutationKind, Transaction};
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome, Receipt};
use sync_protocol::wire::review::Conflict;

use super::adoption::refers_to;
use super::verdict::is_larger;
use super::{INVARIANT, Judge, Trial};
use crate::oracle::snapshot::Name;
use crate::oracle::view::apply;
use crate::oracle::{Checked, violated};

impl Trial<'_> {
    /// The conflict that an edit of a record which is not there was handed to, if it was.
    pub(super) fn conflict_of_pending(
        &self,
        outcome: &MutationOutcome,
        name: &Name,
    ) -> Option<Arc<Conflict>> {
        let Some(FieldOutcome::InReview { conflict, .. }) = &outcome.row else { return None };
        let known = self.conflicts.get(conflict)?;
        let is_there = self.rows.get(name).is_some_and(|row| !row.deleted);
        (!is_there && !known.scopes.is_empty()).then(|| known.clone())
    }
}

impl Judge {
    /// A record that waits, as its author wants it.
    #[must_use]
    pub fn pending(&self, name: &Name) -> Option<&BTreeMap<String, Json>> {
        self.pending.get(name)
    }

    /// Of a transaction that is held as a whole nothing has taken effect; what its edits want of records that wait
    /// is with these all the same.
    pub(super) fn held(
        &mut self,
        trial: &mut Trial<'_>,
        transaction: &Transaction,
        receipt: &Receipt,
    ) -> Checked {
        let schema = trial.schema;
        let aliases = trial.aliases(transaction, receipt);
        for (mutation, outcome) in transaction.mutations.iter().zip(&receipt.mutations) {
            let name = (outcome.collection.clone(), outcome.record);
            let Some(collection) = schema.collection(&name.0) else { continue };
            if let Some(conflict) = trial.conflict_of_pending(outcome, &name) {
                let mutation = &refers_to(schema, mutation, &aliases);
                self.handed_over(trial, collection, mutation, outcome, (&name, &conflict))?;
            }
        }
        Ok(())
    }

    /// The author holds none of the scopes, and the conflict has their record as they made it: the insertion
    /// with their later edits on top.
    pub(super) fn handed_over(
        &mut self,
        trial: &mut Trial<'_>,
        collection: &Collection,
        mutation: &Mutation,
        outcome: &MutationOutcome,
        (name, conflict): (&Name, &Conflict),
    ) -> Checked {
        let inserted = mutation.kind == MutationKind::Insert;
        if outcome.version.is_some() || outcome.alias.is_some() {
            return violated(INVARIANT, format!("{name:?} waits, and was written: {outcome:?}"));
        }
        let held = |scope: Scope| trial.grants.contains(&scope);
        if inserted
            && named_scopes(collection, mutation).any(held)
            && sees_what_it_names(trial, collection, mutation)
        {
            return violated(INVARIANT, format!("{name:?} is of a scope that is held, and waits"));
        }
        let found =
            if inserted { "an insertion into a lost scope" } else { "an edit of what waits" };
        trial.found.push(format!("merge: {found}"));
        if inserted {
            let fields = collection.fields.iter().map(|field| {
                let given = mutation.set.get(&field.name).cloned();
                let value = given.unwrap_or_else(|| field.default_value().to_json(&field.kind));
                (field.name.clone(), value)
            });
            self.pending.insert(name.clone(), fields.collect());
        } else if let Some(wanted) = self.pending.get_mut(name)
            && mutation.kind == MutationKind::Update
        {
            let edit = by_rule(collection, wanted, mutation);
            apply(collection, wanted, &edit);
        }
        let none = BTreeMap::new();
        let wanted = self.pending.get(name).unwrap_or(&none);
        // What follows a parent that waits as well is the server's to know, and so are flags.
        let own = collection
            .fields
            .iter()
            .filter(|field| !field.from_parent && !collection.is_noted_by_server(&field.name));
        trial.waiting.extend(own.filter_map(|field| {
            Some(((conflict.id, field.name.clone()), wanted.get(&field.name)?.clone()))
        }));
        Ok(())
    }
}

/// An edit without what the merge rules of its fields do not let through: nobody else has edited the record.
fn by_rule(collection: &Collection, before: &BTreeMap<String, Json>, edit: &Mutation) -> Mutation {
    let mut edit = edit.clone();
    edit.set.retain(|name, wanted| {
        let Some(field) = collection.field(name) else { return true };
        let is = before.get(name).unwrap_or(&Json::Null);
        match field.merge {
            MergeRule::Max => is.is_null() || is_larger(&field.kind, wanted, is),
            MergeRule::Min => is.is_null() || is_larger(&field.kind, is, wanted),
            _ => true,
        }
    });
    edit
}

/// Whether the author sees every record that an insertion refers to.
fn sees_what_it_names(trial: &Trial<'_>, collection: &Collection, insertion: &Mutation) -> bool {
    collection.fields.iter().all(|field| {
        let Some(target) = &field.references else { return true };
        let id = insertion.set.get(&field.name).and_then(|id| id.as_str()?.parse().ok());
        let Some(id) = id else { return true };
        let row = trial.rows.get(&(target.clone(), id));
        row.is_some_and(|row| {
            !row.deleted && row.scopes.iter().any(|scope| trial.grants.contains(scope))
        })
    })
}

/// The scopes that an insertion itself names; those that follow a parent are not known here.
fn named_scopes<'a>(
    collection: &'a Collection,
    insertion: &'a Mutation,
) -> impl Iterator<Item = Scope> + 'a {
    collection.scopes.iter().filter_map(|rule| match rule {
        ScopeRule::Tenant => Some(Scope::tenant()),
        ScopeRule::Entity { kind, field } => {
            let id = insertion.set.get(field)?.as_str()?.parse().ok()?;
            Some(Scope::entity(kind, id))
        }
    })
}

/// After a push: each record that waits has what the edits of this push, and those before, made of it.
pub(super) fn compare(trial: &Trial<'_>) -> Checked {
    for ((id, field), wanted) in &trial.waiting {
        let is = trial.conflicts.get(id).and_then(|conflict| conflict.row.get(field));
        if is.is_some_and(|is: &Json| is != wanted) {
            return violated(
                INVARIANT,
                format!("{id}: {field} of what waits should be {wanted}, but is {is:?}"),
            );
        }
    }
    Ok(())
}
