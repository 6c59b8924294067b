//! A row's content in canonical JSON, as a tombstone keeps it.

use sync_protocol::schema::{Collection, FieldType};

use super::super::quote::{ident, literal};

/// PostgreSQL takes at most 100 arguments in a call: pairs of name and value per call.
const OBJECT_PAIRS_MAX: usize = 40;

/// The content of `n` in canonical JSON.
pub(super) fn content(collection: &Collection) -> String {
    let pairs: Vec<(String, String)> = collection
        .fields
        .iter()
        .map(|field| {
            let column = format!("n.{}", ident(&field.name));
            let value = match &field.kind {
                FieldType::Integer | FieldType::Decimal { .. } | FieldType::Uuid => {
                    format!("{column}::text")
                }
                FieldType::Date => format!("to_char({column}, 'YYYY-MM-DD')"),
                FieldType::Timestamp => format!(
                    "to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
                ),
                FieldType::Set => format!("sync.set_json({column})"),
                FieldType::Text
                | FieldType::Enum { .. }
                | FieldType::Real
                | FieldType::Boolean
                | FieldType::Json => column,
            };
            (literal(&field.name), value)
        })
        .collect();
    object(&pairs)
}

/// A JSON object of any number of pairs.
fn object(pairs: &[(String, String)]) -> String {
    let calls: Vec<String> = pairs
        .chunks(OBJECT_PAIRS_MAX)
        .map(|chunk| {
            let arguments: Vec<String> =
                chunk.iter().map(|(name, value)| format!("{name}, {value}")).collect();
            format!("jsonb_build_object({})", arguments.join(", "))
        })
        .collect();
    if calls.is_empty() { "'{}'::jsonb".to_owned() } else { calls.join(" || ") }
}
