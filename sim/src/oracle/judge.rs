//! Judging what the server made of each edit.
//!
//! The server keeps a few versions per field and decides with them. The judge keeps every change of
//! every field (at which version, by whom, when) and decides from that history by the rules as
//! `docs/protocol.md` has them, in its own words: an edit is concurrent if anything but its own stream
//! changed the field after its base. What it finds is compared with the receipt, and the rows with the
//! server's afterwards. Refusals, and which row a
//! natural key leads to, are taken from the server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;
use sync_protocol::limits::EDIT_TIME_AHEAD_MAX_US;
use sync_protocol::schema::{Collection, DeleteConflict, Field, FieldType, MergeRule, Schema};
use sync_protocol::wire::push::{
    ElementsEdit, Mutation, MutationKind, PushAnswer, PushRequest, Transaction,
};
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome, Receipt, ReceiptState};
use sync_protocol::wire::review::ConflictStatus;
use sync_protocol::{ReceiptId, RecordId, StreamId};

use super::snapshot::{Name, Row, Snapshot};
use super::view::{from_units, units};
use super::{Checked, Violation, violated};

const INVARIANT: &str = "edits are merged by the rules";

/// A change of a field, or of a row as a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Write {
    version: i64,
    writer: StreamId,
    at_us: i64,
    uncertain: bool,
}

impl Write {
    /// Whether an edit at this time stays against one at `other`.
    fn beats(&self, other: &Self) -> bool {
        match (self.uncertain, other.uncertain) {
            (true, false) => false,
            (false, true) => true,
            _ => (self.at_us, self.writer) > (other.at_us, other.writer),
        }
    }
}

#[derive(Debug, Clone)]
struct History {
    version: i64,
    born: Write,
    fields: BTreeMap<String, Vec<Write>>,
    /// Additions of the elements that are present, by field and element.
    additions: BTreeMap<(String, String), Vec<Write>>,
    deleted: Option<Write>,
    /// Who brought it back last.
    restored: Option<Write>,
}

impl History {
    fn changes(&self, field: &str) -> impl Iterator<Item = &Write> {
        std::iter::once(&self.born).chain(self.fields.get(field).into_iter().flatten())
    }

    fn base(&self, base: Option<i64>) -> Option<i64> {
        base.filter(|base| *base <= self.version)
    }

    fn is_concurrent(&self, field: &str, base: Option<i64>, stream: StreamId) -> bool {
        let Some(base) = self.base(base) else { return true };
        self.changes(field).any(|w| w.version > base && w.writer != stream)
    }

    fn is_row_concurrent(&self, base: Option<i64>, stream: StreamId) -> bool {
        let Some(base) = self.base(base) else { return true };
        let all = std::iter::once(&self.born).chain(self.fields.values().flatten());
        all.chain(&self.deleted)
            .chain(&self.restored)
            .any(|w| w.version > base && w.writer != stream)
    }

    fn is_seen(&self, field: &str, element: &str, base: Option<i64>, stream: StreamId) -> bool {
        let base = self.base(base).unwrap_or(0);
        let born = [self.born];
        let key = (field.to_owned(), element.to_owned());
        let additions = self.additions.get(&key).map_or(&born[..], Vec::as_slice);
        additions.iter().all(|w| w.writer == stream || w.version <= base)
    }

    /// From the server's own bookkeeping: for what the judge does not decide about.
    fn taken_over(row: &Row) -> Self {
        let write = |json: &Json| Write {
            version: json["v"].as_i64().unwrap_or(0),
            writer: json["w"].as_str().and_then(|w| w.parse().ok()).unwrap_or(StreamId::SQL),
            at_us: json["t"].as_i64().unwrap_or(0),
            uncertain: json["u"].as_bool().unwrap_or(false),
        };
        Self {
            version: row.version,
            born: write(&row.meta["born"]),
            fields: BTreeMap::new(),
            additions: BTreeMap::new(),
            deleted: Some(&row.meta["deleted"]).filter(|d| d.is_object()).map(write),
            restored: Some(&row.meta["restored"]).filter(|d| d.is_object()).map(write),
        }
    }

    /// Takes over from the server who changed what between two states of the row.
    fn take_over(&mut self, before: Option<&Row>, after: &Row) {
        let told = Self::taken_over(after);
        (self.version, self.deleted) = (told.version, told.deleted);
        self.restored = told.restored.or(self.restored);
        for (name, value) in &after.fields {
            let old = before.and_then(|row| row.fields.get(name));
            if before.is_none() || old == Some(value) {
                continue;
            }
            let meta = &after.meta["fields"][name];
            let writer = meta["w"].as_str().and_then(|w| w.parse().ok()).unwrap_or(StreamId::SQL);
            let write = Write {
                version: meta["v"].as_i64().unwrap_or(after.version),
                writer,
                at_us: meta["t"].as_i64().unwrap_or(0),
                uncertain: meta["u"].as_bool().unwrap_or(false),
            };
            self.change(name, write, old.unwrap_or(&Json::Null), value);
        }
        // Changes that came and went again in between, and others' before the last one.
        for (name, meta) in after.meta["fields"].as_object().into_iter().flatten() {
            let told = [
                (meta["o"].as_i64().unwrap_or(0), StreamId(uuid::Uuid::max())),
                (
                    meta["v"].as_i64().unwrap_or(0),
                    meta["w"].as_str().and_then(|w| w.parse().ok()).unwrap_or(StreamId::SQL),
                ),
            ];
            for (version, writer) in told {
                if version > 0 && self.changes(name).all(|w| w.version < version) {
                    let at_us = meta["t"].as_i64().unwrap_or(0);
                    let uncertain = meta["u"].as_bool().unwrap_or(false);
                    let write = Write { version, writer, at_us, uncertain };
                    self.fields.entry(name.clone()).or_default().push(write);
                }
            }
        }
        // Elements that were added again while present change no value.
        for (field, meta) in after.meta["fields"].as_object().into_iter().flatten() {
            for (element, addition) in meta["e"].as_object().into_iter().flatten() {
                let version = addition["v"].as_i64().unwrap_or(0);
                let writer = addition["w"].as_str().and_then(|w| w.parse().ok());
                let known = self.additions.entry((field.clone(), element.clone()));
                let known = known.or_insert_with(|| vec![self.born]);
                if known.iter().all(|w| w.version != version) {
                    let writer = writer.unwrap_or(StreamId::SQL);
                    known.push(Write { version, writer, at_us: 0, uncertain: false });
                }
            }
        }
    }

    fn change(&mut self, field: &str, write: Write, old: &Json, new: &Json) {
        self.fields.entry(field.to_owned()).or_default().push(write);
        let (old, new) = (elements(old), elements(new));
        self.additions.retain(|key, _| key.0 != field || new.contains(&key.1));
        for element in new.difference(&old) {
            self.additions.insert((field.to_owned(), element.clone()), vec![write]);
        }
    }
}

fn elements(json: &Json) -> BTreeSet<String> {
    let all = json.as_array().into_iter().flatten();
    all.filter_map(|element| element.as_str().map(str::to_owned)).collect()
}

/// What is to become of an edit of one field.
enum Verdict {
    Applied(Option<Json>),
    Superseded,
    Review,
    Refused,
}

/// What the oracle knows of the history of each field.
#[derive(Default)]
pub struct Judge {
    rows: BTreeMap<Name, History>,
}

/// A push while it is judged.
struct Trial<'a> {
    schema: &'a Schema,
    stream: StreamId,
    rows: BTreeMap<Name, Row>,
    /// Fields with an open conflict.
    open: BTreeSet<(Name, String)>,
    /// Receipts by which records that were merged into others are found.
    told: BTreeMap<ReceiptId, Receipt>,
    found: Vec<String>,
}

impl Trial<'_> {
    /// Where records went that a transaction may still call by their old ids.
    fn aliases(&self, transaction: &Transaction, receipt: &Receipt) -> BTreeMap<Name, RecordId> {
        let before = transaction.builds_on.iter().filter_map(|id| self.told.get(id));
        let outcomes = before.chain([receipt]).flat_map(|receipt| &receipt.mutations);
        outcomes.filter_map(|o| Some(((o.collection.clone(), o.record), o.alias?))).collect()
    }
}

/// An insertion that is merged into a row with its natural key: first values of counters and sets are
/// additions to what is there, and the author has seen nothing of it.
fn adopted(schema: &Schema, insertion: &Mutation) -> Mutation {
    let mut update = Mutation { kind: MutationKind::Update, ..insertion.clone() };
    let Some(collection) = schema.collection(&insertion.collection) else { return update };
    for field in &collection.fields {
        let rule = field.merge;
        if !matches!(rule, MergeRule::Counter | MergeRule::Set) {
            continue;
        }
        let Some(value) = update.set.remove(&field.name) else { continue };
        if rule == MergeRule::Counter {
            update.add.insert(field.name.clone(), value);
        } else {
            let add = elements(&value).into_iter().collect();
            let edit = ElementsEdit { add, remove: Vec::new() };
            update.elements.insert(field.name.clone(), edit);
        }
    }
    update
}

/// A mutation that refers to records by the ids that they have now.
fn refers_to(schema: &Schema, mutation: &Mutation, aliases: &BTreeMap<Name, RecordId>) -> Mutation {
    let mut mutation = mutation.clone();
    let Some(collection) = schema.collection(&mutation.collection) else { return mutation };
    for field in &collection.fields {
        let Some(target) = &field.references else { continue };
        let Some(value) = mutation.set.get_mut(&field.name) else { continue };
        let id = value.as_str().and_then(|text| text.parse().ok());
        let new = id.and_then(|id| aliases.get(&(target.clone(), id)));
        if let Some(new) = new {
            *value = new.to_string().into();
        }
    }
    mutation
}

impl Judge {
    /// Judges a push and its answer. Answers which merges occurred.
    ///
    /// # Errors
    /// The violation.
    pub fn pushed(
        &mut self,
        schema: &Schema,
        asked: &PushRequest,
        answer: &PushAnswer,
        (before, after): (&Arc<Snapshot>, &Arc<Snapshot>),
        now_us: i64,
    ) -> Result<Vec<String>, Violation> {
        let open = before.conflicts.iter().filter(|conflict| {
            matches!(conflict.status, ConflictStatus::Open | ConflictStatus::Claimed)
        });
        let mut trial = Trial {
            schema,
            stream: asked.stream,
            rows: before.rows.iter().map(|(name, row)| (name.clone(), Row::clone(row))).collect(),
            open: open
                .filter_map(|c| Some(((c.collection.clone(), c.record), c.field.clone()?)))
                .collect(),
            told: before
                .receipts
                .iter()
                .map(|(id, receipt)| (*id, Receipt::clone(receipt)))
                .collect(),
            found: Vec::new(),
        };
        let mut settled: BTreeSet<ReceiptId> = before.receipts.keys().copied().collect();
        for (transaction, receipt) in asked.transactions.iter().zip(&answer.receipts) {
            if receipt.id != transaction.id {
                return violated("each transaction gets its receipt", receipt.id.to_string());
            }
            if !settled.insert(transaction.id) {
                let known = before.receipts.get(&transaction.id);
                if known.is_some_and(|known| known.state != receipt.state) {
                    return violated(
                        "a repeated push answers the same receipt",
                        receipt.id.to_string(),
                    );
                }
                trial.found.push("merge: repeated".to_owned());
                continue;
            }
            trial.told.insert(receipt.id, receipt.clone());
            let took_effect = matches!(
                receipt.state,
                ReceiptState::Applied | ReceiptState::Superseded | ReceiptState::InReview
            );
            if receipt.state == ReceiptState::Parked {
                settled.remove(&transaction.id);
            }
            if receipt.held {
                trial.found.push("merge: held".to_owned());
                note_open(&mut trial, receipt);
            } else if took_effect {
                self.transaction(&mut trial, transaction, receipt, now_us).map_err(
                    |violation| Violation {
                        found: format!("{}: {}", transaction.id, violation.found),
                        ..violation
                    },
                )?;
            }
        }
        self.compare(&trial, before, after)?;
        conflicts_keep_their_candidates(before, after, &answer.receipts)?;
        Ok(trial.found)
    }

    fn transaction(
        &mut self,
        trial: &mut Trial<'_>,
        transaction: &Transaction,
        receipt: &Receipt,
        now_us: i64,
    ) -> Checked {
        let ahead = transaction.edited.at_us > now_us + EDIT_TIME_AHEAD_MAX_US;
        if ahead {
            trial.found.push("merge: clamped".to_owned());
        }
        if transaction.edited.uncertain {
            trial.found.push("merge: uncertain time".to_owned());
        }
        let at_us = if ahead { now_us } else { transaction.edited.at_us };
        let aliases = trial.aliases(transaction, receipt);
        for (mutation, outcome) in transaction.mutations.iter().zip(&receipt.mutations) {
            let mutation = &refers_to(trial.schema, mutation, &aliases);
            let record = outcome.alias.unwrap_or(outcome.record);
            let name = (mutation.collection.clone(), record);
            let write = Write {
                version: outcome.version.unwrap_or(0),
                writer: trial.stream,
                at_us,
                uncertain: transaction.edited.uncertain,
            };
            if outcome.alias.is_some() && mutation.kind == MutationKind::Insert {
                trial.found.push("merge: adopted".to_owned());
                let adopted = adopted(trial.schema, mutation);
                self.mutation(trial, &adopted, outcome, &name, write)?;
            } else {
                self.mutation(trial, mutation, outcome, &name, write)?;
            }
        }
        note_open(trial, receipt);
        Ok(())
    }

    fn mutation(
        &mut self,
        trial: &mut Trial<'_>,
        mutation: &Mutation,
        outcome: &MutationOutcome,
        name: &Name,
        write: Write,
    ) -> Checked {
        let Some(collection) = trial.schema.collection(&name.0) else {
            return violated(INVARIANT, format!("the unknown collection {} was written", name.0));
        };
        if mutation.kind == MutationKind::Insert {
            return self.insert(trial, collection, mutation, name, write);
        }
        let Some(row) = trial.rows.get(name).cloned() else {
            return violated(INVARIANT, format!("{name:?} never was and was edited"));
        };
        let Some(history) = self.rows.get_mut(name) else {
            return violated(INVARIANT, format!("{name:?} has no history"));
        };
        match mutation.kind {
            MutationKind::Delete => {
                let concurrent =
                    !row.deleted && history.is_row_concurrent(mutation.row_base, write.writer);
                let stands = concurrent && collection.on_delete_conflict != DeleteConflict::Delete;
                if concurrent {
                    trial.found.push("merge: deletion meets an edit".to_owned());
                }
                if outcome.row.is_some() != stands {
                    return violated(
                        INVARIANT,
                        format!("deletion of {name:?}: concurrent {concurrent}, {outcome:?}"),
                    );
                }
                if !stands && !row.deleted {
                    history.deleted = Some(write);
                    history.version = write.version;
                    trial.rows.insert(name.clone(), Row { deleted: true, ..row });
                }
                Ok(())
            }
            MutationKind::Restore => {
                if row.deleted {
                    history.deleted = None;
                    history.restored = Some(write);
                    history.version = write.version;
                    trial.rows.insert(name.clone(), Row { deleted: false, ..row });
                }
                Ok(())
            }
            _ => {
                let mut row = row;
                if row.deleted {
                    trial.found.push("merge: edit meets a deletion".to_owned());
                    let keeps = collection.on_delete_conflict == DeleteConflict::Keep;
                    if outcome.row.is_some() == keeps {
                        return violated(
                            INVARIANT,
                            format!("edit of deleted {name:?}: {outcome:?}"),
                        );
                    }
                    if !keeps {
                        return Ok(());
                    }
                    row.deleted = false;
                    history.deleted = None;
                    history.restored = Some(write);
                }
                for field in &collection.fields {
                    let key = (name.clone(), field.name.clone());
                    let in_review = trial.open.contains(&key);
                    let base = mutation.base.get(&field.name).copied();
                    let current = row.fields.get(&field.name).cloned().unwrap_or(Json::Null);
                    let Some(verdict) = verdict(
                        (field, history, &current),
                        mutation,
                        (base, in_review),
                        &write,
                        &mut trial.found,
                    ) else {
                        continue;
                    };
                    let said = outcome.fields.get(&field.name);
                    let fits = matches!(
                        (&verdict, said),
                        (Verdict::Applied(_), None)
                            | (Verdict::Superseded, Some(FieldOutcome::Superseded { .. }))
                            | (Verdict::Review, Some(FieldOutcome::InReview { .. }))
                    );
                    if !fits {
                        let should = match verdict {
                            Verdict::Applied(_) => "applied",
                            Verdict::Superseded => "superseded",
                            Verdict::Review => "in review",
                            Verdict::Refused => "refused",
                        };
                        return violated(
                            INVARIANT,
                            format!(
                                "{name:?}.{} ({:?}) should be {should}, but is {said:?}; base {base:?}, \
                                 edit {write:?}, history {:?}",
                                field.name,
                                field.merge,
                                history.changes(&field.name).collect::<Vec<_>>()
                            ),
                        );
                    }
                    if let Verdict::Applied(Some(value)) = verdict {
                        history.change(&field.name, write, &current, &value);
                        row.fields.insert(field.name.clone(), value);
                    }
                    for element in touched(mutation, field, &current) {
                        let key = (field.name.clone(), element);
                        let born = history.born;
                        history.additions.entry(key).or_insert_with(|| vec![born]).push(write);
                    }
                }
                history.version = history.version.max(write.version);
                trial.rows.insert(name.clone(), row);
                Ok(())
            }
        }
    }

    fn insert(
        &mut self,
        trial: &mut Trial<'_>,
        collection: &Collection,
        mutation: &Mutation,
        name: &Name,
        write: Write,
    ) -> Checked {
        if trial.rows.contains_key(name) {
            return violated(INVARIANT, format!("{name:?} was inserted twice"));
        }
        let mut fields = BTreeMap::new();
        for field in &collection.fields {
            let given = mutation.set.get(&field.name).cloned();
            let value = given.unwrap_or_else(|| field.default_value().to_json(&field.kind));
            fields.insert(field.name.clone(), value);
        }
        let row =
            Row { version: 1, deleted: false, fields, scopes: BTreeSet::new(), meta: Json::Null };
        trial.rows.insert(name.clone(), row);
        let history = History {
            version: write.version,
            born: Write { version: 1, ..write },
            fields: BTreeMap::new(),
            additions: BTreeMap::new(),
            deleted: None,
            restored: None,
        };
        self.rows.insert(name.clone(), history);
        Ok(())
    }

    /// Compares what the judge found with the server's rows.
    fn compare(
        &mut self,
        trial: &Trial<'_>,
        before: &Arc<Snapshot>,
        after: &Arc<Snapshot>,
    ) -> Checked {
        for (name, row) in &after.rows {
            let Some(collection) = trial.schema.collection(&name.0) else { continue };
            let old = before.rows.get(name);
            if old.is_some_and(|old| Arc::ptr_eq(old, row)) && !trial.rows.contains_key(name) {
                continue;
            }
            let should = trial.rows.get(name);
            if let Some(should) = should {
                if should.deleted != row.deleted {
                    return violated(
                        INVARIANT,
                        format!("{name:?} should be deleted: {}, but is not so", should.deleted),
                    );
                }
                for field in collection.fields.iter().filter(|field| !field.from_parent) {
                    let (wanted, is) = (&should.fields[&field.name], &row.fields[&field.name]);
                    if wanted != is {
                        return violated(
                            INVARIANT,
                            format!("{name:?}.{} should be {wanted}, but is {is}", field.name),
                        );
                    }
                }
                // What followed a parent is taken over.
                let history = self.rows.entry(name.clone());
                let history = history.or_insert_with(|| History::taken_over(row));
                for field in collection.fields.iter().filter(|field| field.from_parent) {
                    let (was, is) = (&should.fields[&field.name], &row.fields[&field.name]);
                    if was != is && old.is_some() {
                        let writer = trial.stream;
                        let write =
                            Write { version: row.version, writer, at_us: 0, uncertain: false };
                        history.change(&field.name, write, was, is);
                    }
                }
                history.version = row.version;
            } else {
                let history = self.rows.entry(name.clone());
                let history = history.or_insert_with(|| History::taken_over(row));
                history.take_over(old.map(AsRef::as_ref), row);
            }
        }
        match trial.rows.keys().find(|name| !after.rows.contains_key(*name)) {
            Some(name) => violated(INVARIANT, format!("{name:?} should be there")),
            None => Ok(()),
        }
    }

    /// Takes over what was written beside pushes: by the office, or by a decision.
    pub fn wrote(&mut self, before: &Snapshot, after: &Snapshot) {
        for (name, row) in &after.rows {
            let old = before.rows.get(name);
            if old.is_some_and(|old| Arc::ptr_eq(old, row)) {
                continue;
            }
            let history = self.rows.entry(name.clone());
            let history = history.or_insert_with(|| History::taken_over(row));
            if old.is_some() {
                history.take_over(old.map(AsRef::as_ref), row);
            }
        }
    }
}

/// Fields whose conflicts are open from now on.
fn note_open(trial: &mut Trial<'_>, receipt: &Receipt) {
    for outcome in &receipt.mutations {
        let name = (outcome.collection.clone(), outcome.alias.unwrap_or(outcome.record));
        for (field, known) in &outcome.fields {
            if matches!(known, FieldOutcome::InReview { .. }) {
                trial.found.push("merge: in review".to_owned());
                trial.open.insert((name.clone(), field.clone()));
            }
        }
    }
}

/// Elements that an edit adds although they are there.
fn touched(mutation: &Mutation, field: &Field, current: &Json) -> Vec<String> {
    let present = elements(current);
    let added = mutation.elements.get(&field.name).into_iter().flat_map(|edit| &edit.add);
    added.filter(|element| present.contains(*element)).cloned().collect()
}

/// What is to become of a mutation's edit of one field, if it has one.
fn verdict(
    (field, history, current): (&Field, &History, &Json),
    mutation: &Mutation,
    (base, in_review): (Option<i64>, bool),
    write: &Write,
    found: &mut Vec<String>,
) -> Option<Verdict> {
    let name = &field.name;
    if let Some(difference) = mutation.add.get(name) {
        let sum = from_units(&field.kind, units(current) + units(difference));
        found.push("merge: counter".to_owned());
        return Some(Verdict::Applied((sum != *current).then_some(sum)));
    }
    if let Some(edit) = mutation.elements.get(name) {
        let present = elements(current);
        let mut left = present.clone();
        for element in &edit.remove {
            if present.contains(element) {
                if history.is_seen(name, element, base, write.writer) {
                    left.remove(element);
                } else {
                    found.push("merge: set keeps what was not seen".to_owned());
                }
            }
        }
        left.extend(edit.add.iter().cloned());
        let value = left.into_iter().collect::<Json>();
        let changes = elements(&value) != present;
        return Some(Verdict::Applied(changes.then_some(value)));
    }
    let wanted = mutation.set.get(name)?;
    let concurrent = history.is_concurrent(name, base, write.writer);
    if concurrent {
        found.push(format!("merge: concurrent {:?}", field.merge).to_lowercase());
    }
    let same = wanted == current;
    let applied = Verdict::Applied((!same).then(|| wanted.clone()));
    Some(match field.merge {
        MergeRule::Immutable if current.is_null() || same => applied,
        MergeRule::Immutable => Verdict::Refused,
        MergeRule::Max | MergeRule::Min => {
            let larger = is_larger(&field.kind, wanted, current);
            let smaller = is_larger(&field.kind, current, wanted);
            let wins = if field.merge == MergeRule::Max { larger } else { smaller };
            if same || current.is_null() || (wins && !wanted.is_null()) {
                applied
            } else {
                found.push("merge: max or min superseded".to_owned());
                Verdict::Superseded
            }
        }
        MergeRule::Review if !same && (concurrent || in_review) => Verdict::Review,
        MergeRule::Lww if !same && concurrent => {
            let last = history.changes(name).last().copied().unwrap_or(history.born);
            if last.writer == write.writer || write.beats(&last) {
                applied
            } else {
                found.push("merge: lww superseded".to_owned());
                Verdict::Superseded
            }
        }
        _ => applied,
    })
}

fn is_larger(kind: &FieldType, a: &Json, b: &Json) -> bool {
    match kind {
        FieldType::Integer | FieldType::Decimal { .. } => units(a) > units(b),
        FieldType::Real => a.as_f64() > b.as_f64(),
        // Dates and timestamps in canonical form sort as texts.
        _ => a.as_str() > b.as_str(),
    }
}

/// A conflict never loses a candidate, and has everybody whom a receipt says is in it.
fn conflicts_keep_their_candidates(
    before: &Snapshot,
    after: &Snapshot,
    receipts: &[Receipt],
) -> Checked {
    let invariant = "a conflict keeps all its candidates";
    let candidates: BTreeMap<_, BTreeSet<ReceiptId>> = after
        .conflicts
        .iter()
        .map(|conflict| (conflict.id, conflict.candidates.iter().map(|c| c.receipt).collect()))
        .collect();
    let none = BTreeSet::new();
    for conflict in &before.conflicts {
        let now = candidates.get(&conflict.id).unwrap_or(&none);
        if let Some(lost) = conflict.candidates.iter().find(|c| !now.contains(&c.receipt)) {
            return violated(invariant, format!("{} lost {}", conflict.id, lost.receipt));
        }
    }
    for receipt in receipts.iter().filter(|r| after.receipts.contains_key(&r.id)) {
        let outcomes = receipt.mutations.iter().flat_map(|m| m.fields.values().chain(&m.row));
        for outcome in outcomes {
            if let FieldOutcome::InReview { conflict, .. } = outcome
                && !candidates.get(conflict).unwrap_or(&none).contains(&receipt.id)
            {
                return violated(invariant, format!("{conflict} lacks {}", receipt.id));
            }
        }
    }
    Ok(())
}
