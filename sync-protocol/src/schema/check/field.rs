//! Checks one field: whether what it declares fits its type.

use super::super::mistake::shown;
use super::super::names::{self, NameOf};
use super::super::parse::is_ordered;
use super::super::{Collection, Field, FieldType, MergeRule};
use super::Check;
use crate::limits;
use crate::value::Value;

/// Longest word of an `enum`, in characters.
const ENUM_WORD_CHARS_MAX: usize = 50;
/// Keys that make no sense on a column that the server fills from the parent's.
const NOT_FROM_PARENT: &[&str] = &["required", "default", "merge", "min", "max", "write", "read"];

impl<'a> Check<'a> {
    pub(super) fn field(&mut self, of: &'a Collection, field: &'a Field) {
        let at = |key: &'static str| ["collections", &of.name, "fields", &field.name, key];
        let name = &field.name;
        if let Some((what, remedy)) = names::problem(NameOf::Field, name) {
            self.wrong(&at("")[..4], what, remedy);
        }
        for (key, permission) in [("read", &field.read), ("write", &field.write)] {
            if let Some(permission) = permission {
                self.permission(&at(key), permission);
            }
        }
        if let FieldType::Enum { values } = &field.kind {
            self.enum_words(&at("values"), values);
        }
        self.merge_rule(&at("merge"), field);
        self.limits(of, field);
        self.default_value(&at("default"), field);
        if let Some(references) = &field.references {
            if field.kind != FieldType::Uuid {
                let what = format!("`{name}` refers to `{references}`, but is no UUID");
                self.wrong(&at("type"), what, "write `type = \"uuid\"`");
            }
            self.known_collection(&at("references"), references);
        }
        if field.from_parent {
            for key in NOT_FROM_PARENT {
                if self.places.has(&at(key)) {
                    let what = format!("`{name}` is taken from the parent, and so is its `{key}`");
                    self.wrong(&at(key), what, "remove it");
                }
            }
            return;
        }
        let without = if field.merge == MergeRule::Server {
            "devices may not write it"
        } else if field.read.is_some() || field.write.is_some() {
            "not everybody may write it"
        } else {
            return;
        };
        if field.required && field.default.is_none() {
            let what = format!("`{name}` is required, but {without}: they could insert no row");
            self.wrong(&at("required"), what, "add a `default`, or remove `required`");
        }
    }

    fn enum_words(&mut self, at: &[&str; 5], values: &[String]) {
        if values.is_empty() && !self.places.is_broken(at) {
            self.wrong(at, "an enum without words", "list at least one");
        }
        for (number, word) in values.iter().enumerate() {
            let number_text = number.to_string();
            let at = [at[0], at[1], at[2], at[3], at[4], &number_text];
            if values[..number].contains(word) {
                self.wrong(&at, format!("{} is there twice", shown(word)), "remove one");
            }
            let length = word.chars().count();
            let plain = word.trim() == word && !word.chars().any(char::is_control);
            if !plain || !(1..=ENUM_WORD_CHARS_MAX).contains(&length) {
                let remedy = format!(
                    "use 1 to {ENUM_WORD_CHARS_MAX} characters, no control characters, \
                     and no space at either end"
                );
                self.wrong(&at, format!("{} is no word for an enum", shown(word)), remedy);
            }
        }
    }

    fn merge_rule(&mut self, at: &[&str], field: &Field) {
        let (fits, rule, needed) = match field.merge {
            MergeRule::Counter => (
                matches!(field.kind, FieldType::Integer | FieldType::Decimal { .. }),
                "counter",
                "`integer` or `decimal`",
            ),
            MergeRule::Set => (field.kind == FieldType::Set, "set", "`set`"),
            MergeRule::Max | MergeRule::Min => (
                is_ordered(&field.kind),
                if field.merge == MergeRule::Max { "max" } else { "min" },
                "`integer`, `decimal`, `real`, `date` or `timestamp`",
            ),
            MergeRule::Lww | MergeRule::Immutable | MergeRule::Server | MergeRule::Review => return,
        };
        if !fits {
            let what = format!("the merge rule `{rule}` does not fit `{}`", field.name);
            self.wrong(at, what, format!("change the rule, or the type to {needed}"));
        }
    }

    fn limits(&mut self, of: &Collection, field: &Field) {
        let at = |key: &'static str| ["collections", &of.name, "fields", &field.name, key];
        for key in ["min", "max"] {
            if self.places.has(&at(key)) && !is_ordered(&field.kind) {
                let what = format!("`{}` has no order, and so no `{key}`", field.name);
                self.wrong(&at(key), what, "remove it");
            }
        }
        if let (Some(min), Some(max)) =
            (field.limit(field.min.as_ref()), field.limit(field.max.as_ref()))
            && min.compare(&max).is_some_and(std::cmp::Ordering::is_gt)
        {
            self.wrong(&at("min"), "`min` is above `max`", "swap them");
        }
        let Some(length) = field.max_length else { return };
        let most = match field.kind {
            FieldType::Text => limits::TEXT_CHARS_MAX,
            FieldType::Set => limits::SET_ELEMENT_CHARS_MAX,
            _ => {
                let what = format!("`{}` is no text, and so has no `max_length`", field.name);
                return self.wrong(&at("max_length"), what, "remove it");
            }
        };
        if length as usize > most {
            let what = format!("`max_length` is {length}");
            self.wrong(&at("max_length"), what, format!("at most {most} is possible"));
        }
    }

    /// The type was checked in parsing; here it is whether a default keeps the field's own limits.
    fn default_value(&mut self, at: &[&str], field: &Field) {
        let Some(json) = &field.default else { return };
        // On a counter, limits only raise flags; a default has to keep them all the same.
        let strict = Field { merge: MergeRule::Lww, ..field.clone() };
        if let Err(error) = Value::from_json(&strict, json) {
            self.wrong(at, format!("`default`: {error}"), "change the default or the limit");
        }
    }
}
