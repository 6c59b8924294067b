//! Reads one field of a collection.

use serde_json::Value as Json;
use toml_span::Value as Toml;
use toml_span::value::ValueInner;

use super::super::mistake::{Path, did_you_mean, shown};
use super::super::{Field, FieldType, MergeRule};
use super::reader::{Reader, Section};
use crate::limits;
use crate::value::Value;

const FIELD_KEYS: &[&str] = &[
    "type",
    "scale",
    "values",
    "required",
    "default",
    "merge",
    "references",
    "max_length",
    "min",
    "max",
    "from_parent",
    "read",
    "write",
];
const TYPES: &[&str] = &[
    "text",
    "integer",
    "decimal",
    "real",
    "boolean",
    "date",
    "timestamp",
    "uuid",
    "enum",
    "set",
    "json",
];

/// Reads a field. One without an understandable type is left out, and its path marked broken.
pub(super) fn field(
    reader: &mut Reader<'_>,
    name: &str,
    value: &Toml<'_>,
    at: Path,
) -> Option<Field> {
    let section = reader.section(value, at, FIELD_KEYS)?;
    let kind = kind(reader, &section);
    let merge_words = [
        ("lww", MergeRule::Lww),
        ("counter", MergeRule::Counter),
        ("set", MergeRule::Set),
        ("max", MergeRule::Max),
        ("min", MergeRule::Min),
        ("immutable", MergeRule::Immutable),
        ("server", MergeRule::Server),
        ("review", MergeRule::Review),
    ];
    let merge = reader.word(&section, "merge", &merge_words);
    let mut field = Field {
        name: name.to_owned(),
        required: reader.boolean(&section, "required").unwrap_or_default(),
        default: None,
        merge: match &kind {
            // Without being told otherwise, two people's additions to a set are both kept.
            Some(FieldType::Set) => merge.unwrap_or(MergeRule::Set),
            _ => merge.unwrap_or_default(),
        },
        references: reader.text(&section, "references"),
        max_length: reader.integer(&section, "max_length", 1, u32::MAX),
        min: None,
        max: None,
        from_parent: reader.boolean(&section, "from_parent").unwrap_or_default(),
        read: reader.text(&section, "read"),
        write: reader.text(&section, "write"),
        kind: kind?,
    };
    // Each is read by the type alone; whether a default keeps the limits is checked later.
    let bare = Field { max_length: None, min: None, max: None, ..field.clone() };
    field.default = canonical(reader, &section, "default", &bare);
    if is_ordered(&field.kind) {
        field.min = canonical(reader, &section, "min", &bare);
        field.max = canonical(reader, &section, "max", &bare);
    }
    Some(field)
}

/// Whether values of a type have an order, which limits and the rules `max` and `min` need.
pub(in super::super) fn is_ordered(kind: &FieldType) -> bool {
    matches!(
        kind,
        FieldType::Integer
            | FieldType::Decimal { .. }
            | FieldType::Real
            | FieldType::Date
            | FieldType::Timestamp
    )
}

fn kind(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<FieldType> {
    reader.needs(section, "type", &format!("write one of {}", TYPES.join(", ")));
    let word = reader.text(section, "type")?;
    for (key, only) in [("scale", "decimal"), ("values", "enum")] {
        if section.get(key).is_some() && word != only && TYPES.contains(&&*word) {
            let what = format!("`{key}` belongs to the type `{only}`, not to `{word}`");
            reader.wrong(&section.at(key), what, "remove it, or change the type");
        }
    }
    Some(match word.as_str() {
        "text" => FieldType::Text,
        "integer" => FieldType::Integer,
        "decimal" => {
            reader.needs(section, "scale", "say how many digits follow the point: `scale = 2`");
            let most = u32::from(limits::DECIMAL_SCALE_MAX);
            let scale = reader.integer(section, "scale", 0, most)?;
            FieldType::Decimal { scale: u8::try_from(scale).ok()? }
        }
        "real" => FieldType::Real,
        "boolean" => FieldType::Boolean,
        "date" => FieldType::Date,
        "timestamp" => FieldType::Timestamp,
        "uuid" => FieldType::Uuid,
        "enum" => {
            reader.needs(section, "values", "list the words: `values = [\"…\", \"…\"]`");
            FieldType::Enum { values: reader.texts(section, "values")? }
        }
        "set" => FieldType::Set,
        "json" => FieldType::Json,
        _ => {
            let remedy = did_you_mean(&word, TYPES.iter().copied(), "the types");
            reader.wrong(&section.at("type"), format!("unknown type {}", shown(&word)), remedy);
            return None;
        }
    })
}

/// The value of a key in the field's canonical JSON.
fn canonical(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &str,
    field: &Field,
) -> Option<Json> {
    let value = section.get(key)?;
    let read = match json(value) {
        Some(json) => Value::from_json(field, &json).map_err(|error| error.to_string()),
        None => Err(format!("`{}` must be a finite number", field.name)),
    };
    match read {
        Ok(value) => Some(value.to_json(&field.kind)),
        Err(error) => {
            let remedy = format!("change `{key}` or the type");
            reader.wrong(&section.at(key), format!("`{key}` does not fit: {error}"), remedy);
            None
        }
    }
}

/// TOML as JSON; `None` where it holds a number that JSON does not have.
///
/// Recursion is bounded: the TOML parser refuses more than 128 levels.
fn json(value: &Toml<'_>) -> Option<Json> {
    Some(match value.as_ref() {
        ValueInner::String(text) => Json::from(text.as_ref()),
        ValueInner::Integer(integer) => Json::from(*integer),
        ValueInner::Float(float) => Json::Number(serde_json::Number::from_f64(*float)?),
        ValueInner::Boolean(boolean) => Json::from(*boolean),
        ValueInner::Array(array) => Json::Array(array.iter().map(json).collect::<Option<_>>()?),
        ValueInner::Table(table) => {
            let entries = table.iter().map(|(key, v)| Some((key.name.to_string(), json(v)?)));
            Json::Object(entries.collect::<Option<_>>()?)
        }
    })
}
