//! What the server may forget, and what it may not, from what the run knows of times, conflicts and phones.
//!
//! It may forget the content of a row that it knows to be deleted for long and that nobody has to decide about;
//! what became of the mutations of a receipt that was settled long ago, whose phone knows, and that names nothing
//! that others still look for; and tokens that ended long ago. Everything else stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use sync_protocol::ReceiptId;
use sync_protocol::problem::Problem;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::{MutationKind, PushAnswer, PushRequest};
use sync_protocol::wire::receipt::{FieldOutcome, Receipt, ReceiptState};
use sync_protocol::wire::review::ConflictStatus;

use super::snapshot::{Name, Row, Snapshot};
use super::{Checked, Violation, violated};

/// What is remembered of deletions.
#[derive(Debug, Default)]
pub struct Deletions {
    /// When the server learned of each row's deletion, or last wrote of the deleted row, by its own clock.
    learned_us: BTreeMap<Name, i64>,
}

impl Deletions {
    /// Something was written at this time of the server's clock.
    pub fn wrote(&mut self, before: &Snapshot, after: &Snapshot, now_us: i64) {
        for (name, row) in &after.rows {
            let old = before.rows.get(name);
            if old.is_some_and(|old| old.version == row.version && old.deleted == row.deleted) {
                continue;
            }
            if row.deleted {
                self.learned_us.insert(name.clone(), now_us);
            } else {
                self.learned_us.remove(name);
            }
        }
    }

    /// Whether a row that was deleted before this time keeps its content only because somebody has to decide about
    /// it.
    #[must_use]
    pub fn waits(&self, snapshot: &Snapshot, before_us: i64) -> bool {
        let open = [ConflictStatus::Open, ConflictStatus::Claimed];
        let mut disputed = snapshot.conflicts.iter().filter(|c| open.contains(&c.status));
        disputed.any(|conflict| {
            let name = (conflict.collection.clone(), conflict.record);
            let row = snapshot.rows.get(&name);
            row.is_some_and(|row| row.deleted && !row.emptied)
                && self.learned_us.get(&name).is_some_and(|us| *us < before_us)
        })
    }
}

/// How old is old, by the server's clock.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Tokens that ended before this may go.
    pub tokens_us: i64,
    /// Receipts that were settled before this may lose their details.
    pub receipts_us: i64,
    /// Rows that were deleted before this may lose their content.
    pub rows_us: i64,
}

/// Everything before and after housekeeping.
pub struct Both<'a> {
    /// Rows, receipts and conflicts.
    pub snapshots: (&'a Snapshot, &'a Snapshot),
    /// Tokens, with when they end.
    pub tokens: (BTreeMap<String, i64>, BTreeMap<String, i64>),
}

/// Looks at what housekeeping did. `knows` says whether the phone of an edit has what came of it, where somebody
/// can say it. Answers what went.
///
/// # Errors
/// The violation.
pub fn check(
    schema: &Schema,
    deletions: &Deletions,
    both: &Both<'_>,
    limits: Limits,
    knows: impl Fn(ReceiptId) -> Option<bool>,
) -> Result<BTreeSet<&'static str>, Violation> {
    let mut went = BTreeSet::new();
    let (before, after) = both.snapshots;
    if (&before.grants, &before.conflicts) != (&after.grants, &after.conflicts)
        || !before.rows.keys().eq(after.rows.keys())
        || !before.receipts.keys().eq(after.receipts.keys())
    {
        return violated(INVARIANT, "grants, conflicts, or which rows and receipts there are");
    }
    for (name, row) in &before.rows {
        let now = &after.rows[name];
        if now == row {
            continue;
        }
        went.insert("housekeeping: content of a deleted row");
        if let Some(why) = needed(schema, deletions, limits, before, (name, row, now)) {
            return violated(INVARIANT, format!("{name:?}: {why}: {row:?} became {now:?}"));
        }
    }
    for (id, receipt) in &before.receipts {
        let now = &after.receipts[id];
        if now == receipt {
            continue;
        }
        went.insert("housekeeping: details of a receipt");
        let bare = Receipt { mutations: Vec::new(), ..Receipt::clone(receipt) };
        let why = match () {
            () if bare != **now => Some("is more than its details"),
            () if receipt.settled_at_us >= limits.receipts_us => Some("is too young"),
            () if names_others(receipt) => Some("names what others look for"),
            () if knows(*id) == Some(false) => Some("is not known to its phone"),
            () => None,
        };
        if let Some(why) = why {
            return violated(INVARIANT, format!("{id} {why}: {receipt:?} became {now:?}"));
        }
    }
    let (tokens, left) = &both.tokens;
    for (hash, ends_us) in tokens.iter().filter(|(hash, _)| !left.contains_key(*hash)) {
        went.insert("housekeeping: tokens");
        if *ends_us >= limits.tokens_us {
            return violated(INVARIANT, format!("the token {hash} that ends at {ends_us}"));
        }
    }
    Ok(went)
}

const INVARIANT: &str = "housekeeping takes nothing that is needed";

/// Why a row may not be as it is now, if so.
fn needed(
    schema: &Schema,
    deletions: &Deletions,
    limits: Limits,
    before: &Snapshot,
    (name, row, now): (&Name, &Row, &Row),
) -> Option<&'static str> {
    let collection = schema.collection(&name.0)?;
    let defaults =
        collection.fields.iter().map(|f| (f.name.clone(), f.default_value().to_json(&f.kind)));
    let should = Row {
        emptied: true,
        fields: defaults.collect(),
        scopes: now.scopes.clone(),
        ..Row::clone(row)
    };
    let open = [ConflictStatus::Open, ConflictStatus::Claimed];
    let mut conflicts = before.conflicts.iter();
    let is_old = deletions.learned_us.get(name).is_some_and(|us| *us < limits.rows_us);
    match () {
        () if !row.deleted => Some("is not deleted"),
        () if should != *now => Some("lost more than its content"),
        () if !is_old => Some("was deleted too short ago"),
        () if conflicts
            .any(|c| open.contains(&c.status) && c.collection == name.0 && c.record == name.1) =>
        {
            Some("is still to be decided about")
        }
        () => None,
    }
}

/// Whether a receipt names a conflict, by which a decision finds it, or another id of a record, by which what
/// builds on it does.
fn names_others(receipt: &Receipt) -> bool {
    receipt.mutations.iter().any(|outcome| {
        let mut fields = outcome.fields.values().chain(&outcome.row);
        outcome.alias.is_some() || fields.any(|f| matches!(f, FieldOutcome::InReview { .. }))
    })
}

/// Looks at what a push made of rows whose content is gone: they come back only where no field lacks a value, and
/// nothing else is refused for that reason.
///
/// # Errors
/// The violation.
pub fn brought_back(
    schema: &Schema,
    (asked, answer): (&PushRequest, &PushAnswer),
    (before, after): (&Snapshot, &Snapshot),
) -> Checked {
    let invariant = "what was deleted too long ago does not come back empty";
    let lacks = |collection: &str| {
        let fields = schema.collection(collection).map(|c| c.fields.as_slice());
        fields
            .unwrap_or_default()
            .iter()
            .any(|field| field.required && field.default_value().to_json(&field.kind).is_null())
    };
    for (name, row) in before.rows.iter().filter(|(_, row)| row.emptied) {
        let is_back = after.rows.get(name).is_some_and(|now| !now.deleted);
        if is_back && lacks(&name.0) {
            return violated(invariant, format!("{name:?}: {row:?}"));
        }
    }
    let is_told = |problem: &Problem| problem.code == "content_gone";
    for (transaction, receipt) in asked.transactions.iter().zip(&answer.receipts) {
        if before.receipts.contains_key(&receipt.id)
            || receipt.state != ReceiptState::Refused
            || !receipt.problem.as_ref().is_some_and(is_told)
        {
            continue;
        }
        let emptied = transaction.mutations.iter().any(|mutation| {
            let record = (mutation.collection.clone(), mutation.record);
            mutation.kind != MutationKind::Insert
                && lacks(&mutation.collection)
                && before.rows.get(&record).is_none_or(|row| row.emptied)
        });
        if !emptied {
            return violated(invariant, format!("{} is refused for it", receipt.id));
        }
    }
    Ok(())
}
