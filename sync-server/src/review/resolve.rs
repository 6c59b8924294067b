//! Deciding a conflict, and taking a decision back.

use serde_json::{Value as Json, json};
use sync_protocol::planted::{self, Bug};
use sync_protocol::problem::Problem;
use sync_protocol::schema::Collection;
use sync_protocol::wire::receipt::ReceiptState;
use sync_protocol::wire::review::{
    Conflict, ConflictStatus, Keep, Resolution, ResolveRequest, UndoRequest,
};
use sync_protocol::{ConflictId, EditTime, Fields, RecordId, RowVersion, Value};

use super::list::show;
use super::settle::receipts;
use super::target::{in_force, made, write_back, write_for};
use super::{ReviewContext, check_text, may_resolve, not_found, permit, stale};
use crate::push::{Making, constraint_problem, failed, in_the_way, make};
use crate::store::{
    AuditEntry, RowWrite, StoreError, StoredReceipt, StoredRow, WriteKind, WriteTx,
};
use crate::stream::of_decisions;

/// Decides a conflict.
///
/// # Errors
/// `unknown_conflict`, `forbidden`, `conflict_changed` (409, with the present revision),
/// `conflict_closed`, `unknown_candidate`, the errors of a value that does not fit, and refusals of
/// the tables' own constraints.
pub async fn resolve(
    context: ReviewContext<'_>,
    id: ConflictId,
    request: ResolveRequest,
) -> Result<Conflict, Problem> {
    check_text(&request.reason, "reason")?;
    let open = [ConflictStatus::Open, ConflictStatus::Claimed];
    let mut work = Work::begin(context, id, request.revision, &open).await?;
    let previous = match &work.row {
        Some(row) => in_force(&work.collection, &work.conflict, row),
        None => Json::from("deleted"),
    };
    if work.is_pending() {
        work.make(&request.keep).await?;
    } else if let Some(row) = &work.row {
        let time = work.time();
        let write = write_for(&work.collection, &work.conflict, row, &request.keep, time)?;
        let about = (&work.collection, &work.conflict, row);
        permit::value(context, work.tx.as_mut(), about, &request.keep, write.as_ref()).await?;
        work.write(write).await?;
    }
    work.conflict.status = ConflictStatus::Resolved;
    work.conflict.resolution = Some(Resolution {
        keep: request.keep.clone(),
        reason: request.reason.clone(),
        user: context.caller.user,
        at_us: work.now_us,
        previous,
        version: work.version.unwrap_or(work.row.as_ref().map_or(0, |row| row.meta.version)),
    });
    let detail = json!({ "keep": request.keep, "reason": request.reason });
    work.finish(Some(&request.keep), "conflict.resolved", detail).await?;
    show(context, id).await
}

/// Takes a decision back: what was in force before it is in force again, and the conflict is open.
///
/// # Errors
/// As [`resolve`]; `changed_since` (409) where somebody has changed the decided value meanwhile, and
/// `conflict_open` (409) where another conflict about the same has come up.
pub async fn undo(
    context: ReviewContext<'_>,
    id: ConflictId,
    request: UndoRequest,
) -> Result<Conflict, Problem> {
    check_text(&request.reason, "reason")?;
    let resolved = [ConflictStatus::Resolved];
    let mut work = Work::begin(context, id, request.revision, &resolved).await?;
    let Some(resolution) = work.conflict.resolution.take() else { return Err(not_found()) };
    let after = resolution.version;
    let changed = work.row.as_ref().is_some_and(|row| match &work.conflict.field {
        Some(field) => {
            row.meta.last_change(field).version > after
                || row.meta.deleted.is_some_and(|deletion| deletion.version > after)
        }
        None => row.meta.version > after,
    });
    let (collection, record) = (&work.conflict.collection, work.conflict.record);
    let open = work.tx.open_conflicts(collection, &[record]).await.map_err(store_failed)?;
    if let Some(newer) = open.iter().find(|known| known.field == work.conflict.field) {
        let mut problem = Problem::new(409, "conflict_open", "Another conflict about this is open")
            .detail("decide that one: one conflict about a field is open at a time");
        problem.more.insert("conflict".to_owned(), newer.id.to_string().into());
        return Err(problem);
    }
    if changed {
        return Err(Problem::new(409, "changed_since", "The value was changed after the decision")
            .detail("edit the record instead"));
    }
    let write = match &work.row {
        Some(row) => {
            let time = work.time();
            write_back(&work.collection, &work.conflict, row, &resolution.previous, time)?
        }
        // Nothing was made.
        None => None,
    };
    work.write(write.filter(|_| !planted::is(Bug::UndoForgetsRow))).await?;
    work.conflict.status = ConflictStatus::Open;
    work.conflict.claimed_by = None;
    let detail = json!({ "reason": request.reason, "undone": resolution });
    work.finish(None, "conflict.undone", detail).await?;
    show(context, id).await
}

/// A decision on its way: conflict and row are locked.
struct Work<'a> {
    context: ReviewContext<'a>,
    tx: Box<dyn WriteTx>,
    conflict: Conflict,
    collection: Collection,
    /// None for a record that is not there yet.
    row: Option<StoredRow>,
    now_us: i64,
    version: Option<RowVersion>,
}

impl<'a> Work<'a> {
    async fn begin(
        context: ReviewContext<'a>,
        id: ConflictId,
        revision: i64,
        expected: &[ConflictStatus],
    ) -> Result<Self, Problem> {
        may_resolve(context.caller)?;
        // Whether the caller sees it at all, and which row it is about: rows are locked before
        // conflicts, as in a push. Before the transaction, which would hold a connection meanwhile.
        let peek = show(context, id).await?;
        let caller = context.caller;
        let mut tx = context
            .store
            .write(caller.tenant, of_decisions(caller.user))
            .await
            .map_err(store_failed)?;
        let now_us = context.clock.now_us();
        tx.received_at(now_us);
        let collection = context.store.schema().collection(&peek.collection).cloned();
        let collection = collection.ok_or_else(not_found)?;
        if !caller.may(&collection.write) {
            return Err(Problem::new(403, "forbidden", "You may not change this collection")
                .detail(format!("this needs the permission `{}`", collection.write)));
        }
        let record = peek.record;
        let mut rows = tx.lock_rows(&collection, &[record]).await.map_err(store_failed)?;
        let row = rows.remove(&record);
        let conflict = tx.lock_conflict(id).await.map_err(store_failed)?.ok_or_else(not_found)?;
        if conflict.revision != revision {
            return Err(stale(conflict.revision));
        }
        if !expected.contains(&conflict.status) {
            return Err(Problem::new(409, "conflict_closed", "The conflict is in another state")
                .detail("look at it again"));
        }
        if row.is_none() && conflict.scopes.is_empty() {
            return Err(not_found());
        }
        Ok(Self { context, tx, conflict, collection, row, now_us, version: None })
    }

    fn time(&self) -> EditTime {
        EditTime::certain(self.now_us)
    }

    async fn write(&mut self, write: Option<RowWrite>) -> Result<(), Problem> {
        let Some(write) = write else { return Ok(()) };
        if write.kind == WriteKind::Restore {
            self.restore_parents().await?;
        }
        if write.kind == WriteKind::Delete {
            return self.delete(write).await;
        }
        let versions = self.tx.write_rows(&self.collection, &[write]).await.map_err(refused)?;
        self.version = versions.first().copied();
        Ok(())
    }

    /// Deletes the row, or says which others are in the way.
    async fn delete(&mut self, write: RowWrite) -> Result<(), Problem> {
        let deletions = [(self.collection.name.as_str(), write.record)];
        self.tx.savepoint().await.map_err(store_failed)?;
        let error = match self.tx.write_rows(&self.collection, std::slice::from_ref(&write)).await {
            Ok(versions) => {
                self.version = versions.first().copied();
                return self.tx.release_savepoint().await.map_err(refused);
            }
            Err(error) => error,
        };
        if constraint_problem(&error).is_none() {
            return Err(failed(&error));
        }
        self.tx.rollback_to_savepoint().await.map_err(store_failed)?;
        let schema = self.context.store.schema();
        let children = in_the_way(self.tx.as_mut(), schema, &deletions, &error).await;
        Err(children.map_err(store_failed)?.unwrap_or_else(|| refused(error)))
    }

    /// Whether the record is one that a decision makes, and not there (any more).
    fn is_pending(&self) -> bool {
        let is_there = self.row.as_ref().is_some_and(|row| row.meta.deleted.is_none());
        !self.conflict.scopes.is_empty() && !is_there
    }

    /// Makes it, if the decision wants it.
    async fn make(&mut self, keep: &Keep) -> Result<(), Problem> {
        let Some(fields) = made(&self.collection, &self.conflict, keep)? else { return Ok(()) };
        let (schema, caller) = (self.context.store.schema(), self.context.caller);
        let candidate = match keep {
            Keep::Candidate(receipt) => Some(*receipt),
            _ => None,
        };
        let was_made = self.row.is_some();
        let making = Making { conflict: &self.conflict, fields: &fields, candidate, was_made };
        self.version = make(self.tx.as_mut(), schema, caller, making, self.now_us).await?;
        Ok(())
    }

    /// A row that comes back brings back the deleted parents that it needs.
    async fn restore_parents(&mut self) -> Result<(), Problem> {
        let mut missing = Vec::new();
        let mut collection = self.collection.clone();
        let Some(mut fields) = self.row.as_ref().map(|row| row.fields.clone()) else {
            return Ok(());
        };
        while let Some(parent) = collection.parent.clone() {
            let Some(Value::Uuid(id)) = fields.get(&parent.field) else { break };
            let id = RecordId(*id);
            let schema = self.context.store.schema();
            let Some(above) = schema.collection(&parent.collection).cloned() else { break };
            let mut rows = self.tx.lock_rows(&above, &[id]).await.map_err(store_failed)?;
            let Some(row) = rows.remove(&id) else { break };
            if row.meta.deleted.is_none() {
                break;
            }
            fields = row.fields;
            missing.push((above.clone(), id));
            collection = above;
        }
        for (collection, record) in missing.into_iter().rev() {
            let restore = RowWrite {
                record,
                kind: WriteKind::Restore,
                set: Fields::new(),
                touched: Vec::new(),
                time: self.time(),
            };
            self.tx.write_rows(&collection, &[restore]).await.map_err(refused)?;
        }
        Ok(())
    }

    async fn finish(
        mut self,
        keep: Option<&Keep>,
        action: &str,
        detail: Json,
    ) -> Result<(), Problem> {
        let tx = self.tx.as_mut();
        self.conflict.revision += 1;
        if self.conflict.scopes.is_empty() {
            self.conflict.row.clear();
        }
        receipts(tx, &self.conflict, keep, self.version, self.now_us)
            .await
            .map_err(store_failed)?;
        tx.save_conflict(&self.conflict).await.map_err(store_failed)?;
        tx.audit(&AuditEntry {
            at_us: self.now_us,
            user: Some(self.context.caller.user),
            action: action.to_owned(),
            conflict: Some(self.conflict.id),
            detail,
        })
        .await
        .map_err(store_failed)?;
        if keep.is_some() {
            self.release().await.map_err(store_failed)?;
            self.note_version().await.map_err(store_failed)?;
        }
        self.tx.commit().await.map_err(refused)
    }

    /// Transactions that waited as a whole and have no open conflict left take effect.
    async fn release(&mut self) -> Result<(), StoreError> {
        let schema = self.context.store.schema().clone();
        for candidate in &self.conflict.candidates {
            let stored = self.tx.lock_receipts(&[candidate.receipt]).await?;
            for stored in stored.into_iter().filter(waits_no_more) {
                let tx = self.tx.as_mut();
                crate::push::release(tx, &schema, stored, self.now_us).await?;
            }
        }
        self.tx.write_as(of_decisions(self.context.caller.user)).await
    }

    /// What was released is part of the decision: it is no change by somebody else since.
    async fn note_version(&mut self) -> Result<(), StoreError> {
        let record = self.conflict.record;
        let mut rows = self.tx.lock_rows(&self.collection, &[record]).await?;
        let Some(row) = rows.remove(&record) else { return Ok(()) };
        if let Some(resolution) = &mut self.conflict.resolution
            && resolution.version < row.meta.version
        {
            resolution.version = row.meta.version;
            self.tx.save_conflict(&self.conflict).await?;
        }
        Ok(())
    }
}

/// Held, and with no conflict left. After its release a transaction is not held any more, so that
/// undoing and deciding again does not apply it twice.
fn waits_no_more(stored: &StoredReceipt) -> bool {
    stored.receipt.held && stored.receipt.state != ReceiptState::InReview
}

pub(super) fn store_failed(error: StoreError) -> Problem {
    failed(&error)
}

/// A constraint's refusal, or a failure.
fn refused(error: StoreError) -> Problem {
    constraint_problem(&error).unwrap_or_else(|| failed(&error))
}
