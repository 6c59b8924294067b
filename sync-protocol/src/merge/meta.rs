//! What the server knows about the changes of a row: versions and writers, per field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::planted::{self, Bug};
use crate::{EditTime, RowVersion, StreamId, Value};

/// The bookkeeping of one row. PostgreSQL's triggers and the SQLite store keep the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowMeta {
    /// The row's version: one more with each change, deletions and restorations included.
    pub version: RowVersion,
    /// The insertion: what holds for fields that did not change since.
    pub born: Change,
    /// Fields that changed since the insertion.
    pub fields: BTreeMap<String, FieldMeta>,
    /// The deletion, while the row is deleted.
    pub deleted: Option<Change>,
    /// The last restoration. Without it a deletion whose author saw the row before would undo it unasked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restoration>,
}

/// A deleted row came back: at which version, by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoration {
    /// Version of the row that it made.
    #[serde(rename = "v")]
    pub version: RowVersion,
    /// Who brought it back.
    #[serde(rename = "w")]
    pub writer: StreamId,
}

/// One change: at which version, by whom, when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Version of the row that it made.
    #[serde(rename = "v")]
    pub version: RowVersion,
    /// Who made it.
    #[serde(rename = "w")]
    pub writer: StreamId,
    /// When it was made, in microseconds since 1970; of plain SQL, when it was captured.
    #[serde(rename = "t")]
    pub at_us: i64,
    /// The time is only bounded.
    #[serde(rename = "u", default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
}

/// The last change of one field.
///
/// JSON: `{"v":7,"w":"…","t":1763…,"o":5,"e":{"ana":{"v":7,"w":"…","o":5}}}`; `u`, `o` and `e` are
/// left out where false, 0 or empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldMeta {
    /// The last change.
    #[serde(flatten)]
    pub last: Change,
    /// The newest version at which another stream than the last writer's changed the field
    /// (the insertion counts); 0 if none did. Without it a device's later stale edit would hide
    /// what somebody else wrote.
    #[serde(rename = "o", default, skip_serializing_if = "is_zero")]
    pub other_version: RowVersion,
    /// Of a `set` field: elements that were added since the insertion, with their last addition.
    #[serde(rename = "e", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub elements: BTreeMap<String, ElementMeta>,
}

/// The last addition of an element of a `set` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementMeta {
    /// Version of the row that it made.
    #[serde(rename = "v")]
    pub version: RowVersion,
    /// Who added it.
    #[serde(rename = "w")]
    pub writer: StreamId,
    /// The newest version at which another stream than that writer's added it, while it was
    /// present all along; 0 if none did. Without it an addition of one's own would hide that
    /// somebody else wants the element too.
    #[serde(rename = "o", default, skip_serializing_if = "is_zero")]
    pub other_version: RowVersion,
}

fn is_zero(n: &RowVersion) -> bool {
    *n == 0
}

impl Change {
    /// The time as an edit's.
    #[must_use]
    pub fn time(&self) -> EditTime {
        EditTime { at_us: self.at_us, uncertain: self.uncertain }
    }
}

impl RowMeta {
    /// The bookkeeping of a row that is inserted now.
    #[must_use]
    pub fn inserted(writer: StreamId, time: EditTime) -> Self {
        let born = Change { version: 1, writer, at_us: time.at_us, uncertain: time.uncertain };
        Self { version: 1, born, fields: BTreeMap::new(), deleted: None, restored: None }
    }

    /// The last change of a field: its own, or the insertion.
    #[must_use]
    pub fn last_change(&self, field: &str) -> Change {
        self.fields.get(field).map_or(self.born, |meta| meta.last)
    }

    /// The last addition of an element that is present: its own, or the insertion.
    #[must_use]
    pub fn last_addition(&self, field: &str, element: &str) -> ElementMeta {
        let known = self.fields.get(field).and_then(|meta| meta.elements.get(element));
        let Change { version, writer, .. } = self.born;
        known.copied().unwrap_or(ElementMeta { version, writer, other_version: 0 })
    }

    /// Whether every addition of a present element, besides those of `stream`, is in `base`. One that
    /// is unknown has nothing.
    #[must_use]
    pub fn is_element_seen(
        &self,
        field: &str,
        element: &str,
        base: Option<RowVersion>,
        stream: StreamId,
    ) -> bool {
        if planted::is(Bug::SetRemoveUnseen) {
            return true;
        }
        let last = self.last_addition(field, element);
        let by_others = if last.writer == stream { last.other_version } else { last.version };
        by_others <= base.filter(|base| *base <= self.version).unwrap_or(0)
    }

    /// Whether a field changed after `base` by anything but `stream`. An unknown base is concurrent.
    #[must_use]
    pub fn is_concurrent(&self, field: &str, base: Option<RowVersion>, stream: StreamId) -> bool {
        let Some(base) = base.filter(|base| *base <= self.version) else { return true };
        let last = self.last_change(field);
        if last.writer == stream && !planted::is(Bug::OwnStreamIsForeign) {
            !planted::is(Bug::OtherWriterForgotten)
                && self.fields.get(field).is_some_and(|meta| meta.other_version > base)
        } else {
            last.version > base
        }
    }

    /// Whether anything of the row changed after `base` by anything but `stream`. A change of a field counts if
    /// `counts` says so.
    #[must_use]
    pub fn is_row_concurrent(
        &self,
        base: Option<RowVersion>,
        stream: StreamId,
        counts: impl Fn(&str) -> bool,
    ) -> bool {
        let Some(base) = base.filter(|base| *base <= self.version) else { return true };
        (self.born.version > base && self.born.writer != stream)
            || self
                .fields
                .keys()
                .any(|field| counts(field) && self.is_concurrent(field, Some(base), stream))
            || self.deleted.is_some_and(|d| d.version > base && d.writer != stream)
            || self.restored.is_some_and(|r| r.version > base && r.writer != stream)
    }

    /// Records a change of one row: raises the version once, whatever the number of fields.
    ///
    /// `changed` names each changed field with its old and new value (elements of sets are
    /// compared); `touched` names set elements that were added again while present.
    pub fn record_update<'a>(
        &mut self,
        changed: impl IntoIterator<Item = (&'a str, &'a Value, &'a Value)>,
        touched: impl IntoIterator<Item = (&'a str, &'a str)>,
        writer: StreamId,
        time: EditTime,
    ) {
        self.version += 1;
        let version = self.version;
        let change = Change { version, writer, at_us: time.at_us, uncertain: time.uncertain };
        for (field, old, new) in changed {
            let previous = self.last_change(field);
            let mut meta = self.fields.remove(field).unwrap_or(FieldMeta {
                last: previous,
                other_version: 0,
                elements: BTreeMap::new(),
            });
            if previous.writer != writer {
                meta.other_version = previous.version;
            }
            meta.last = change;
            if let Value::Set(new) = new {
                let none = std::collections::BTreeSet::new();
                let old = if let Value::Set(old) = old { old } else { &none };
                meta.elements.retain(|element, _| new.contains(element));
                for element in new.difference(old) {
                    let addition = ElementMeta { version, writer, other_version: 0 };
                    meta.elements.insert(element.clone(), addition);
                }
            }
            self.fields.insert(field.to_owned(), meta);
        }
        for (field, element) in touched {
            let last = self.last_change(field);
            let before = self.last_addition(field, element);
            let other_version =
                if before.writer == writer { before.other_version } else { before.version };
            let meta = self.fields.entry(field.to_owned()).or_insert(FieldMeta {
                last,
                other_version: 0,
                elements: BTreeMap::new(),
            });
            let addition = ElementMeta { version, writer, other_version };
            meta.elements.insert(element.to_owned(), addition);
        }
    }

    /// Records the deletion.
    pub fn record_delete(&mut self, writer: StreamId, time: EditTime) {
        self.version += 1;
        let version = self.version;
        self.deleted =
            Some(Change { version, writer, at_us: time.at_us, uncertain: time.uncertain });
    }

    /// Records that the row came back. Fields keep their last changes.
    pub fn record_restore(&mut self, writer: StreamId) {
        self.version += 1;
        self.deleted = None;
        self.restored = Some(Restoration { version: self.version, writer });
    }
}
