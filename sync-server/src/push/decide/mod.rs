//! Deciding about one transaction. Pure: rows, scopes, conflicts and time come in as arguments.

mod adoption;
mod deletion;
mod facts;
mod flags;
mod lost;
mod pending;
mod reach;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use sync_protocol::merge::{FieldEdit, RowMeta, Verdict, merge_field};
use sync_protocol::problem::{Location, Problem};
use sync_protocol::schema::{Collection, Field, MergeRule};
use sync_protocol::wire::push::{MutationKind, Transaction};
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome};
use sync_protocol::wire::review::{Authorship, Candidate, Conflict, ConflictStatus};
use sync_protocol::{EditTime, Fields, RecordId, Scope, StreamId, Value};

use crate::push::check::CheckedMutation;
use crate::push::conflict::{self, Standing, Subject};
use crate::push::load::natural_key;
use crate::push::rows::{Loaded, RowName, key_text};
use crate::push::wanted::{immutable, overflow};
use crate::store::{RowWrite, StoredRow, WriteKind};
use adoption::Holder;

pub(super) use facts::{flags_column, tells_of_place_or_date};
pub(super) use pending::opens_a_scope;

/// Whose edits are decided about.
#[derive(Debug, Clone)]
pub(super) struct Author {
    pub stream: StreamId,
    /// Of the transaction, not ahead of the server.
    pub time: EditTime,
    pub by: Authorship,
    pub now_us: i64,
}

/// What a transaction does.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Writes that can be made together, one phase after another. Most transactions have one.
    pub phases: Vec<BTreeMap<RowName, RowWrite>>,
    /// What became of each mutation; versions are filled in after writing.
    pub outcomes: Vec<MutationOutcome>,
    /// Conflicts that were opened or that got a candidate.
    pub conflicts: Vec<Conflict>,
    /// Scopes of entities that the author made and therefore holds.
    pub grants: Vec<Scope>,
    /// Hashes of the pictures of photos that are inserted.
    pub pictures: BTreeSet<String>,
    /// The transaction waits as a whole for its conflicts to be decided.
    pub held: bool,
}

pub(super) type Decided<T> = Result<T, Box<Problem>>;

/// Decides about a transaction whose mutations passed [`super::check`].
pub(super) fn decide(
    loaded: &Loaded,
    author: &Author,
    transaction: &Transaction,
    mutations: &[CheckedMutation<'_>],
) -> Decided<Plan> {
    let mut work = Work {
        loaded,
        author,
        transaction,
        rows: BTreeMap::new(),
        aliases: BTreeMap::new(),
        plan: Plan::default(),
    };
    for mutation in mutations {
        let outcome = work.mutation(mutation).map_err(|mut problem| {
            let at = problem.at.get_or_insert_default();
            let Location { mutation, collection, record, .. } = mutation.location();
            (at.mutation, at.collection, at.record) = (mutation, collection, record);
            problem
        })?;
        work.plan.outcomes.push(outcome);
    }
    let asks = |outcome: &MutationOutcome| {
        let in_review = |known: &FieldOutcome| matches!(known, FieldOutcome::InReview { .. });
        outcome.fields.values().chain(&outcome.row).any(in_review)
            && loaded.schema.collection(&outcome.collection).is_some_and(|c| c.atomic_review)
    };
    if work.plan.outcomes.iter().any(asks) {
        work.plan.hold();
    }
    Ok(work.plan)
}

impl Plan {
    /// Nothing of the transaction takes effect until its conflicts are decided.
    fn hold(&mut self) {
        self.held = true;
        self.phases.clear();
        self.grants.clear();
        self.pictures.clear();
        self.conflicts.retain(|conflict| conflict.status != ConflictStatus::Informational);
        for outcome in &mut self.outcomes {
            (outcome.version, outcome.alias) = (None, None);
            outcome.flags.clear();
            outcome.fields.retain(|_, known| matches!(known, FieldOutcome::InReview { .. }));
        }
    }
}

struct Work<'a> {
    loaded: &'a Loaded,
    author: &'a Author,
    transaction: &'a Transaction,
    /// Rows as they are after the mutations decided so far.
    rows: BTreeMap<RowName, StoredRow>,
    /// Records that this transaction inserted and a natural key merged into others.
    aliases: BTreeMap<RowName, RecordId>,
    plan: Plan,
}

impl<'a> Work<'a> {
    fn row(&self, collection: &str, id: RecordId) -> Option<&StoredRow> {
        let name = (collection.to_owned(), id);
        self.rows.get(&name).or_else(|| self.loaded.rows.get(&name))
    }

    fn holds(&self, scope: &Scope) -> bool {
        self.loaded.scopes.contains(scope) || self.plan.grants.contains(scope)
    }

    fn sees(&self, collection: &Collection, id: RecordId, row: &StoredRow) -> bool {
        collection.scopes_of(id, &row.fields).iter().any(|scope| self.holds(scope))
    }

    fn mutation(&mut self, mutation: &CheckedMutation<'_>) -> Decided<MutationOutcome> {
        if self.aliases.is_empty() {
            return self.decide_one(mutation);
        }
        let renamed = self.renamed(mutation);
        let mut outcome = self.decide_one(&renamed)?;
        if renamed.record != mutation.record {
            outcome.record = mutation.record;
            outcome.alias = Some(renamed.record);
        }
        Ok(outcome)
    }

    fn decide_one(&mut self, mutation: &CheckedMutation<'_>) -> Decided<MutationOutcome> {
        if let Some(handed_over) = self.hand_over(mutation) {
            return handed_over;
        }
        match mutation.kind {
            MutationKind::Insert => self.insert(mutation),
            MutationKind::Update => {
                let row = self.visible_row(mutation)?;
                match row.meta.deleted {
                    Some(_) => self.update_deleted(mutation, row),
                    None => self.update(mutation, mutation.record, row, false),
                }
            }
            MutationKind::Delete => self.delete(mutation),
            MutationKind::Restore => self.restore(mutation),
        }
    }

    /// The row, if its author may see it. One that is hidden and one that never was get one answer.
    fn visible_row(&self, mutation: &CheckedMutation<'_>) -> Decided<StoredRow> {
        self.row(&mutation.collection.name, mutation.record)
            .filter(|row| self.sees(mutation.collection, mutation.record, row))
            .cloned()
            .ok_or_else(|| {
                Box::new(Problem::new(422, "unknown_record", "There is no such record").detail(
                    format!(
                        "`{}` has no record {} that you can see",
                        mutation.collection.name, mutation.record
                    ),
                ))
            })
    }

    fn insert(&mut self, mutation: &CheckedMutation<'_>) -> Decided<MutationOutcome> {
        let collection = mutation.collection;
        let holder = natural_key(mutation).map_or(Holder::Nobody, |values| {
            self.holder(collection, &key_text(collection, &values))
        });
        let freed = matches!(holder, Holder::FreedHere);
        let other = match holder {
            Holder::Row(existing) if existing != mutation.record => Some(existing),
            _ => None,
        };
        let is_there = self.row(&collection.name, mutation.record).is_some();
        let is_seen = |id: RecordId| {
            self.row(&collection.name, id).is_some_and(|row| self.sees(collection, id, row))
        };
        if !is_there
            && !other.is_some_and(is_seen)
            && let Some(handed_over) = self.hand_over_insertion(mutation)
        {
            return handed_over;
        }
        if let Some(existing) = other {
            return self.duplicate(mutation, existing);
        }
        if is_there {
            return Err(record_exists());
        }
        let mut fields = facts::defaults(collection);
        for (field, edit) in &mutation.edits {
            if let FieldEdit::Set(value) = edit {
                self.check_reference(collection, field, value)?;
                fields.insert(field.name.clone(), value.clone());
            }
        }
        self.follow_parent(collection, &mut fields);
        self.check_scopes(collection, mutation.record, &fields, true)?;
        self.flag_insertion(collection, &mut fields);
        let meta = RowMeta::inserted(self.author.stream, self.author.time);
        if freed {
            // The database must have let go of the key before it is taken.
            self.plan.phases.push(BTreeMap::new());
        }
        self.write(mutation, mutation.record, WriteKind::Insert, fields.clone(), Vec::new());
        self.rows.insert((collection.name.clone(), mutation.record), StoredRow { fields, meta });
        Ok(outcome(mutation))
    }

    /// Merges the edits into a live row. `adopting`: they come from an insertion with the same
    /// natural key, so that first values of counters and sets are additions to what is there.
    fn update(
        &mut self,
        mutation: &CheckedMutation<'_>,
        record: RecordId,
        row: StoredRow,
        adopting: bool,
    ) -> Decided<MutationOutcome> {
        let collection = mutation.collection;
        let mut outcome = outcome(mutation);
        let mut set = Fields::new();
        let mut touched = Vec::new();
        for (field, edit) in &mutation.edits {
            let current = row.fields.get(&field.name).unwrap_or(&Value::Null);
            let edit = if adopting { adoption::as_addition(field, edit) } else { edit.clone() };
            if let FieldEdit::Set(value) = &edit {
                self.check_reference(collection, field, value)?;
            }
            let subject = Subject { collection, record, field: Some(&field.name), lost: false };
            let in_review =
                conflict::find(subject, &self.plan.conflicts, &self.loaded.conflicts).is_some();
            let wanted = edit_in_json(field, &edit);
            let merged = merge_field(
                field,
                current,
                &row.meta,
                edit,
                mutation.base(&field.name),
                (self.author.stream, self.author.time),
                in_review,
            );
            match merged.verdict {
                Verdict::Applied => {}
                Verdict::AppliedBeyondLimits => outcome.flags.push(field.name.clone()),
                // What was set first stays. The second insertion is none the worse for it: its author
                // could not know.
                Verdict::Immutable if adopting => {
                    let by_version = row.meta.last_change(&field.name).version;
                    let superseded = FieldOutcome::Superseded { value: wanted, by_version };
                    outcome.fields.insert(field.name.clone(), superseded);
                }
                Verdict::Superseded(by_version) => {
                    let superseded = FieldOutcome::Superseded { value: wanted, by_version };
                    outcome.fields.insert(field.name.clone(), superseded);
                }
                Verdict::Review => {
                    let conflict = self.review_field(mutation, subject, &row, current, wanted)?;
                    outcome.fields.insert(
                        field.name.clone(),
                        FieldOutcome::InReview { conflict, question: None },
                    );
                }
                Verdict::Immutable => return Err(immutable(collection, field)),
                Verdict::Overflow => return Err(overflow(field)),
            }
            set.extend(merged.write.map(|value| (field.name.clone(), value)));
            touched.extend(merged.touched.into_iter().map(|e| (field.name.clone(), e)));
        }
        outcome.version = Some(row.meta.version);
        if adopting {
            self.flag_adoption(mutation, &row, &mut set);
        }
        if set.is_empty() && touched.is_empty() {
            return Ok(outcome);
        }
        let mut after = row.fields.clone();
        after.extend(set.clone());
        if collection.parent.as_ref().is_some_and(|parent| set.contains_key(&parent.field)) {
            self.follow_parent(collection, &mut after);
            for field in collection.fields.iter().filter(|f| f.from_parent) {
                if after.get(&field.name) != row.fields.get(&field.name) {
                    let value = after.get(&field.name).cloned().unwrap_or(Value::Null);
                    set.insert(field.name.clone(), value);
                }
            }
        }
        self.check_scopes(collection, record, &after, false)?;
        self.note_merge(mutation, record, &row, &set);
        if !adopting {
            self.flag_update(collection, &mut set, &mut after);
        }
        let mut meta = row.meta;
        meta.record_update(
            set.iter().map(|(name, new)| {
                (name.as_str(), row.fields.get(name).unwrap_or(&Value::Null), new)
            }),
            touched.iter().map(|(field, element)| (field.as_str(), element.as_str())),
            self.author.stream,
            self.author.time,
        );
        self.write(mutation, record, WriteKind::Update, set, touched);
        self.rows.insert((collection.name.clone(), record), StoredRow { fields: after, meta });
        Ok(outcome)
    }

    fn review_field(
        &mut self,
        mutation: &CheckedMutation<'_>,
        subject: Subject<'_>,
        row: &StoredRow,
        current: &Value,
        wanted: Json,
    ) -> Decided<sync_protocol::ConflictId> {
        let name = subject.field.unwrap_or_default();
        let kind = subject.collection.field(name).map(|field| &field.kind);
        let standing = Standing {
            base: mutation.seen.get(name).cloned(),
            current: kind.map_or(Json::Null, |kind| current.to_json(kind)),
            current_by: Some(self.standing_author(row.meta.last_change(name))),
        };
        let candidate = self.candidate(wanted, mutation.base(name));
        conflict::open_or_join(
            subject,
            self.loaded,
            &mut self.plan.conflicts,
            standing,
            candidate,
            self.author.now_us,
        )
    }

    fn standing_author(&self, change: sync_protocol::merge::Change) -> Authorship {
        conflict::author_of(self.loaded, change, (self.author.stream, &self.author.by))
    }

    fn candidate(&self, value: Json, base_version: Option<i64>) -> Candidate {
        let by = self.author.by.clone();
        Candidate { receipt: self.transaction.id, value, base_version, by, reason: None }
    }

    /// Lists a merge of different fields for information, where both sides set plain values.
    fn note_merge(
        &mut self,
        mutation: &CheckedMutation<'_>,
        record: RecordId,
        row: &StoredRow,
        set: &Fields,
    ) {
        let plain = |name: &str| {
            mutation.collection.field(name).is_some_and(|field| {
                !field.from_parent && matches!(field.merge, MergeRule::Lww | MergeRule::Review)
            })
        };
        let Some(base) = mutation.wire.base.values().min().copied() else { return };
        let others = row.meta.fields.keys().any(|name| {
            !set.contains_key(name)
                && plain(name)
                && row.meta.is_concurrent(name, Some(base), self.author.stream)
        });
        if others && set.keys().any(|name| plain(name)) {
            let wanted = mutation
                .edits
                .iter()
                .filter(|(field, _)| set.contains_key(&field.name))
                .map(|(field, edit)| (field.name.clone(), edit_in_json(field, edit)))
                .collect();
            let candidate = self.candidate(Json::Object(wanted), Some(base));
            let subject =
                Subject { collection: mutation.collection, record, field: None, lost: false };
            let note = conflict::informational(subject, &row.fields, candidate, self.author.now_us);
            self.plan.conflicts.retain(|known| known.id != note.id);
            self.plan.conflicts.push(note);
        }
    }

    /// Plans a write, together with what is already planned for the row where that is possible.
    fn write(
        &mut self,
        mutation: &CheckedMutation<'_>,
        record: RecordId,
        kind: WriteKind,
        set: Fields,
        touched: Vec<(String, String)>,
    ) {
        let name = (mutation.collection.name.clone(), record);
        let time = self.author.time;
        let write = RowWrite { record, kind, set, touched, time };
        if let Some(phase) = self.plan.phases.last_mut() {
            match phase.get_mut(&name) {
                None => {
                    phase.insert(name, write);
                    return;
                }
                Some(earlier) if kind == WriteKind::Update && earlier.kind != WriteKind::Delete => {
                    earlier.set.extend(write.set);
                    earlier.touched.extend(write.touched);
                    return;
                }
                Some(_) => {}
            }
        }
        self.plan.phases.push(BTreeMap::from([(name, write)]));
    }
}

fn outcome(mutation: &CheckedMutation<'_>) -> MutationOutcome {
    MutationOutcome {
        collection: mutation.collection.name.clone(),
        record: mutation.record,
        version: None,
        fields: BTreeMap::new(),
        row: None,
        alias: None,
        flags: Vec::new(),
    }
}

/// An edit as its author and a supervisor are shown it.
fn edit_in_json(field: &Field, edit: &FieldEdit) -> Json {
    match edit {
        FieldEdit::Set(value) => value.to_json(&field.kind),
        FieldEdit::Add(units) => {
            let value = match field.kind {
                sync_protocol::schema::FieldType::Decimal { .. } => Value::Decimal(*units),
                _ => Value::Integer(*units),
            };
            serde_json::json!({ "add": value.to_json(&field.kind) })
        }
        FieldEdit::Elements { add, remove } => serde_json::json!({ "add": add, "remove": remove }),
    }
}

/// The answer to an insertion whose id was used.
fn record_exists() -> Box<Problem> {
    Box::new(
        Problem::new(409, "record_exists", "This record id was used before")
            .detail("ids are never used again; draw a new UUIDv7 for each record"),
    )
}

#[cfg(test)]
mod tests;
