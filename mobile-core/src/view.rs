//! What the app sees of a row: the server's state with the edits that are not settled on top.
//!
//! A pure function of both, computed anew whenever either changes. Its rules are simpler than the
//! server's merge: the author goes on seeing their own value until the server's outcome arrives
//! with a checkpoint, whichever way it went.
//!
//! | edit | on the server's row |
//! |---|---|
//! | insert | the row with the edit's values; on a row that is there already, its values over it |
//! | set a field | the value |
//! | add to a counter | the server's value and the difference, so that others' sales show at once |
//! | elements of a set | the server's elements without those removed, with those added |
//! | delete | gone |
//! | restore | what a delete before it in the outbox took away; otherwise it comes with the pull |
//! | update of a row that is not there | nothing: it shows under problems or comes with the pull |

use std::collections::BTreeSet;

use sync_protocol::schema::{Collection, Field, FieldType};
use sync_protocol::value::{format_decimal, parse_date, parse_decimal, parse_timestamp};
use sync_protocol::wire::push::{Mutation, MutationKind};
use sync_protocol::{Fields, Value};

/// What the app sees: `None` when there is no row.
#[must_use]
pub fn view<'a>(
    collection: &Collection,
    server: Option<&Fields>,
    pending: impl IntoIterator<Item = &'a Mutation>,
) -> Option<Fields> {
    let mut row = server.cloned();
    let mut deleted = None;
    for mutation in pending {
        match mutation.kind {
            MutationKind::Insert => {
                let mut fields = row.unwrap_or_else(|| empty(collection));
                apply(collection, &mut fields, mutation);
                row = Some(fields);
            }
            MutationKind::Update => {
                if let Some(fields) = &mut row {
                    apply(collection, fields, mutation);
                }
            }
            MutationKind::Delete => deleted = row.take().or(deleted),
            MutationKind::Restore => row = row.or_else(|| deleted.take()),
        }
    }
    row
}

fn empty(collection: &Collection) -> Fields {
    collection.fields.iter().map(|f| (f.name.clone(), Value::Null)).collect()
}

/// Fields that the schema no longer has are skipped: their edits stay in the outbox.
fn apply(collection: &Collection, row: &mut Fields, mutation: &Mutation) {
    for (name, json) in &mutation.set {
        if let Some(field) = collection.field(name)
            && let Some(value) = stored_value(&field.kind, json)
        {
            row.insert(name.clone(), value);
        }
    }
    for (name, json) in &mutation.add {
        let Some(field) = collection.field(name) else { continue };
        let Some(difference) = difference(field, json) else { continue };
        let before = row.get(name).and_then(Value::units).unwrap_or(0);
        let sum = before.saturating_add(difference);
        let value = match field.kind {
            FieldType::Decimal { .. } => Value::Decimal(sum),
            _ => Value::Integer(sum),
        };
        row.insert(name.clone(), value);
    }
    for (name, edit) in &mutation.elements {
        if collection.field(name).is_none() {
            continue;
        }
        let mut elements = match row.get(name) {
            Some(Value::Set(elements)) => elements.clone(),
            _ => BTreeSet::new(),
        };
        elements.retain(|element| !edit.remove.contains(element));
        elements.extend(edit.add.iter().cloned());
        row.insert(name.clone(), Value::Set(elements));
    }
}

fn difference(field: &Field, json: &serde_json::Value) -> Option<i64> {
    stored_value(&field.kind, json)?.units()
}

/// Reads canonical JSON that was checked when it was written. Limits are not checked again: what
/// the server or an earlier schema let in must stay readable.
#[must_use]
pub fn stored_value(kind: &FieldType, json: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    if json.is_null() {
        return Some(Value::Null);
    }
    Some(match kind {
        FieldType::Text | FieldType::Enum { .. } => Value::Text(json.as_str()?.to_owned()),
        FieldType::Integer => Value::Integer(match json {
            Json::String(text) => text.parse().ok()?,
            _ => json.as_i64()?,
        }),
        FieldType::Decimal { scale } => Value::Decimal(match json {
            Json::String(text) => parse_decimal(text, *scale)?,
            _ => parse_decimal(&json.to_string(), *scale)?,
        }),
        FieldType::Real => Value::Real(json.as_f64()?),
        FieldType::Boolean => Value::Boolean(json.as_bool()?),
        FieldType::Date => Value::Date(parse_date(json.as_str()?)?),
        FieldType::Timestamp => Value::Timestamp(parse_timestamp(json.as_str()?)?),
        FieldType::Uuid => Value::Uuid(json.as_str()?.parse().ok()?),
        FieldType::Set => {
            let elements = json.as_array()?.iter().map(|e| e.as_str().map(str::to_owned));
            Value::Set(elements.collect::<Option<_>>()?)
        }
        FieldType::Json => Value::Json(json.clone()),
    })
}

/// Writes a difference of a counter in the field's canonical form.
#[must_use]
pub fn difference_to_json(kind: &FieldType, units: i64) -> serde_json::Value {
    match kind {
        FieldType::Decimal { scale } => format_decimal(units, *scale).into(),
        kind => Value::Integer(units).to_json(kind),
    }
}
