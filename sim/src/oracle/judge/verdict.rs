//! What the merge rules make of an edit of one field.

use serde_json::Value as Json;
use sync_protocol::schema::{Field, FieldType, MergeRule};
use sync_protocol::wire::push::Mutation;

use super::history::{History, Write, elements};
use crate::oracle::view::{from_units, units};

/// What is to become of an edit of one field.
pub(super) enum Verdict {
    Applied(Option<Json>),
    Superseded,
    Review,
    Refused,
}

/// Elements that an edit adds although they are there.
pub(super) fn touched(mutation: &Mutation, field: &Field, current: &Json) -> Vec<String> {
    let present = elements(current);
    let added = mutation.elements.get(&field.name).into_iter().flat_map(|edit| &edit.add);
    added.filter(|element| present.contains(*element)).cloned().collect()
}

/// What is to become of a mutation's edit of one field, if it has one.
pub(super) fn verdict(
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

/// Whether a value of the type is larger than another one.
pub(super) fn is_larger(kind: &FieldType, a: &Json, b: &Json) -> bool {
    match kind {
        FieldType::Integer | FieldType::Decimal { .. } => units(a) > units(b),
        FieldType::Real => a.as_f64() > b.as_f64(),
        // Dates and timestamps in canonical form sort as texts.
        _ => a.as_str() > b.as_str(),
    }
}
