//! Every change of every field of a row: at which version, by whom, when.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use sync_protocol::StreamId;

use crate::oracle::snapshot::Row;

/// A change of a field, or of a row as a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Write {
    pub(super) version: i64,
    pub(super) writer: StreamId,
    pub(super) at_us: i64,
    pub(super) uncertain: bool,
}

impl Write {
    /// Whether an edit at this time stays against one at `other`.
    pub(super) fn beats(&self, other: &Self) -> bool {
        match (self.uncertain, other.uncertain) {
            (true, false) => false,
            (false, true) => true,
            _ => (self.at_us, self.writer) > (other.at_us, other.writer),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct History {
    pub(super) version: i64,
    pub(super) born: Write,
    pub(super) fields: BTreeMap<String, Vec<Write>>,
    /// Additions of the elements that are present, by field and element.
    pub(super) additions: BTreeMap<(String, String), Vec<Write>>,
    pub(super) deleted: Option<Write>,
    /// Who brought it back last.
    pub(super) restored: Option<Write>,
}

impl History {
    pub(super) fn changes(&self, field: &str) -> impl Iterator<Item = &Write> {
        std::iter::once(&self.born).chain(self.fields.get(field).into_iter().flatten())
    }

    pub(super) fn base(&self, base: Option<i64>) -> Option<i64> {
        base.filter(|base| *base <= self.version)
    }

    pub(super) fn is_concurrent(&self, field: &str, base: Option<i64>, stream: StreamId) -> bool {
        let Some(base) = self.base(base) else { return true };
        self.changes(field).any(|w| w.version > base && w.writer != stream)
    }

    /// `noted` are fields that the server writes by itself.
    pub(super) fn is_row_concurrent(
        &self,
        base: Option<i64>,
        stream: StreamId,
        noted: &[&str],
    ) -> bool {
        let Some(base) = self.base(base) else { return true };
        let edited = self.fields.iter().filter(|(name, _)| !noted.contains(&name.as_str()));
        let all = std::iter::once(&self.born).chain(edited.flat_map(|(_, changes)| changes));
        all.chain(&self.deleted)
            .chain(&self.restored)
            .any(|w| w.version > base && w.writer != stream)
    }

    pub(super) fn is_seen(
        &self,
        field: &str,
        element: &str,
        base: Option<i64>,
        stream: StreamId,
    ) -> bool {
        let base = self.base(base).unwrap_or(0);
        let born = [self.born];
        let key = (field.to_owned(), element.to_owned());
        let additions = self.additions.get(&key).map_or(&born[..], Vec::as_slice);
        additions.iter().all(|w| w.writer == stream || w.version <= base)
    }

    /// From the server's own bookkeeping: for what the judge does not decide about.
    pub(super) fn taken_over(row: &Row) -> Self {
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
    pub(super) fn take_over(&mut self, before: Option<&Row>, after: &Row) {
        let told = Self::taken_over(after);
        (self.version, self.deleted) = (told.version, told.deleted);
        self.restored = told.restored.or(self.restored);
        for (name, value) in &after.fields {
            let old = before.and_then(|row| row.fields.get(name));
            // What housekeeping forgot of a deleted row, nobody has changed.
            if before.is_none() || old == Some(value) || after.emptied {
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

    pub(super) fn change(&mut self, field: &str, write: Write, old: &Json, new: &Json) {
        self.fields.entry(field.to_owned()).or_default().push(write);
        let (old, new) = (elements(old), elements(new));
        self.additions.retain(|key, _| key.0 != field || new.contains(&key.1));
        for element in new.difference(&old) {
            self.additions.insert((field.to_owned(), element.clone()), vec![write]);
        }
    }
}

pub(super) fn elements(json: &Json) -> BTreeSet<String> {
    let all = json.as_array().into_iter().flatten();
    all.filter_map(|element| element.as_str().map(str::to_owned)).collect()
}
