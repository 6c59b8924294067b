//! Records that are not there yet: their author lost the scopes that they would belong to, or what they
//! refer to, before their insertion came. A person decides whether they are made.
//!
//! Until then the conflict has what the server knows of such a record: its author's edits as candidates, the
//! row that would come of all of them, and where it would belong, by which supervisors find it. The author's
//! later edits of it, and what they add to it, wait with it: they build on what is not there. The same holds
//! once a decision that made it was taken back, while its conflict is open.
//!
//! Each author has a conflict of their own, and what waits is nobody else's to add to. It is of no scope that
//! its author never held. As with [other edits of what was lost](super::lost) nothing else is checked here but
//! its author's permissions; what a supervisor keeps is, as an insertion ([`crate::push::make`]).

use sync_protocol::merge::FieldEdit;
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::{Collection, Field, ScopeRule};
use sync_protocol::wire::push::MutationKind;
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome};
use sync_protocol::wire::review::{BelongsTo, Candidate, CandidateReason, Conflict};
use sync_protocol::{Fields, RecordId, Scope, Value};

use super::{Decided, Work, edit_in_json, facts, outcome};
use crate::push::check::CheckedMutation;
use crate::push::conflict::{self, Standing, Subject};
use crate::push::load::referenced_collection;
use crate::push::wanted::after;

/// Most bytes of such a conflict. With more, somebody has to decide first.
const PENDING_BYTES_MAX: usize = 512 * 1024;

impl Work<'_> {
    /// Hands an insertion to review whose author does not hold its scopes any more, or does not see any more
    /// what it refers to.
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
        let held = scopes.iter().any(|scope| self.holds(scope));
        let waits = !held || self.refers_to_what_was_lost(mutation);
        if !waits || opens_a_scope(collection) || !self.once_held(&scopes) {
            return None;
        }
        if self.pending(&collection.name, mutation.record).is_some() {
            return Some(Err(super::record_exists()));
        }
        // As it would be flagged now. Its picture is nowhere yet: no other one has been seen before because of it.
        let pictures = self.plan.pictures.clone();
        self.flag_insertion(collection, &mut row);
        self.plan.pictures = pictures;
        Some(self.wait_for_decision(mutation, row, scopes))
    }

    /// Hands an edit of such a record, by its author, to the same decision.
    pub(super) fn hand_over_edit_of_pending(
        &mut self,
        mutation: &CheckedMutation<'_>,
    ) -> Option<Decided<MutationOutcome>> {
        let collection = mutation.collection;
        let (pending, own) = self.pending(&collection.name, mutation.record)?;
        if !own.value.is_object() {
            return None;
        }
        let mut row = row_of(collection, pending);
        let mut scopes = pending.scopes.clone();
        match mutation.kind {
            MutationKind::Delete => {}
            MutationKind::Update => {
                if planted::is(Bug::PendingForgetsEdits) {
                    row = facts::defaults(collection);
                }
                for (field, edit) in &mutation.edits {
                    let before = row.get(&field.name).unwrap_or(&Value::Null);
                    match after(collection, field, before, edit.clone()) {
                        Ok(after) => row.insert(field.name.clone(), after),
                        Err(problem) => return Some(Err(problem)),
                    };
                }
                self.follow_parent(collection, &mut row);
                scopes = collection.scopes_of(mutation.record, &row);
                if !self.once_held(&scopes) {
                    // The same answer as for a record that goes where its author never was.
                    return Some(Err(super::reach::out_of_scope()));
                }
            }
            MutationKind::Insert | MutationKind::Restore => return None,
        }
        Some(self.wait_for_decision(mutation, row, scopes))
    }

    /// Such a record's row, as its author wants it, for what belongs to it.
    pub(super) fn pending_row(&self, collection: &str, record: RecordId) -> Option<Fields> {
        let (pending, _) = self.pending(collection, record)?;
        Some(row_of(self.loaded.schema.collection(collection)?, pending))
    }

    /// The open decision about a record of this author's that is not there, and their last word on it.
    fn pending(&self, collection: &str, record: RecordId) -> Option<(&Conflict, &Candidate)> {
        if self.row(collection, record).is_some_and(|row| row.meta.deleted.is_none()) {
            return None;
        }
        let all = self.plan.conflicts.iter().chain(&self.loaded.conflicts);
        let own = all
            .filter(|known| known.collection == collection && known.record == record)
            .find(|known| {
                conflict::is_open(known)
                    && !known.scopes.is_empty()
                    && known.candidates.iter().any(|c| c.by.user == self.author.by.user)
            })?;
        Some((own, own.candidates.last()?))
    }

    /// Whether the author holds or held all of them, so that none is news to them.
    fn once_held(&self, scopes: &[Scope]) -> bool {
        let known = |scope: &Scope| self.holds(scope) || self.loaded.lost_scopes.contains(scope);
        !scopes.is_empty() && scopes.iter().all(known)
    }

    /// Whether an insertion names a record that its author held once, or one of theirs that waits.
    fn refers_to_what_was_lost(&self, mutation: &CheckedMutation<'_>) -> bool {
        mutation.edits.iter().any(|(field, edit)| {
            let FieldEdit::Set(value) = edit else { return false };
            let (Value::Uuid(id), Some(target)) =
                (value, referenced_collection(mutation.collection, &field.name))
            else {
                return false;
            };
            let id = RecordId(*id);
            self.check_reference(mutation.collection, field, value).is_err()
                && (self.loaded.lost.contains(&(target.to_owned(), id))
                    || self.pending(target, id).is_some())
        })
    }

    fn wait_for_decision(
        &mut self,
        mutation: &CheckedMutation<'_>,
        row: Fields,
        scopes: Vec<Scope>,
    ) -> Decided<MutationOutcome> {
        let (collection, record) = (mutation.collection, mutation.record);
        let value = match mutation.kind {
            MutationKind::Delete => "deleted".into(),
            _ => {
                let edits = mutation.edits.iter();
                edits
                    .map(|(field, edit)| (field.name.clone(), edit_in_json(field, edit)))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }
        };
        let reason = Some(CandidateReason::ScopeLost);
        let candidate = Candidate { reason, ..self.candidate(value, None) };
        let standing = Standing { base: None, current: serde_json::Value::Null, current_by: None };
        let known = self.pending(&collection.name, record).map(|(known, _)| known.clone());
        let mut waiting = match known {
            Some(known) => conflict::joined(known, standing, candidate)?,
            None => {
                let subject = Subject { collection, record, field: None, lost: true };
                conflict::opened(subject, standing, candidate, self.author.now_us)
            }
        };
        waiting.row = conflict::row_in_json(collection, &row);
        waiting.scopes = scopes;
        waiting.belongs_to = collection.parent.as_ref().and_then(|link| {
            let Some(Value::Uuid(parent)) = row.get(&link.field) else { return None };
            Some(BelongsTo { collection: link.collection.clone(), record: RecordId(*parent) })
        });
        let bytes = serde_json::to_vec(&waiting).map_or(0, |bytes| bytes.len());
        if waiting.revision > 1 && bytes > PENDING_BYTES_MAX {
            return Err(Box::new(conflict::full(&waiting)));
        }
        let conflict = waiting.id;
        self.plan.conflicts.retain(|known| known.id != conflict);
        self.plan.conflicts.push(waiting);
        let row = Some(FieldOutcome::InReview { conflict, question: None });
        Ok(MutationOutcome { row, ..outcome(mutation) })
    }
}

/// Whether a record of the collection opens a scope of its own, which its author gets with it.
pub(in crate::push) fn opens_a_scope(collection: &Collection) -> bool {
    let own = |rule: &ScopeRule| matches!(rule, ScopeRule::Entity { field, .. } if field == "id");
    collection.scopes.iter().any(own)
}

/// What the conflict has of the row. A value of another type than the schema's is as if it were missing.
fn row_of(collection: &Collection, pending: &Conflict) -> Fields {
    let value = |field: &Field| {
        let known = pending.row.get(&field.name);
        known.and_then(|json| Value::read(field, json).ok())
    };
    let fields = collection.fields.iter();
    fields
        .map(|field| (field.name.clone(), value(field).unwrap_or_else(|| field.default_value())))
        .collect()
}
