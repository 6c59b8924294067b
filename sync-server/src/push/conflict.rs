//! Opening conflicts and joining candidates to open ones.

use md5::{Digest, Md5};
use serde_json::{Map, Value as Json};
use sync_protocol::limits::CONFLICT_CANDIDATES_MAX;
use sync_protocol::merge::Change;
use sync_protocol::planted::{self, Bug};
use sync_protocol::problem::Problem;
use sync_protocol::schema::Collection;
use sync_protocol::wire::review::{Authorship, Candidate, Conflict, ConflictStatus, Severity};
use sync_protocol::{ConflictId, Fields, ReceiptId, RecordId, StreamId, value};

use super::rows::Loaded;

/// Code of an edit that finds no room in the conflict that it belongs to.
pub(super) const CONFLICT_FULL: &str = "conflict_full";

/// What a conflict is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub collection: &'a Collection,
    pub record: RecordId,
    /// None: the row as a whole.
    pub field: Option<&'a str>,
    /// Edits of those who do not see the row any more.
    pub lost: bool,
}

impl Subject<'_> {
    fn is_of(&self, conflict: &Conflict) -> bool {
        conflict.collection == self.collection.name
            && conflict.record == self.record
            && conflict.field.as_deref() == self.field
            && conflict.candidates.iter().any(|c| c.reason.is_some()) == self.lost
            // What waits to be made is its author's alone.
            && conflict.scopes.is_empty()
            && is_open(conflict)
    }
}

/// Whether it waits for a decision.
pub(super) fn is_open(conflict: &Conflict) -> bool {
    matches!(conflict.status, ConflictStatus::Open | ConflictStatus::Claimed)
}

/// The open conflict about this, among those decided in this transaction and the stored ones.
pub(super) fn find<'a>(
    subject: Subject<'_>,
    decided: &'a [Conflict],
    stored: &'a [Conflict],
) -> Option<&'a Conflict> {
    decided.iter().chain(stored).find(|conflict| subject.is_of(conflict))
}

/// What is known about the value that stands.
pub(super) struct Standing {
    pub base: Option<Json>,
    pub current: Json,
    pub current_by: Option<Authorship>,
}

/// Opens a conflict with its first candidate, or joins the candidate to the open one.
///
/// # Errors
/// `conflict_full` (retryable) where that one has as many candidates as it may have: somebody has to
/// decide first.
pub(super) fn open_or_join(
    subject: Subject<'_>,
    loaded: &Loaded,
    decided: &mut Vec<Conflict>,
    standing: Standing,
    candidate: Candidate,
    now_us: i64,
) -> Result<ConflictId, Box<Problem>> {
    let known = find(subject, decided, &loaded.conflicts).cloned();
    let conflict = match known {
        Some(mut conflict) => {
            // One transaction has one candidate: its last word on the field.
            conflict.candidates.retain(|known| {
                known.receipt != candidate.receipt && !planted::is(Bug::ConflictCandidateLost)
            });
            joined(conflict, standing, candidate)?
        }
        None => opened(subject, standing, candidate, now_us),
    };
    let id = conflict.id;
    decided.retain(|known| known.id != id);
    decided.push(conflict);
    Ok(id)
}

/// An open conflict with one more candidate.
pub(super) fn joined(
    mut conflict: Conflict,
    standing: Standing,
    candidate: Candidate,
) -> Result<Conflict, Box<Problem>> {
    conflict.revision += 1;
    conflict.current = standing.current;
    conflict.current_by = standing.current_by;
    if conflict.candidates.len() >= CONFLICT_CANDIDATES_MAX {
        return Err(Box::new(full(&conflict)));
    }
    conflict.candidates.push(candidate);
    Ok(conflict)
}

/// A conflict with its first candidate.
pub(super) fn opened(
    subject: Subject<'_>,
    standing: Standing,
    candidate: Candidate,
    now_us: i64,
) -> Conflict {
    Conflict {
        id: conflict_id(candidate.receipt, subject, if subject.lost { "lost" } else { "" }),
        revision: 1,
        status: ConflictStatus::Open,
        severity: Severity::Collision,
        collection: subject.collection.name.clone(),
        record: subject.record,
        field: subject.field.map(str::to_owned),
        base: standing.base,
        current: standing.current,
        current_by: standing.current_by,
        candidates: vec![candidate],
        row: Map::new(),
        scopes: Vec::new(),
        belongs_to: None,
        opened_at_us: now_us,
        claimed_by: None,
        notes: Vec::new(),
        resolution: None,
    }
}

/// The answer to an edit that its conflict has no room for.
pub(super) fn full(conflict: &Conflict) -> Problem {
    let mut problem = Problem::new(409, CONFLICT_FULL, "Too many edits wait for one decision")
        .detail(format!(
            "{CONFLICT_CANDIDATES_MAX} edits want another value already; \
             this one goes through when somebody has decided"
        ))
        .retryable();
    problem.more.insert("conflict".to_owned(), conflict.id.to_string().into());
    problem
}

/// A record of fields that were merged without anything to decide: listed for information.
pub(super) fn informational(
    subject: Subject<'_>,
    row: &Fields,
    candidate: Candidate,
    now_us: i64,
) -> Conflict {
    let current = Json::Object(row_in_json(subject.collection, row));
    let standing = Standing { base: None, current, current_by: None };
    Conflict {
        id: conflict_id(candidate.receipt, subject, "merged"),
        status: ConflictStatus::Informational,
        severity: Severity::Merged,
        ..opened(subject, standing, candidate, now_us)
    }
}

/// Who made the change that stands, with the time of that change.
pub(super) fn author_of(
    loaded: &Loaded,
    change: Change,
    own: (StreamId, &Authorship),
) -> Authorship {
    let known = if change.writer == own.0 {
        Some(own.1.clone())
    } else {
        loaded.authors.get(&change.writer).cloned()
    };
    let nobody = Authorship {
        user: None,
        user_name: None,
        device: None,
        device_name: None,
        edited_at_us: change.at_us,
        uncertain: change.uncertain,
        offline_us: None,
        position: None,
    };
    known.map_or(nobody.clone(), |author| Authorship {
        user: author.user,
        user_name: author.user_name,
        device: author.device,
        device_name: author.device_name,
        ..nobody
    })
}

/// A row in canonical JSON.
pub(crate) fn row_in_json(collection: &Collection, row: &Fields) -> Map<String, Json> {
    value::fields_to_json(&collection.fields, row)
}

/// Derived from what opened it, so that deciding needs no randomness: the same push decides alike
/// when its chunk is tried again.
fn conflict_id(receipt: ReceiptId, subject: Subject<'_>, kind: &str) -> ConflictId {
    let mut hash = Md5::new();
    hash.update(receipt.0.as_bytes());
    hash.update(subject.record.0.as_bytes());
    for text in [&subject.collection.name, subject.field.unwrap_or(""), kind] {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    ConflictId(uuid::Builder::from_md5_bytes(hash.finalize().into()).into_uuid())
}
