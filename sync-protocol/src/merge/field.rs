//! The merge rules, one field at a time.

use std::collections::BTreeSet;

use super::RowMeta;
use crate::planted::{self, Bug};
use crate::schema::{Field, MergeRule};
use crate::{EditTime, RowVersion, StreamId, Value};

/// What an edit wants to do to a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldEdit {
    /// Set it to this value.
    Set(Value),
    /// Add this difference, in units of the last digit (`counter`).
    Add(i64),
    /// Add and remove elements (`set`).
    Elements {
        /// Elements that come.
        add: BTreeSet<String>,
        /// Elements that go.
        remove: BTreeSet<String>,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldMerge {
    /// The new value, where it differs from the present one.
    pub write: Option<Value>,
    /// Elements of a set that were added although present: their addition counts as new.
    pub touched: Vec<String>,
    /// What becomes of the edit.
    pub verdict: Verdict,
}

/// What becomes of an edit of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It took effect, or the field had that value already.
    Applied,
    /// It took effect and left the field's declared limits (counters).
    AppliedBeyondLimits,
    /// Another value stands, set at this version.
    Superseded(RowVersion),
    /// A person decides.
    Review,
    /// `immutable` and already set to something else.
    Immutable,
    /// The sum does not fit the type.
    Overflow,
}

impl FieldMerge {
    fn keep(verdict: Verdict) -> Self {
        Self { write: None, touched: Vec::new(), verdict }
    }

    fn to(current: &Value, value: Value, verdict: Verdict) -> Self {
        let write = (value != *current).then_some(value);
        Self { write, touched: Vec::new(), verdict }
    }
}

/// Decides about one field of an update to a row that exists.
///
/// `current` and `meta` are the row as it is, `base` the version that the author saw, `stream` and
/// `time` the edit's. `in_review` says that the field has an open conflict, which further edits join.
/// The rule `server` is not decided here: permission refuses it before.
#[must_use]
pub fn merge_field(
    field: &Field,
    current: &Value,
    meta: &RowMeta,
    edit: FieldEdit,
    base: Option<RowVersion>,
    (stream, time): (StreamId, EditTime),
    in_review: bool,
) -> FieldMerge {
    let last = meta.last_change(&field.name);
    let concurrent = meta.is_concurrent(&field.name, base, stream);
    match edit {
        FieldEdit::Add(difference) => add(field, current, difference),
        FieldEdit::Elements { add, remove } => {
            elements(field, current, meta, base, stream, add, &remove)
        }
        FieldEdit::Set(value) => match field.merge {
            MergeRule::Immutable if current.is_null() || value == *current => {
                FieldMerge::to(current, value, Verdict::Applied)
            }
            MergeRule::Immutable => FieldMerge::keep(Verdict::Immutable),
            MergeRule::Max | MergeRule::Min => {
                let wanted = if field.merge == MergeRule::Max {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Less
                };
                if current.is_null() || value.compare(current) == Some(wanted) {
                    FieldMerge::to(current, value, Verdict::Applied)
                } else if value == *current {
                    FieldMerge::keep(Verdict::Applied)
                } else {
                    FieldMerge::keep(Verdict::Superseded(last.version))
                }
            }
            MergeRule::Review if value != *current && (concurrent || in_review) => {
                FieldMerge::keep(Verdict::Review)
            }
            MergeRule::Lww
                if value != *current
                    && concurrent
                    // Position orders a stream's own edits: a later one replaces its own value
                    // whatever the times, which may be equal after clamping.
                    && last.writer != stream
                    && !time.beats(last.time(), stream > last.writer) =>
            {
                FieldMerge::keep(Verdict::Superseded(last.version))
            }
            MergeRule::Lww
            | MergeRule::Review
            | MergeRule::Server
            | MergeRule::Counter
            | MergeRule::Set => FieldMerge::to(current, value, Verdict::Applied),
        },
    }
}

fn add(field: &Field, current: &Value, difference: i64) -> FieldMerge {
    let before = if planted::is(Bug::CounterAbsolute) { None } else { current.units() };
    let Some(sum) = before.unwrap_or(0).checked_add(difference) else {
        return FieldMerge::keep(Verdict::Overflow);
    };
    let decimal = matches!(field.kind, crate::schema::FieldType::Decimal { .. });
    if decimal && sum.unsigned_abs() > crate::limits::DECIMAL_UNITS_MAX.unsigned_abs() {
        return FieldMerge::keep(Verdict::Overflow);
    }
    let beyond = |limit: Option<&serde_json::Value>, below: bool| {
        field
            .limit(limit)
            .and_then(|limit| limit.units())
            .is_some_and(|limit| if below { sum < limit } else { sum > limit })
    };
    let verdict = if beyond(field.min.as_ref(), true) || beyond(field.max.as_ref(), false) {
        Verdict::AppliedBeyondLimits
    } else {
        Verdict::Applied
    };
    let value = if decimal { Value::Decimal(sum) } else { Value::Integer(sum) };
    FieldMerge::to(current, value, verdict)
}

/// An element goes only if the remover had seen each of its additions, or made it: what an
/// observed-remove set does (Shapiro et al., 2011), with row versions as the tags. Of an element's
/// additions the last is kept and the newest by somebody else, which is enough to lose none. A removal
/// that saw only some of them is not noted, so that the element may outlive a second one that saw only
/// the rest: it can be removed again.
fn elements(
    field: &Field,
    current: &Value,
    meta: &RowMeta,
    base: Option<RowVersion>,
    stream: StreamId,
    add: BTreeSet<String>,
    remove: &BTreeSet<String>,
) -> FieldMerge {
    let none = BTreeSet::new();
    let present = if let Value::Set(present) = current { present } else { &none };
    let seen = |element: &str| meta.is_element_seen(&field.name, element, base, stream);
    let mut after: BTreeSet<String> =
        present.iter().filter(|e| !(remove.contains(*e) && seen(e))).cloned().collect();
    let touched = add.iter().filter(|e| present.contains(*e)).cloned().collect();
    after.extend(add);
    if after.len() > crate::limits::SET_ELEMENTS_MAX {
        return FieldMerge::keep(Verdict::Overflow);
    }
    let write = (after != *present).then_some(Value::Set(after));
    FieldMerge { write, touched, verdict: Verdict::Applied }
}
