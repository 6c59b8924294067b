//! Values of fields in JSON: every type that a schema can declare, each tried on the same input.

use serde_json::Value as Json;
use sync_protocol::schema::Field;
use sync_protocol::value::{ValueError, fields_to_json};
use sync_protocol::{Fields, Value};

use super::samples::SCHEMA;
use crate::Target;

/// The target.
pub(super) const TARGET: Target = Target { name: "values", input_bytes_max: 1024, run };

const CODES: &[&str] = &[
    "wrong_type",
    "too_long",
    "too_many_elements",
    "nul_character",
    "out_of_range",
    "too_deep",
    "field_required",
];

fn run(input: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Json>(input) else { return };
    for collection in SCHEMA.collections.values() {
        collection.fields.iter().for_each(|field| is_read_as(field, &json));
    }
}

fn is_read_as(field: &Field, json: &Json) {
    let value = match Value::from_json(field, json) {
        Ok(value) => value,
        Err(error) => return is_documented(field, &error),
    };
    let canonical = value.to_json(&field.kind);
    match Value::from_json(field, &canonical) {
        // As text: JSON's numbers are equal where their zeros have other signs.
        Ok(again) => assert_eq!(
            again.to_json(&field.kind).to_string(),
            canonical.to_string(),
            "`{}` changes each time it is written",
            field.name
        ),
        Err(error) => panic!("the canonical form of {json} is refused: {error}"),
    }
    assert_eq!(Value::from_json(field, &canonical).ok().as_ref(), Some(&value), "{json}");
    let row = Fields::from([(field.name.clone(), value)]);
    let written = fields_to_json(std::slice::from_ref(field), &row);
    assert_eq!(written.get(&field.name), Some(&canonical));
}

fn is_documented(field: &Field, error: &ValueError) {
    assert!(CODES.contains(&error.code()), "{}: {error}", error.code());
    assert_eq!(error.field(), field.name, "the error points elsewhere");
    assert!(!error.title().is_empty() && error.to_string().len() < 10_000, "{error}");
}
