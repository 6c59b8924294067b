//! The model's push: one transaction after another, by the shared merge rules.

use std::collections::{BTreeMap, BTreeSet};

use mobile_core::transport::TransportError;
use serde_json::json;
use sync_protocol::merge::{FieldEdit, RowMeta, Verdict, merge_field};
use sync_protocol::problem::{Location, Problem};
use sync_protocol::wire::push::{Mutation, MutationKind, PushAnswer, PushRequest, Transaction};
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome, Receipt, ReceiptState};
use sync_protocol::{ConflictId, EditTime, Fields, ReceiptId, RecordId, StreamId, Value};
use uuid::Uuid;

use super::{Kept, Row, State};

pub fn push(state: &mut State, request: &PushRequest) -> Result<PushAnswer, TransportError> {
    let mut receipts: Vec<Receipt> = Vec::new();
    assert!(request.transactions.is_empty() || request.mark.is_some(), "an unmarked push");
    if let Some(mark) = &request.mark {
        let last = state.last_push.get(&request.stream).copied();
        if last.is_some_and(|last| last != mark.id && !mark.after.contains(&last)) {
            let mut problem = Problem::new(409, "stream_moved", "A copy");
            problem.more.insert("last_push".into(), json!(last));
            return Err(TransportError::Problem(Box::new(problem)));
        }
        state.last_push.insert(request.stream, mark.id);
    }
    state.seen.extend(&request.seen);
    let withdrawn =
        request.withdraw.iter().map(|id| withdraw(state, request.stream, *id)).collect();
    let in_use = state.in_use.take();
    for transaction in &request.transactions {
        let receipt = if transaction.mutations.iter().any(|m| Some(m.record) == in_use) {
            put_off(transaction, state.now_us)
        } else {
            one(state, request.stream, transaction, &receipts)
        };
        receipts.push(receipt);
    }
    Ok(PushAnswer { receipts, withdrawn, server_time_us: state.now_us })
}

fn withdraw(state: &mut State, stream: StreamId, id: ReceiptId) -> Receipt {
    state.commit += 1;
    let (commit, settled_at_us) = (state.commit, state.now_us);
    let discarded = || Kept {
        stream,
        echoes: BTreeMap::new(),
        content: serde_json::Value::Null,
        receipt: Receipt {
            id,
            state: ReceiptState::Discarded,
            problem: None,
            mutations: Vec::new(),
            held: false,
            settled_at_us,
        },
        commit,
    };
    let kept = state.receipts.entry(id).or_insert_with(discarded);
    if kept.stream != stream {
        kept.echoes.insert(stream, commit);
    }
    kept.receipt.clone()
}

fn put_off(transaction: &Transaction, now_us: i64) -> Receipt {
    Receipt {
        id: transaction.id,
        state: ReceiptState::Parked,
        problem: Some(
            Problem::new(503, "busy", "A row that this edit needs is in use").retryable(),
        ),
        mutations: Vec::new(),
        held: false,
        settled_at_us: now_us,
    }
}

fn one(
    state: &mut State,
    stream: StreamId,
    transaction: &Transaction,
    earlier: &[Receipt],
) -> Receipt {
    let content = json!(transaction.mutations);
    if let Some(kept) = state.receipts.get_mut(&transaction.id) {
        assert!(
            kept.content == content || kept.receipt.state == ReceiptState::Discarded,
            "an id that was sent came again with other content"
        );
        if kept.stream != stream {
            state.commit += 1;
            kept.echoes.insert(stream, state.commit);
        }
        return kept.receipt.clone();
    }
    let blocked = |id: &ReceiptId| {
        let here = earlier.iter().find(|r| r.id == *id);
        let known = state.receipts.get(id).map(|kept| &kept.receipt);
        here.or(known).is_some_and(|r| {
            matches!(r.state, ReceiptState::Refused | ReceiptState::Parked)
                && !state.replaced.contains_key(id)
        })
    };
    let mut receipt = Receipt {
        id: transaction.id,
        state: ReceiptState::Applied,
        problem: None,
        mutations: Vec::new(),
        held: false,
        settled_at_us: state.now_us,
    };
    if transaction.builds_on.iter().any(blocked) {
        receipt.state = ReceiptState::Parked;
        receipt.problem = Some(Problem::new(409, "parked", "It builds on a refused edit"));
        return receipt;
    }
    let before = (state.rows.clone(), state.history.len(), state.conflicts.clone());
    state.commit += 1;
    for (index, mutation) in transaction.mutations.iter().enumerate() {
        let renamed = rename(state, transaction, &receipt.mutations, mutation);
        let applied = apply(state, stream, transaction, &renamed).map(|mut outcome| {
            outcome.record = mutation.record;
            outcome
        });
        match applied {
            Ok(outcome) => receipt.mutations.push(outcome),
            Err(mut problem) => {
                let at = Location { mutation: Some(index), ..Location::default() };
                problem.at = Some(at);
                state.rows = before.0;
                state.history.truncate(before.1);
                state.conflicts = before.2;
                receipt.state = ReceiptState::Refused;
                receipt.problem = Some(problem);
                receipt.mutations.clear();
                break;
            }
        }
    }
    if let Some(replaced) = transaction.replaces {
        state.replaced.insert(replaced, transaction.id);
    }
    if receipt.state == ReceiptState::Applied {
        let outcomes = || receipt.mutations.iter().flat_map(|m| m.fields.values());
        if outcomes().any(|o| matches!(o, FieldOutcome::InReview { .. })) {
            receipt.state = ReceiptState::InReview;
        } else if outcomes().any(|o| matches!(o, FieldOutcome::Superseded { .. })) {
            receipt.state = ReceiptState::Superseded;
        }
    }
    let kept = Kept {
        stream,
        echoes: BTreeMap::new(),
        content,
        receipt: receipt.clone(),
        commit: state.commit,
    };
    state.receipts.insert(transaction.id, kept);
    receipt
}

/// Puts records in the place of those that were merged into them, as far as what the transaction
/// builds on (directly) or its own earlier mutations say so.
fn rename(
    state: &State,
    transaction: &Transaction,
    own: &[MutationOutcome],
    mutation: &Mutation,
) -> Mutation {
    let known = transaction.builds_on.iter().filter_map(|id| state.receipts.get(id));
    let outcomes = known.flat_map(|kept| &kept.receipt.mutations).chain(own);
    let mut renamed = mutation.clone();
    for (old, new) in outcomes.filter_map(|o| Some((o.record, o.alias?))) {
        if renamed.collection == "articulos" && renamed.record == old {
            renamed.record = new;
        }
        for (name, value) in &mut renamed.set {
            if name == "articulo_id" && *value == old.to_string() {
                *value = new.to_string().into();
            }
        }
    }
    renamed
}

fn apply(
    state: &mut State,
    stream: StreamId,
    transaction: &Transaction,
    mutation: &Mutation,
) -> Result<MutationOutcome, Problem> {
    let collection = state.schema.collections[&mutation.collection].clone();
    let key = (mutation.collection.clone(), mutation.record);
    let time = transaction.edited.clamped(state.now_us);
    let commit = state.commit;
    let mut outcome = MutationOutcome {
        collection: mutation.collection.clone(),
        record: mutation.record,
        version: None,
        fields: BTreeMap::new(),
        row: None,
        alias: None,
        flags: Vec::new(),
    };
    let value = |name: &str, json: &serde_json::Value| {
        let field = collection.field(name).expect("devices check names");
        Value::from_json(field, json).expect("devices check values")
    };
    if mutation.set.values().any(|json| json == "veneno") {
        return Err(Problem::new(422, "poison", "The ERP does not take this"));
    }
    if let Some(target) = mutation.set.get("articulo_id").and_then(|id| id.as_str()) {
        let target: RecordId = target.parse().expect("devices check ids");
        if !state.rows.contains_key(&("articulos".to_owned(), target)) {
            return Err(Problem::new(422, "unknown_reference", "There is no such record"));
        }
    }
    match mutation.kind {
        MutationKind::Insert => {
            if state.rows.contains_key(&key) {
                return Err(Problem::new(409, "record_exists", "The id is taken"));
            }
            let name = mutation.set.get("nombre").and_then(|json| json.as_str());
            let namesake = state.rows.iter().find(|(key, row)| {
                key.0 == "articulos"
                    && row.meta.deleted.is_none()
                    && name.is_some_and(|name| row.fields["nombre"] == Value::Text(name.into()))
            });
            if let (true, Some((key, row))) = (state.adopt, namesake) {
                outcome.alias = Some(key.1);
                outcome.version = Some(row.meta.version);
                return Ok(outcome);
            }
            let fields: Fields = collection
                .fields
                .iter()
                .map(|field| {
                    let given = mutation.set.get(&field.name).map(|json| value(&field.name, json));
                    (field.name.clone(), given.unwrap_or_else(|| field.default_value()))
                })
                .collect();
            let row = Row { fields, meta: RowMeta::inserted(stream, time), commit };
            state.rows.insert(key.clone(), row);
        }
        MutationKind::Update => {
            let Some(mut row) =
                state.rows.get(&key).filter(|row| row.meta.deleted.is_none()).cloned()
            else {
                return Err(Problem::new(409, "no_such_record", "The record is not there"));
            };
            let old = row.fields.clone();
            let mut touched: Vec<(String, String)> = Vec::new();
            for (name, edit) in edits(mutation, &value, &collection) {
                let field = collection.field(&name).expect("devices check names");
                let in_review = state.conflicts.values().any(|(c, r, f, _)| {
                    (c, r, f) == (&mutation.collection, &mutation.record, &name)
                });
                let base = mutation.base.get(&name).copied();
                let current = &row.fields[&name].clone();
                let wanted = edit.clone();
                let merged =
                    merge_field(field, current, &row.meta, edit, base, (stream, time), in_review);
                match merged.verdict {
                    Verdict::Applied | Verdict::AppliedBeyondLimits => {}
                    Verdict::Superseded(by_version) => {
                        let value = mutation.set.get(&name).cloned().unwrap_or_default();
                        outcome
                            .fields
                            .insert(name.clone(), FieldOutcome::Superseded { value, by_version });
                    }
                    Verdict::Review => {
                        let FieldEdit::Set(wanted) = wanted else { unreachable!("review is set") };
                        let conflict = dispute(state, mutation, &name, transaction.id, wanted);
                        outcome.fields.insert(
                            name.clone(),
                            FieldOutcome::InReview { conflict, question: None },
                        );
                    }
                    Verdict::Immutable | Verdict::Overflow => {
                        return Err(Problem::new(409, "immutable", "It cannot be changed"));
                    }
                }
                touched.extend(merged.touched.into_iter().map(|e| (name.clone(), e)));
                if let Some(value) = merged.write {
                    row.fields.insert(name, value);
                }
            }
            write(state, &key, &old, row, &touched, stream, time);
        }
        MutationKind::Delete => {
            if let Some(row) = state.rows.get_mut(&key).filter(|row| row.meta.deleted.is_none()) {
                row.meta.record_delete(stream, time);
                row.commit = commit;
            }
        }
        MutationKind::Restore => {
            if let Some(row) = state.rows.get_mut(&key) {
                row.meta.record_restore(stream);
                row.commit = commit;
            }
        }
    }
    note_history(state, &key);
    outcome.version = state.rows.get(&key).map(|row| row.meta.version);
    Ok(outcome)
}

type Edits = Vec<(String, FieldEdit)>;

fn edits(
    mutation: &Mutation,
    value: &impl Fn(&str, &serde_json::Value) -> Value,
    collection: &sync_protocol::schema::Collection,
) -> Edits {
    let mut edits: Edits = Vec::new();
    for (name, json) in &mutation.set {
        edits.push((name.clone(), FieldEdit::Set(value(name, json))));
    }
    for (name, json) in &mutation.add {
        let field = collection.field(name).expect("devices check names");
        let units = Value::difference_from_json(field, json).expect("devices check values");
        edits.push((name.clone(), FieldEdit::Add(units)));
    }
    for (name, edit) in &mutation.elements {
        let add: BTreeSet<String> = edit.add.iter().cloned().collect();
        let remove: BTreeSet<String> = edit.remove.iter().cloned().collect();
        edits.push((name.clone(), FieldEdit::Elements { add, remove }));
    }
    edits
}

fn write(
    state: &mut State,
    key: &(String, RecordId),
    old: &Fields,
    mut row: Row,
    touched: &[(String, String)],
    stream: StreamId,
    time: EditTime,
) {
    let new = row.fields.clone();
    let changed: Vec<_> = new
        .iter()
        .filter(|(name, value)| old[*name] != **value)
        .map(|(name, value)| (name.as_str(), &old[name], value))
        .collect();
    if changed.is_empty() && touched.is_empty() {
        return;
    }
    let touched = touched.iter().map(|(field, element)| (field.as_str(), element.as_str()));
    row.meta.record_update(changed, touched, stream, time);
    row.commit = state.commit;
    state.rows.insert(key.clone(), row);
}

fn note_history(state: &mut State, key: &(String, RecordId)) {
    if key.0 == "articulos"
        && let Some(row) = state.rows.get(key)
    {
        let units = row.fields["existencia"].units().unwrap_or(0);
        state.history.push((state.commit, key.1, units));
    }
}

fn dispute(
    state: &mut State,
    mutation: &Mutation,
    field: &str,
    receipt: ReceiptId,
    wanted: Value,
) -> ConflictId {
    let place = (&mutation.collection, &mutation.record, field);
    let open = state
        .conflicts
        .iter_mut()
        .find(|(_, (c, r, f, _))| (&c.clone(), &r.clone(), f.as_str()) == place);
    if let Some((id, (.., candidates))) = open {
        candidates.push((receipt, wanted));
        return *id;
    }
    let id = ConflictId(Uuid::from_u128(0xc0_0000 + state.conflicts.len() as u128 + 1));
    let (collection, record, field) =
        (mutation.collection.clone(), mutation.record, field.to_owned());
    state.conflicts.insert(id, (collection, record, field, vec![(receipt, wanted)]));
    id
}

impl State {
    /// Somebody with psql.
    pub fn sql(&mut self, collection: &str, record: RecordId, field: &str, value: Value) {
        self.commit += 1;
        let key = (collection.to_owned(), record);
        let mut row = self.rows[&key].clone();
        let old = row.fields.clone();
        row.fields.insert(field.to_owned(), value);
        let time = EditTime::certain(self.now_us);
        write(self, &key, &old, row, &[], StreamId::SQL, time);
        note_history(self, &key);
    }

    /// A supervisor decides every open conflict for its first candidate.
    pub fn decide_all(&mut self) {
        for (conflict, (collection, record, field, candidates)) in
            std::mem::take(&mut self.conflicts)
        {
            self.sql(&collection, record, &field, candidates[0].1.clone());
            for (index, (receipt, _)) in candidates.iter().enumerate() {
                let commit = self.commit;
                self.seen.retain(|seen| seen != receipt);
                let kept = self.receipts.get_mut(receipt).expect("candidates have receipts");
                kept.commit = commit;
                kept.echoes.values_mut().for_each(|told| *told = commit);
                let kept = &mut kept.receipt;
                for outcome in kept.mutations.iter_mut().flat_map(|m| m.fields.values_mut()) {
                    if matches!(outcome, FieldOutcome::InReview { conflict: c, .. } if *c == conflict)
                    {
                        *outcome = FieldOutcome::Decided { conflict, kept: index == 0 };
                    }
                }
                let open = kept
                    .mutations
                    .iter()
                    .flat_map(|m| m.fields.values())
                    .any(|o| matches!(o, FieldOutcome::InReview { .. }));
                if !open {
                    kept.state =
                        if index == 0 { ReceiptState::Applied } else { ReceiptState::Superseded };
                }
            }
        }
    }
}
