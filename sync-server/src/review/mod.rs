//! Review: conflicts and the decisions about them (DESIGN 4).
//!
//! A conflict is opened by a push ([`crate::push`]) and ends here:
//!
//! ```text
//!  open ──claim──► claimed ──resolve──► resolved
//!    ▲                                     │
//!    └───────────────undo──────────────────┘
//! ```
//!
//! Every change raises the conflict's revision; a decision names the revision that it was taken
//! on, so that nobody decides about candidates that they have not seen. A decision is one database
//! transaction: the row gets its value (and reaches every device as any change does), the
//! candidates' receipts say what became of them, and the audit trail, which nobody can change,
//! says who decided and why.
//!
//! Who may resolve conflicts sees those of the rows in their scopes; everybody else sees those in
//! which an edit of their own is a candidate.

mod act;
mod list;
mod permit;
mod receipt;
mod resolve;
mod settle;
mod target;
mod view;

use std::collections::BTreeMap;

use sync_protocol::ConflictId;
use sync_protocol::problem::Problem;
use sync_protocol::wire::review::{
    ResolveManyAnswer, ResolveManyRequest, ResolveRequest, ResolveResult,
};

use crate::auth::caller::Caller;
use crate::clock::Clock;
use crate::store::Store;

pub use act::{answer, ask, claim};
pub use list::{ListQuery, list, show};
pub use receipt::receipt;
pub use resolve::{resolve, undo};

/// Permission to see and decide conflicts.
pub const RESOLVE_PERMISSION: &str = "conflict:resolve";
/// How often decisions that miss what others of the same request make are tried.
const ROUNDS_MAX: usize = 8;
/// Most conflicts in one page of a list, and in one decision about many.
pub const CONFLICTS_MAX: usize = 200;
/// Longest reason, question or answer, in characters.
pub const NOTE_CHARS_MAX: usize = 2_000;

/// What a review works with.
#[derive(Clone, Copy)]
pub struct ReviewContext<'a> {
    /// The database.
    pub store: &'a dyn Store,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Who reviews.
    pub caller: &'a Caller,
}

/// Decides many conflicts, each on its own.
///
/// # Errors
/// `too_many_conflicts` where there are more than [`CONFLICTS_MAX`]; otherwise each conflict has its own
/// result.
pub async fn resolve_many(
    context: ReviewContext<'_>,
    request: ResolveManyRequest,
) -> Result<ResolveManyAnswer, Problem> {
    if request.conflicts.len() > CONFLICTS_MAX {
        return Err(Problem::new(413, "too_many_conflicts", "Too many conflicts at once")
            .detail(format!("at most {CONFLICTS_MAX} in one request")));
    }
    let mut results = BTreeMap::new();
    let mut left: Vec<(ConflictId, ResolveRequest)> = request.conflicts.into_iter().collect();
    // As deep as records belong to one another, and some more.
    for _ in 0..ROUNDS_MAX {
        let asked = left.len();
        let mut again = Vec::new();
        for (id, decision) in left {
            let result = match resolve(context, id, decision.clone()).await {
                Ok(conflict) => ResolveResult::Resolved(Box::new(conflict)),
                Err(problem) => {
                    if problem.code == "unknown_reference" {
                        again.push((id, decision));
                    }
                    ResolveResult::Failed(Box::new(problem))
                }
            };
            results.insert(id, result);
        }
        // What they miss may be made by another one of these.
        if again.is_empty() || again.len() == asked {
            break;
        }
        left = again;
    }
    Ok(ResolveManyAnswer { results })
}

fn not_found() -> Problem {
    Problem::new(404, "unknown_conflict", "There is no such conflict")
        .detail("no conflict of that id is visible to you")
}

fn stale(present: i64) -> Problem {
    let mut problem = Problem::new(409, "conflict_changed", "The conflict has changed")
        .detail("look at it again and decide on its present revision");
    problem.more.insert("revision".to_owned(), present.into());
    problem
}

fn check_text(text: &str, what: &str) -> Result<(), Problem> {
    let (code, wrong) = if text.trim().is_empty() {
        ("text_missing", "is missing")
    } else if text.chars().count() > NOTE_CHARS_MAX {
        ("too_long", "is too long")
    } else if text.contains('\0') {
        ("nul_character", "holds a NUL character")
    } else {
        return Ok(());
    };
    Err(Problem::new(422, code, format!("The {what} {wrong}"))
        .detail(format!("write 1 to {NOTE_CHARS_MAX} characters, without NUL")))
}

fn may_resolve(caller: &Caller) -> Result<(), Problem> {
    if caller.may(RESOLVE_PERMISSION) {
        return Ok(());
    }
    Err(Problem::new(403, "forbidden", "You may not decide conflicts")
        .detail(format!("this needs the permission `{RESOLVE_PERMISSION}`")))
}
