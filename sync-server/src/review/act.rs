//! Claiming a conflict, asking its authors, and their answers.

use serde_json::json;
use sync_protocol::ConflictId;
use sync_protocol::problem::Problem;
use sync_protocol::wire::review::{ClaimRequest, Conflict, ConflictStatus, Note, NoteRequest};

use super::list::show;
use super::settle::{self, Question};
use super::{ReviewContext, check_text, may_resolve, not_found};
use crate::push::failed;
use crate::store::{AuditEntry, StoreError};
use crate::stream::of_decisions;

/// Takes an open conflict, or gives it back.
///
/// # Errors
/// `unknown_conflict`, `forbidden`, `conflict_closed`, `conflict_claimed`.
pub async fn claim(
    context: ReviewContext<'_>,
    id: ConflictId,
    request: ClaimRequest,
) -> Result<Conflict, Problem> {
    may_resolve(context.caller)?;
    let user = context.caller.user;
    let audited = ("conflict.claimed", json!({ "release": request.release }));
    change(context, id, audited, None, |conflict| {
        match conflict.claimed_by {
            Some(other) if other != user && !request.take_over => {
                let mut problem =
                    Problem::new(409, "conflict_claimed", "Somebody is on it already")
                        .detail("set `take_over` to take it from them");
                problem.more.insert("claimed_by".to_owned(), other.to_string().into());
                return Err(problem);
            }
            _ => {}
        }
        conflict.claimed_by = (!request.release).then_some(user);
        conflict.status =
            if request.release { ConflictStatus::Open } else { ConflictStatus::Claimed };
        Ok(())
    })
    .await
}

/// Asks the authors something.
///
/// # Errors
/// `unknown_conflict`, `forbidden`, `conflict_closed`, `text_missing`, `too_long`,
/// `nul_character`, `too_many_notes`.
pub async fn ask(
    context: ReviewContext<'_>,
    id: ConflictId,
    request: NoteRequest,
) -> Result<Conflict, Problem> {
    may_resolve(context.caller)?;
    let question = Question::Asked(request.text.clone());
    note(context, id, request, "conflict.asked", question).await
}

/// Answers, as an author of a candidate.
///
/// # Errors
/// `unknown_conflict`, `conflict_closed`, `text_missing`, `too_long`,
/// `nul_character`, `too_many_notes`.
pub async fn answer(
    context: ReviewContext<'_>,
    id: ConflictId,
    request: NoteRequest,
) -> Result<Conflict, Problem> {
    let question = Question::AnsweredBy(context.caller.user);
    note(context, id, request, "conflict.answered", question).await
}

/// Most notes on one conflict.
const NOTES_MAX: usize = 100;

async fn note(
    context: ReviewContext<'_>,
    id: ConflictId,
    request: NoteRequest,
    action: &str,
    question: Question,
) -> Result<Conflict, Problem> {
    check_text(&request.text, "text")?;
    let note =
        Note { user: context.caller.user, text: request.text, at_us: context.clock.now_us() };
    change(context, id, (action, json!({})), Some(question), |conflict| {
        if conflict.notes.len() >= NOTES_MAX {
            return Err(Problem::new(422, "too_many_notes", "There are too many notes")
                .detail(format!("a conflict has at most {NOTES_MAX}; decide it")));
        }
        conflict.notes.push(note);
        Ok(())
    })
    .await
}

/// Changes an open conflict that the caller sees, and answers it as they see it.
async fn change(
    context: ReviewContext<'_>,
    id: ConflictId,
    (action, detail): (&str, serde_json::Value),
    question: Option<Question>,
    apply: impl FnOnce(&mut Conflict) -> Result<(), Problem>,
) -> Result<Conflict, Problem> {
    // Whether the caller sees it at all.
    show(context, id).await?;
    let store_failed = |error: StoreError| failed(&error);
    let stream = of_decisions(context.caller.user);
    let mut tx = context.store.write(context.caller.tenant, stream).await.map_err(store_failed)?;
    let stored = tx.lock_conflict(id).await.map_err(store_failed)?;
    let mut conflict = stored.ok_or_else(not_found)?;
    if !matches!(conflict.status, ConflictStatus::Open | ConflictStatus::Claimed) {
        return Err(Problem::new(409, "conflict_closed", "There is nothing to decide any more")
            .detail("undo the decision first to change it"));
    }
    apply(&mut conflict)?;
    conflict.revision += 1;
    tx.save_conflict(&conflict).await.map_err(store_failed)?;
    if let Some(question) = question {
        settle::question(tx.as_mut(), &conflict, &question).await.map_err(store_failed)?;
    }
    tx.audit(&AuditEntry {
        at_us: context.clock.now_us(),
        user: Some(context.caller.user),
        action: action.to_owned(),
        conflict: Some(id),
        detail,
    })
    .await
    .map_err(store_failed)?;
    tx.commit().await.map_err(store_failed)?;
    show(context, id).await
}
