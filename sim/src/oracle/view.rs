//! What a user sees: the server's rows of their phone's checkpoint and their own open edits on top,
//! each exactly once.
//!
//! Open is an edit that its phone did not see refused or take back, and that is not in the
//! checkpoint's snapshot. Of one that is in it and in review, the fields under review stay.

use std::collections::{BTreeMap, BTreeSet};

use mobile_core::outbox::entry::State;
use mobile_core::outbox::list::ReceiptView;
use rusqlite::Connection;
use serde_json::Value as Json;
use sync_protocol::schema::{Collection, FieldType, MergeRule, Schema};
use sync_protocol::wire::push::{Mutation, MutationKind};
use sync_protocol::wire::receipt::{FieldOutcome, MutationOutcome, Receipt, ReceiptState};
use sync_protocol::{RecordId, UserId};

use super::checkpoint::expected;
use super::snapshot::{Name, Snapshot};
use super::{Checked, violated};

type Fields = BTreeMap<String, Json>;

/// Looks at everything that the user of a phone sees.
///
/// # Errors
/// The violation.
pub fn check(
    db: &Connection,
    visible: &Schema,
    user: UserId,
    snapshot: &Snapshot,
    receipts: &[ReceiptView],
) -> Checked {
    let invariant = "a user sees the checkpoint and their open edits, each once";
    let server = expected(snapshot, user, visible);
    let mut should: BTreeMap<Name, Option<Fields>> =
        server.into_iter().map(|(name, held)| (name, Some(held.fields))).collect();
    let mut deleted: BTreeMap<Name, Fields> = BTreeMap::new();
    let aliases = aliases(receipts, snapshot);
    for view in receipts {
        for mutation in open(view, snapshot) {
            let Some(collection) = visible.collection(&mutation.collection) else { continue };
            let mutation = renamed(&mutation, collection, &aliases);
            let name = (mutation.collection.clone(), mutation.record);
            let row = should.entry(name.clone()).or_default();
            match mutation.kind {
                MutationKind::Insert => {
                    // Fields that the phone fills in by itself are not known here.
                    apply(collection, row.get_or_insert_default(), &mutation);
                }
                MutationKind::Update => {
                    if let Some(fields) = row {
                        apply(collection, fields, &mutation);
                    }
                }
                MutationKind::Delete => {
                    if let Some(fields) = row.take() {
                        deleted.insert(name, fields);
                    }
                }
                MutationKind::Restore => {
                    if row.is_none() {
                        *row = deleted.remove(&name);
                    }
                }
            }
        }
    }
    let seen = seen(db, visible).expect("a phone's file can be read");
    for (name, row) in &should {
        match (row, seen.get(name)) {
            (None, None) => {}
            (Some(row), Some(sees)) => {
                for (field, value) in row {
                    if sees.get(field) != Some(value) {
                        return violated(
                            invariant,
                            format!(
                                "{name:?}.{field} should be {value}, but is {:?} (commit {})",
                                sees.get(field),
                                snapshot.commit
                            ),
                        );
                    }
                }
            }
            (Some(_), None) => return violated(invariant, format!("{name:?} is not seen")),
            (None, Some(_)) => return violated(invariant, format!("{name:?} is still seen")),
        }
    }
    match seen.keys().find(|name| !should.contains_key(*name)) {
        Some(name) => violated(invariant, format!("{name:?} is seen: {:?}", seen[name])),
        None => Ok(()),
    }
}

/// No counter shows an edit twice, nor not at all, wherever a pull stands: the phone's own edits are on top
/// of its row unless the row is of a version that has them.
///
/// # Errors
/// The violation.
pub fn counters(db: &Connection, visible: &Schema, receipts: &[ReceiptView]) -> Checked {
    let rows = super::checkpoint::server_rows(db, visible).expect("a phone's file can be read");
    let seen = seen(db, visible).expect("a phone's file can be read");
    for (name, row) in &rows {
        let Some(sees) = seen.get(name).filter(|_| is_plain(receipts, name)) else { continue };
        let Some(collection) = visible.collection(&name.0) else { continue };
        let counters = collection.fields.iter().filter(|f| f.merge == MergeRule::Counter);
        for field in counters {
            let mut should = units(&row.fields[&field.name]);
            for view in receipts {
                should += open_difference(view, name, &field.name, row.version);
            }
            let is = units(&sees[&field.name]);
            if is != should {
                return violated(
                    "a counter shows each open edit once",
                    format!("{name:?}.{} shows {is}, should be {should}", field.name),
                );
            }
        }
    }
    Ok(())
}

/// Whether the phone's open edits of a row only change it, under the id that it has.
fn is_plain(receipts: &[ReceiptView], name: &Name) -> bool {
    let merged = receipts.iter().filter_map(|view| view.receipt.as_ref());
    let merged = merged.flat_map(|receipt| &receipt.mutations);
    let open = receipts.iter().filter(|view| !view.settled).flat_map(|view| &view.mutations);
    !merged.into_iter().any(|outcome| outcome.alias == Some(name.1))
        && open
            .filter(|m| (&m.collection, m.record) == (&name.0, name.1))
            .all(|m| m.kind == MutationKind::Update)
}

/// What an edit of a phone adds to its row's counter, besides what the row has of it.
fn open_difference(view: &ReceiptView, name: &Name, field: &str, version: i64) -> i128 {
    if matches!(view.state, State::Refused | State::Discarded | State::HandedOver) {
        return 0;
    }
    if is_withdrawn(view) || (view.settled && view.state != State::InReview) {
        return 0;
    }
    let held = view.receipt.as_ref().is_some_and(|receipt| receipt.held);
    // As another stream a phone asks again about what was decided, and knows until then what it was.
    let took_effect = |receipt: &Receipt| {
        let state = receipt.state;
        matches!(state, ReceiptState::Applied | ReceiptState::Superseded | ReceiptState::InReview)
    };
    let decided = matches!(view.state, State::Applied | State::Superseded | State::InReview)
        || view.receipt.as_ref().is_some_and(took_effect);
    let mut sum = 0;
    for (index, mutation) in view.mutations.iter().enumerate() {
        if (&mutation.collection, mutation.record) != (&name.0, name.1) {
            continue;
        }
        let outcome = view.receipt.as_ref().and_then(|receipt| receipt.mutations.get(index));
        let known = outcome.and_then(|outcome| outcome.version);
        // Nothing of a row under review, or of an edit that is held, has taken effect.
        let asks = |row: &FieldOutcome| matches!(row, FieldOutcome::InReview { .. });
        let waits = held || outcome.is_some_and(|o| o.row.as_ref().is_some_and(asks));
        let has_it = view.settled || known.is_some_and(|known| known <= version);
        let in_row = decided && !waits && has_it;
        if !in_row {
            sum += mutation.add.get(field).map_or(0, units);
        }
    }
    sum
}

/// Whether its author is taking an edit back that may have been sent. It is out of sight meanwhile.
#[must_use]
pub fn is_withdrawn(view: &ReceiptView) -> bool {
    view.waiting_for.as_ref().is_some_and(|why| why.code == "withdrawal")
}

/// Where records of this phone went by their natural keys, as of the snapshot.
fn aliases(receipts: &[ReceiptView], snapshot: &Snapshot) -> BTreeMap<Name, RecordId> {
    let settled = receipts.iter().filter_map(|view| snapshot.receipts.get(&view.id));
    let outcomes = settled.flat_map(|receipt| &receipt.mutations);
    outcomes
        .filter_map(|outcome| Some(((outcome.collection.clone(), outcome.record), outcome.alias?)))
        .collect()
}

fn renamed(
    mutation: &Mutation,
    collection: &Collection,
    aliases: &BTreeMap<Name, RecordId>,
) -> Mutation {
    let mut mutation = mutation.clone();
    let find = |collection: &str, id: RecordId| aliases.get(&(collection.to_owned(), id)).copied();
    mutation.record = find(&collection.name, mutation.record).unwrap_or(mutation.record);
    for field in collection.fields.iter().filter(|field| field.kind == FieldType::Uuid) {
        let Some(target) = &field.references else { continue };
        let Some(value) = mutation.set.get_mut(&field.name) else { continue };
        let id = value.as_str().and_then(|text| text.parse().ok());
        if let Some(new) = id.and_then(|id| find(target, id)) {
            *value = new.to_string().into();
        }
    }
    mutation
}

/// The mutations of an edit that its author still sees on top of the snapshot.
fn open(view: &ReceiptView, snapshot: &Snapshot) -> Vec<Mutation> {
    if matches!(view.state, State::Refused | State::Discarded | State::HandedOver) {
        return Vec::new();
    }
    if is_withdrawn(view) {
        return Vec::new();
    }
    let Some(receipt) = snapshot.receipts.get(&view.id) else {
        return match &view.receipt {
            Some(told) => without_handed_over(&view.mutations, told),
            None => view.mutations.clone(),
        };
    };
    match receipt.state {
        ReceiptState::InReview if receipt.held => without_handed_over(&view.mutations, receipt),
        ReceiptState::InReview => in_review(&view.mutations, receipt),
        _ => Vec::new(),
    }
}

/// A record whose insertion was handed over is not for its author to see, unless it is made and comes as a row.
fn is_handed_over(mutation: &Mutation, outcome: &MutationOutcome) -> bool {
    mutation.kind == MutationKind::Insert
        && matches!(outcome.row, Some(FieldOutcome::InReview { .. } | FieldOutcome::Decided { .. }))
}

fn without_handed_over(mutations: &[Mutation], receipt: &Receipt) -> Vec<Mutation> {
    let is_out = |index: usize, mutation: &Mutation| {
        let outcome = receipt.mutations.get(index);
        outcome.is_some_and(|outcome| is_handed_over(mutation, outcome))
    };
    let shown = mutations.iter().enumerate().filter(|(index, mutation)| !is_out(*index, mutation));
    shown.map(|(_, mutation)| mutation.clone()).collect()
}

fn in_review(mutations: &[Mutation], receipt: &Receipt) -> Vec<Mutation> {
    let is_open = |outcome: &FieldOutcome| matches!(outcome, FieldOutcome::InReview { .. });
    let left = |mutation: &Mutation, outcome: &MutationOutcome| {
        if is_handed_over(mutation, outcome) {
            return None;
        }
        if outcome.row.as_ref().is_some_and(is_open) {
            return Some(mutation.clone());
        }
        let mut mutation = mutation.clone();
        let open = |field: &String| outcome.fields.get(field).is_some_and(is_open);
        mutation.set.retain(|field, _| open(field));
        mutation.add.retain(|field, _| open(field));
        mutation.elements.retain(|field, _| open(field));
        if mutation.kind == MutationKind::Insert {
            mutation.kind = MutationKind::Update;
        }
        (mutation.set.len() + mutation.add.len() + mutation.elements.len() > 0).then_some(mutation)
    };
    mutations.iter().zip(&receipt.mutations).filter_map(|(m, o)| left(m, o)).collect()
}

/// Changes a row as a mutation says.
pub fn apply(collection: &Collection, row: &mut Fields, mutation: &Mutation) {
    let known = |name: &String| collection.field(name);
    for (name, value) in &mutation.set {
        if known(name).is_some() {
            row.insert(name.clone(), value.clone());
        }
    }
    for (name, difference) in &mutation.add {
        let Some(field) = known(name) else { continue };
        let sum = units(row.get(name).unwrap_or(&Json::Null)) + units(difference);
        row.insert(name.clone(), from_units(&field.kind, sum));
    }
    for (name, change) in &mutation.elements {
        if known(name).is_none() {
            continue;
        }
        let mut elements: BTreeSet<String> = match row.get(name) {
            Some(Json::Array(all)) => {
                all.iter().filter_map(|e| e.as_str().map(str::to_owned)).collect()
            }
            _ => BTreeSet::new(),
        };
        elements.retain(|element| !change.remove.contains(element));
        elements.extend(change.add.iter().cloned());
        row.insert(name.clone(), elements.into_iter().collect());
    }
}

/// A number in canonical JSON, in units of its last digit.
#[must_use]
pub fn units(json: &Json) -> i128 {
    match json {
        Json::Number(n) => n.as_i64().map_or(0, i128::from),
        Json::String(text) => {
            let digits: String = text.chars().filter(|c| *c != '.').collect();
            digits.parse().unwrap_or(0)
        }
        _ => 0,
    }
}

/// The opposite of [`units`].
#[must_use]
pub fn from_units(kind: &FieldType, units: i128) -> Json {
    match kind {
        FieldType::Decimal { scale } => {
            let one = 10_u128.pow(u32::from(*scale));
            let (sign, all) = (if units < 0 { "-" } else { "" }, units.unsigned_abs());
            let places = usize::from(*scale);
            format!("{sign}{}.{:0places$}", all / one, all % one).into()
        }
        _ => i64::try_from(units).unwrap_or(i64::MAX).into(),
    }
}

/// The rows that the app's own queries find.
fn seen(db: &Connection, schema: &Schema) -> rusqlite::Result<BTreeMap<Name, Fields>> {
    let mut rows = BTreeMap::new();
    for collection in schema.collections.values() {
        let columns: String =
            collection.fields.iter().map(|f| format!(", \"{}\"", f.name)).collect();
        let sql = format!("SELECT id{columns} FROM \"{}\"", collection.name);
        let mut statement = db.prepare_cached(&sql)?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let id: String = row.get(0)?;
            let mut fields = Fields::new();
            for (index, field) in collection.fields.iter().enumerate() {
                let value = row.get_ref(1 + index)?;
                let read = mobile_core::store::rows::from_sql(&field.kind, value);
                let read = read.unwrap_or_else(|| panic!("{id} has a bad {}", field.name));
                fields.insert(field.name.clone(), read.to_json(&field.kind));
            }
            rows.insert((collection.name.clone(), id.parse().expect("an id")), fields);
        }
    }
    Ok(rows)
}
