//! An edit of a row that its author held once and does not see any more: a scope was taken away, or the
//! row moved, while the edit waited on the phone. It has no effect; a person decides about it.
//!
//! What is in no scope that they hold or held does not exist for them. A row that is not there yet is in
//! [`super::pending`].
//!
//! The conflict is one of its own: it takes no place from the candidates of those who see the row. Nothing of
//! the edit is checked here but its author's permissions; what a supervisor keeps is ([`crate::review`]).

use serde_json::{Map, Value as Json};
use sync_protocol::wire::push::MutationKind;
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome};
use sync_protocol::wire::review::{Candidate, CandidateReason};

use super::{Decided, Work, edit_in_json, outcome};
use crate::push::check::CheckedMutation;
use crate::push::conflict::{self, Standing, Subject};

impl Work<'_> {
    /// Hands the edit to review, if its author held the row once.
    pub(super) fn hand_over(
        &mut self,
        mutation: &CheckedMutation<'_>,
    ) -> Option<Decided<MutationOutcome>> {
        let collection = mutation.collection;
        let name = (collection.name.clone(), mutation.record);
        let row = self.row(&collection.name, mutation.record);
        if row.is_none_or(|row| row.meta.deleted.is_some())
            && let Some(handed_over) = self.hand_over_edit_of_pending(mutation)
        {
            return Some(handed_over);
        }
        if !self.loaded.lost.contains(&name) {
            return None;
        }
        let row = self.row(&collection.name, mutation.record)?.clone();
        if self.sees(collection, mutation.record, &row) {
            return None;
        }
        let deleted = row.meta.deleted;
        if collection.scopes_of(mutation.record, &row.fields).is_empty() {
            // What was deleted long ago is in no scope: nobody could decide.
            return None;
        }
        let wanted = match mutation.kind {
            MutationKind::Update => {
                let edits = mutation.edits.iter();
                let edits =
                    edits.map(|(field, edit)| (field.name.clone(), edit_in_json(field, edit)));
                Json::Object(edits.collect())
            }
            MutationKind::Delete if deleted.is_none() => Json::from("deleted"),
            // There is nothing to decide: it is deleted, or its restoration is for who sees it.
            MutationKind::Delete | MutationKind::Restore | MutationKind::Insert => return None,
        };
        let current = match deleted {
            Some(_) => Json::from("deleted"),
            None => {
                let mut current: Map<String, Json> = conflict::row_in_json(collection, &row.fields);
                if let Json::Object(wanted) = &wanted {
                    current.retain(|field, _| wanted.contains_key(field));
                }
                Json::Object(current)
            }
        };
        let standing = Standing {
            base: None,
            current,
            current_by: deleted.map(|deletion| self.standing_author(deletion)),
        };
        let base = mutation.wire.row_base.or(mutation.wire.base.values().min().copied());
        let candidate =
            Candidate { reason: Some(CandidateReason::ScopeLost), ..self.candidate(wanted, base) };
        let opened = conflict::open_or_join(
            Subject { collection, record: mutation.record, field: None, lost: true },
            self.loaded,
            &mut self.plan.conflicts,
            standing,
            candidate,
            self.author.now_us,
        );
        // Without a version: how often the row changed since is not theirs to know.
        Some(opened.map(|conflict| MutationOutcome {
            row: Some(FieldOutcome::InReview { conflict, question: None }),
            ..outcome(mutation)
        }))
    }
}
