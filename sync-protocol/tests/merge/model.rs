//! One row on a server, and phones that edit against what they last saw of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sync_protocol::merge::{FieldEdit, FieldMerge, RowMeta, Verdict, merge_field};
use sync_protocol::schema::{Field, FieldType, MergeRule};
use sync_protocol::{EditTime, Fields, RowVersion, StreamId, Value};
use uuid::Uuid;

pub fn stream(n: u8) -> StreamId {
    StreamId(Uuid::from_u128(u128::from(n) + 1))
}

pub fn texts(elements: &[&str]) -> BTreeSet<String> {
    elements.iter().map(|element| (*element).to_owned()).collect()
}

pub fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// A field of this rule, of a type that goes with it.
pub fn field(rule: MergeRule) -> Field {
    let kind = match rule {
        MergeRule::Counter | MergeRule::Max | MergeRule::Min => FieldType::Integer,
        MergeRule::Set => FieldType::Set,
        _ => FieldType::Text,
    };
    Field {
        name: format!("{rule:?}").to_lowercase(),
        kind,
        required: false,
        default: None,
        merge: rule,
        references: None,
        max_length: None,
        min: None,
        max: None,
        from_parent: false,
        read: None,
        write: None,
    }
}

/// An edit of one field on its way to the server.
#[derive(Debug, Clone)]
pub struct Edit {
    pub field: Field,
    pub edit: FieldEdit,
    pub base: Option<RowVersion>,
    pub stream: StreamId,
    pub time: EditTime,
}

/// The row as the server has it.
#[derive(Debug, Clone)]
pub struct Row {
    pub fields: Fields,
    pub meta: RowMeta,
    /// Every change of each field: at which version and by whom. The merge keeps much less.
    pub log: BTreeMap<String, Vec<(RowVersion, StreamId)>>,
}

impl Row {
    /// A row that the office has inserted, with these values.
    pub fn inserted(values: impl IntoIterator<Item = (MergeRule, Value)>) -> Self {
        let fields: Fields =
            values.into_iter().map(|(rule, value)| (field(rule).name, value)).collect();
        let log = fields.keys().map(|name| (name.clone(), vec![(1, StreamId::SQL)])).collect();
        let meta = RowMeta::inserted(StreamId::SQL, EditTime::certain(0));
        Self { fields, meta, log }
    }

    pub fn value(&self, rule: MergeRule) -> &Value {
        self.fields.get(&field(rule).name).unwrap_or(&Value::Null)
    }

    /// Whether the whole history knows a change after `base` by another stream.
    pub fn was_changed_by_others(&self, name: &str, base: RowVersion, stream: StreamId) -> bool {
        self.log.get(name).is_some_and(|log| log.iter().any(|(v, w)| *v > base && *w != stream))
    }

    pub fn decide(&self, edit: &Edit) -> FieldMerge {
        let current = self.fields.get(&edit.field.name).unwrap_or(&Value::Null);
        let who = (edit.stream, edit.time);
        merge_field(&edit.field, current, &self.meta, edit.edit.clone(), edit.base, who, false)
    }

    pub fn apply(&mut self, edit: &Edit) -> Verdict {
        let FieldMerge { write, touched, verdict } = self.decide(edit);
        if write.is_none() && touched.is_empty() {
            return verdict;
        }
        let name = edit.field.name.as_str();
        let old = self.fields.get(name).cloned().unwrap_or(Value::Null);
        let changed = write.iter().map(|new| (name, &old, new));
        let touched = touched.iter().map(|element| (name, element.as_str()));
        self.meta.record_update(changed, touched, edit.stream, edit.time);
        if let Some(new) = write {
            self.fields.insert(name.to_owned(), new);
            let change = (self.meta.version, edit.stream);
            self.log.entry(name.to_owned()).or_default().push(change);
        }
        verdict
    }
}

/// A phone: what it saw, and edits that wait.
#[derive(Debug)]
pub struct Phone {
    pub stream: StreamId,
    pub seen: RowVersion,
    pub queue: VecDeque<Edit>,
}

impl Phone {
    pub fn new(n: u8) -> Self {
        Self { stream: stream(n), seen: 1, queue: VecDeque::new() }
    }

    /// Makes an edit; while one of the field waits, a later one inherits its base.
    pub fn edit(&mut self, rule: MergeRule, edit: FieldEdit, time: EditTime) -> Edit {
        let field = field(rule);
        let pending = self.queue.iter().find(|waiting| waiting.field.name == field.name);
        let base = pending.map_or(Some(self.seen), |waiting| waiting.base);
        let edit = Edit { field, edit, base, stream: self.stream, time };
        self.queue.push_back(edit.clone());
        edit
    }
}
