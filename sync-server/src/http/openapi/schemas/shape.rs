//! How a schema is written down: objects, texts and numbers with their limits.

use serde_json::{Map, Value as Json, json};

/// A schema and its name.
pub(super) type Named = (&'static str, Json);

/// An object with these members; those whose name ends in `?` may be missing.
pub(super) fn object(description: &str, members: &[(&str, Json)]) -> Json {
    let required: Vec<&str> =
        members.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('?')).collect();
    let properties: Map<String, Json> = members
        .iter()
        .map(|(name, schema)| (name.trim_end_matches('?').to_owned(), schema.clone()))
        .collect();
    json!({
        "type": "object", "description": description,
        "properties": properties, "required": required, "additionalProperties": false,
    })
}

/// Any text.
pub(in crate::http) fn text(description: &str) -> Json {
    json!({ "type": "string", "description": description })
}

/// A text of at most so many characters, without NUL.
pub(super) fn short_text(description: &str, chars_max: usize) -> Json {
    json!({ "type": "string", "maxLength": chars_max, "pattern": "^[^\\u0000]*$",
            "description": description })
}

/// A text of at most so many characters, without NUL, that is not empty or blank.
pub(super) fn written_text(description: &str, chars_max: usize) -> Json {
    json!({ "type": "string", "minLength": 1, "maxLength": chars_max,
            "pattern": "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$",
            "description": format!("{description}; 1 to {chars_max} characters, not only blanks") })
}

/// An id.
pub(super) fn uuid(description: &str) -> Json {
    json!({ "type": "string", "format": "uuid", "description": description })
}

/// An integer of 64 bits.
pub(in crate::http) fn integer(description: &str) -> Json {
    json!({ "type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX,
            "description": description })
}

/// An integer within these bounds.
pub(in crate::http) fn between(description: &str, min: usize, max: usize) -> Json {
    json!({ "type": "integer", "minimum": min, "maximum": max, "description": description })
}

/// A number.
pub(super) fn number(description: &str) -> Json {
    json!({ "type": "number", "description": description })
}

/// A moment.
pub(in crate::http) fn time_us(description: &str) -> Json {
    integer(&format!("{description}, in microseconds since 1970"))
}

/// True or false.
pub(super) fn boolean(description: &str) -> Json {
    json!({ "type": "boolean", "description": description })
}

/// One of these words.
pub(in crate::http) fn word(description: &str, words: &[&str]) -> Json {
    json!({ "type": "string", "enum": words, "description": description })
}

/// An array.
pub(in crate::http) fn list(of: Json) -> Json {
    json!({ "type": "array", "items": of })
}

/// An array of at most so many.
pub(super) fn short_list(of: Json, items_max: usize) -> Json {
    json!({ "type": "array", "items": of, "maxItems": items_max })
}

/// An object by names that are data.
pub(super) fn map(of: Json, description: &str) -> Json {
    json!({ "type": "object", "additionalProperties": of, "description": description })
}

/// An object by ids, with at most so many.
pub(super) fn by_id(of: Json, description: &str, members_max: usize) -> Json {
    json!({ "type": "object", "additionalProperties": of, "maxProperties": members_max,
            "propertyNames": { "type": "string", "format": "uuid" }, "description": description })
}

/// Any JSON.
pub(super) fn any(description: &str) -> Json {
    json!({ "description": description })
}

/// Another schema, by its name.
pub(super) fn to(schema: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// This, or null, which is the same as leaving it out.
pub(super) fn or_null(schema: Json) -> Json {
    json!({ "oneOf": [schema, { "type": "null" }] })
}
