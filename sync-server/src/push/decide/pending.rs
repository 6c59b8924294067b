//! Records that are not there yet: their author lost the scopes that they would belong to before their
//! insertion came. A person decides whether they are made.
//!
//! Until then the conflict has what the server knows of such a record: what its author wants, as the last
//! candidate, the row that would come of it, and the scopes that it would be in, by which supervisors find it.
//! Its author's later edits of it, and what they add below it, join it: they build on what is not there.
//!
//! As with [other edits of what was lost](super::lost) nothing of it is checked here but its author's
//! permissions; what a supervisor keeps is, as an insertion of their own ([`crate::push::make`]).

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};
use sync_protocol::merge::FieldEdit;
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::{Collection, Field, FieldType, ScopeRule};
use sync_protocol::wire::push::MutationKind;
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome};
use sync_protocol::wire::review::{Candidate, CandidateReason, Conflict};
use sync_protocol::{Fields, RecordId, Scope, Value};

use super::{Decided, Work, edit_in_json, facts, outcome};
use crate::push::check::CheckedMutation;
use crate::push::conflict::{self, Standing, Subject};

/// A record as its author wants it.
struct Wanted {
    /// What the supervisor is asked to keep.
    value: Json,
    /// The row that would come of it.
    row: Fields,
    scopes: BTreeSet<Scope>,
}

impl Work<'_> {
    /// Hands an insertion to review whose record would be in scopes that its author held once, and in none
    /// that they hold.
    pub(super) fn hand_over_insertion(
        &mut self,
        mutation: &CheckedMutation<'_>,
    ) -> Option<Decided<MutationOutcome>> {
        let collection = mutation.collection;
        let mut row = facts::defaults(collection);
        for (field, edit) in &mutation.edits {
            if let FieldEdit::Set(value) = edit {
                row.insert(field.name.clone(), value.clone());
            }
        }
        self.follow_parent(collection, &mut row);
        let scopes = collection.scopes_of(mutation.record, &row);
        let lost = scopes.iter().any(|scope| self.loaded.lost_scopes.contains(scope));
        let held = scopes.iter().any(|scope| self.holds(scope));
        if !lost || held || opens_a_scope(collection) {
            return None;
        }
        let edits = mutation.edits.iter();
        let value = edits.map(|(field, edit)| (field.name.clone(), edit_in_json(field, edit)));
        let value = Json::Object(value.collect());
        let scopes = scopes.into_iter().collect();
        Some(self.wait_for_decision(mutation, Wanted { value, row, scopes }))
    }

    /// Hands an edit of such a record, by its author, to the same decision.
    pub(super) fn hand_over_edit_of_pending(
        &mut self,
        mutation: &CheckedMutation<'_>,
    ) -> Option<Decided<MutationOutcome>> {
        let collection = mutation.collection;
        let (pending, own) = self.pending(&collection.name, mutation.record)?;
        let before = own.value.as_object()?;
        let mut row = row_of(collection, pending);
        let mut scopes: BTreeSet<Scope> = pending.scopes.iter().cloned().collect();
        let value = match mutation.kind {
            MutationKind::Delete => Json::from("deleted"),
            MutationKind::Update => {
                let forgets = planted::is(Bug::PendingForgetsEdits);
                let mut value = if forgets { Map::new() } else { before.clone() };
                if forgets {
                    row = facts::defaults(collection);
                }
                for (field, edit) in &mutation.edits {
                    let after = after(field, row.get(&field.name).unwrap_or(&Value::Null), edit);
                    value.insert(field.name.clone(), after.to_json(&field.kind));
                    row.insert(field.name.clone(), after);
                }
                self.follow_parent(collection, &mut row);
                scopes.extend(collection.scopes_of(mutation.record, &row));
                Json::Object(value)
            }
            MutationKind::Insert | MutationKind::Restore => return None,
        };
        Some(self.wait_for_decision(mutation, Wanted { value, row, scopes }))
    }

    /// Such a record's row, as its author wants it, for what belongs to it.
    pub(super) fn pending_row(&self, collection: &str, record: RecordId) -> Option<Fields> {
        let (pending, _) = self.pending(collection, record)?;
        Some(row_of(self.loaded.schema.collection(collection)?, pending))
    }

    /// The open decision about a record that is not there, and what this author wants of it. Others' are
    /// nothing to them.
    fn pending(&self, collection: &str, record: RecordId) -> Option<(&Conflict, &Candidate)> {
        let all = self.plan.conflicts.iter().chain(&self.loaded.conflicts);
        let pending = all
            .filter(|known| known.collection == collection && known.record == record)
            .find(|known| conflict::is_open(known) && !known.scopes.is_empty())?;
        let by_author = |candidate: &&Candidate| candidate.by.user == self.author.by.user;
        Some((pending, pending.candidates.iter().rfind(by_author)?))
    }

    fn wait_for_decision(
        &mut self,
        mutation: &CheckedMutation<'_>,
        wanted: Wanted,
    ) -> Decided<MutationOutcome> {
        let (collection, record) = (mutation.collection, mutation.record);
        let reason = Some(CandidateReason::ScopeLost);
        let candidate = Candidate { reason, ..self.candidate(wanted.value, None) };
        let conflict = conflict::open_or_join(
            Subject { collection, record, field: None, lost: true },
            self.loaded,
            &mut self.plan.conflicts,
            Standing { base: None, current: Json::Null, current_by: None },
            candidate,
            self.author.now_us,
        )?;
        if let Some(known) = self.plan.conflicts.iter_mut().find(|known| known.id == conflict) {
            known.row = conflict::row_in_json(collection, &wanted.row);
            known.scopes = wanted.scopes.into_iter().collect();
        }
        let row = Some(FieldOutcome::InReview { conflict, question: None });
        Ok(MutationOutcome { row, ..outcome(mutation) })
    }
}

/// Whether a record of the collection opens a scope of its own, which its author gets with it.
fn opens_a_scope(collection: &Collection) -> bool {
    let own = |rule: &ScopeRule| matches!(rule, ScopeRule::Entity { field, .. } if field == "id");
    collection.scopes.iter().any(own)
}

/// What the conflict has of the row. A value that does not fit the schema any more is as if it were missing.
fn row_of(collection: &Collection, pending: &Conflict) -> Fields {
    let value = |field: &Field| {
        let known = pending.row.get(&field.name);
        known.and_then(|json| Value::from_json(field, json).ok())
    };
    let fields = collection.fields.iter();
    fields
        .map(|field| (field.name.clone(), value(field).unwrap_or_else(|| field.default_value())))
        .collect()
}

/// A field of such a record after an edit of its author's: nobody else has changed it.
fn after(field: &Field, before: &Value, edit: &FieldEdit) -> Value {
    match edit {
        FieldEdit::Set(value) => value.clone(),
        FieldEdit::Add(units) => {
            let sum = before.units().unwrap_or(0).saturating_add(*units);
            match field.kind {
                FieldType::Decimal { .. } => Value::Decimal(sum),
                _ => Value::Integer(sum),
            }
        }
        FieldEdit::Elements { add, remove } => {
            let mut elements = match before {
                Value::Set(elements) => elements.clone(),
                _ => BTreeSet::new(),
            };
            elements.retain(|element| !remove.contains(element));
            elements.extend(add.iter().cloned());
            Value::Set(elements)
        }
    }
}
