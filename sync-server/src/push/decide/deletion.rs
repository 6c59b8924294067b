//! Deletions and restorations, and what happens when a deletion meets an edit.

use serde_json::Value as Json;
use sync_protocol::problem::Problem;
use sync_protocol::schema::{Collection, DeleteConflict, Field};
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome};
use sync_protocol::{Fields, Value};

use super::{Decided, Work, edit_in_json, outcome};
use crate::push::check::CheckedMutation;
use crate::push::conflict::{self, Standing, Subject};
use crate::store::{StoredRow, WriteKind};

impl Work<'_> {
    /// An edit of a row that is deleted.
    pub(super) fn update_deleted(
        &mut self,
        mutation: &CheckedMutation<'_>,
        row: StoredRow,
    ) -> Decided<MutationOutcome> {
        let collection = mutation.collection;
        let Some(deletion) = row.meta.deleted else { return Ok(outcome(mutation)) };
        let seen = mutation.edits.iter().all(|(field, _)| {
            mutation.base(&field.name).is_some_and(|base| base >= deletion.version)
        });
        if seen || deletion.writer == self.author.stream {
            return Err(Box::new(
                Problem::new(422, "record_deleted", "The record is deleted")
                    .detail("restore it first, or discard this edit"),
            ));
        }
        let wanted: serde_json::Map<String, Json> = mutation
            .edits
            .iter()
            .map(|(field, edit)| (field.name.clone(), edit_in_json(field, edit)))
            .collect();
        let mut outcome = outcome(mutation);
        outcome.version = Some(row.meta.version);
        match collection.on_delete_conflict {
            DeleteConflict::Delete => {
                outcome.row = Some(FieldOutcome::Superseded {
                    value: Json::Object(wanted),
                    by_version: deletion.version,
                });
            }
            DeleteConflict::Review => {
                let subject =
                    Subject { collection, record: mutation.record, field: None, lost: false };
                let standing = Standing {
                    base: None,
                    current: Json::from("deleted"),
                    current_by: Some(self.standing_author(deletion)),
                };
                let base = mutation.wire.base.values().min().copied();
                let candidate = self.candidate(Json::Object(wanted), base);
                let conflict = conflict::open_or_join(
                    subject,
                    self.loaded,
                    &mut self.plan.conflicts,
                    standing,
                    candidate,
                    self.author.now_us,
                )?;
                outcome.row = Some(FieldOutcome::InReview { conflict, question: None });
            }
            DeleteConflict::Keep => {
                refuse_emptied(collection, &row)?;
                self.write(
                    mutation,
                    mutation.record,
                    WriteKind::Restore,
                    Fields::new(),
                    Vec::new(),
                );
                let mut live = row;
                live.meta.record_restore(self.author.stream);
                self.rows.insert((collection.name.clone(), mutation.record), live.clone());
                return self.update(mutation, mutation.record, live, false);
            }
        }
        Ok(outcome)
    }

    pub(super) fn delete(&mut self, mutation: &CheckedMutation<'_>) -> Decided<MutationOutcome> {
        let collection = mutation.collection;
        let row = self.visible_row(mutation)?;
        let mut outcome = outcome(mutation);
        outcome.version = Some(row.meta.version);
        if row.meta.deleted.is_some() {
            return Ok(outcome);
        }
        // What the server notes by itself is nobody's edit: a photo may be deleted while it is being stored.
        let counts = |field: &str| !collection.is_noted_by_server(field);
        if row.meta.is_row_concurrent(mutation.wire.row_base, self.author.stream, counts) {
            match collection.on_delete_conflict {
                DeleteConflict::Delete => {}
                DeleteConflict::Keep => {
                    outcome.row = Some(FieldOutcome::Superseded {
                        value: Json::from("deleted"),
                        by_version: row.meta.version,
                    });
                    return Ok(outcome);
                }
                DeleteConflict::Review => {
                    let subject =
                        Subject { collection, record: mutation.record, field: None, lost: false };
                    let standing = Standing {
                        base: None,
                        current: Json::Object(conflict::row_in_json(collection, &row.fields)),
                        current_by: None,
                    };
                    let candidate = self.candidate(Json::from("deleted"), mutation.wire.row_base);
                    let conflict = conflict::open_or_join(
                        subject,
                        self.loaded,
                        &mut self.plan.conflicts,
                        standing,
                        candidate,
                        self.author.now_us,
                    )?;
                    outcome.row = Some(FieldOutcome::InReview { conflict, question: None });
                    return Ok(outcome);
                }
            }
        }
        self.write(mutation, mutation.record, WriteKind::Delete, Fields::new(), Vec::new());
        let mut deleted = row;
        deleted.meta.record_delete(self.author.stream, self.author.time);
        self.rows.insert((collection.name.clone(), mutation.record), deleted);
        Ok(outcome)
    }

    pub(super) fn restore(&mut self, mutation: &CheckedMutation<'_>) -> Decided<MutationOutcome> {
        let row = self.visible_row(mutation)?;
        let mut outcome = outcome(mutation);
        outcome.version = Some(row.meta.version);
        if row.meta.deleted.is_none() {
            return Ok(outcome);
        }
        refuse_emptied(mutation.collection, &row)?;
        self.write(mutation, mutation.record, WriteKind::Restore, Fields::new(), Vec::new());
        let mut live = row;
        live.meta.record_restore(self.author.stream);
        self.rows.insert((mutation.collection.name.clone(), mutation.record), live);
        Ok(outcome)
    }
}

/// A row that was deleted so long ago that its content is gone cannot come back.
fn refuse_emptied(collection: &Collection, row: &StoredRow) -> Decided<()> {
    let missing =
        |field: &Field| field.required && row.fields.get(&field.name).is_none_or(Value::is_null);
    if !collection.fields.iter().any(missing) {
        return Ok(());
    }
    Err(Box::new(
        Problem::new(422, "content_gone", "The record was deleted too long ago")
            .detail("its content is not kept any more; make a new record"),
    ))
}
