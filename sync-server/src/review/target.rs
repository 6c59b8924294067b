//! What a decision writes. Pure.

use serde_json::{Map, Value as Json};
use sync_protocol::limits::DECIMAL_UNITS_MAX;
use sync_protocol::problem::Problem;
use sync_protocol::schema::{Collection, Field, FieldType, MergeRule};
use sync_protocol::value::ValueError;
use sync_protocol::wire::review::{Conflict, Keep};
use sync_protocol::{EditTime, Fields, Value};

use crate::push::composed;
use crate::store::{RowWrite, StoredRow, WriteKind};

/// The write that a decision makes, if any.
pub(super) fn write_for(
    collection: &Collection,
    conflict: &Conflict,
    row: &StoredRow,
    keep: &Keep,
    time: EditTime,
) -> Result<Option<RowWrite>, Problem> {
    let Some(wanted) = wanted(conflict, keep)? else { return Ok(None) };
    let deleted = row.meta.deleted.is_some();
    if conflict.field.is_none() && wanted == "deleted" {
        let delete = RowWrite {
            record: conflict.record,
            kind: WriteKind::Delete,
            set: Fields::new(),
            touched: Vec::new(),
            time,
        };
        return Ok((!deleted).then_some(delete));
    }
    let mut set = match &conflict.field {
        Some(name) => {
            let field = collection.field(name).ok_or_else(|| gone(name))?;
            Fields::from([(name.clone(), value(field, wanted)?)])
        }
        None => fields(collection, row, wanted.as_object().ok_or_else(no_object)?)?,
    };
    set.retain(|name, value| row.fields.get(name) != Some(value));
    let kind = if deleted { WriteKind::Restore } else { WriteKind::Update };
    if kind == WriteKind::Update && set.is_empty() {
        return Ok(None);
    }
    Ok(Some(RowWrite { record: conflict.record, kind, set, touched: Vec::new(), time }))
}

/// The fields of the record that a decision makes, if it makes any.
pub(super) fn made(
    collection: &Collection,
    conflict: &Conflict,
    keep: &Keep,
) -> Result<Option<Map<String, Json>>, Problem> {
    match keep {
        Keep::Server => Ok(None),
        Keep::Value(value) if value == "deleted" => Ok(None),
        Keep::Value(value) => Ok(Some(value.as_object().ok_or_else(no_object)?.clone())),
        Keep::Candidate(receipt) => {
            // The last word of a transaction has what came before it.
            let kept = conflict.candidates.iter().rposition(|c| c.receipt == *receipt);
            let kept = kept.ok_or_else(unknown_candidate)?;
            let edits = conflict.candidates[..=kept].iter().map(|candidate| &candidate.value);
            composed(collection, edits).map_err(|problem| *problem)
        }
    }
}

fn unknown_candidate() -> Problem {
    Problem::new(422, "unknown_candidate", "There is no such candidate")
        .detail("name the receipt of one of the conflict's candidates")
}

/// What is to be in force; none for what the server has.
fn wanted<'a>(conflict: &'a Conflict, keep: &'a Keep) -> Result<Option<&'a Json>, Problem> {
    match keep {
        Keep::Server => Ok(None),
        Keep::Value(value) => Ok(Some(value)),
        Keep::Candidate(receipt) => {
            let candidate = conflict.candidates.iter().find(|c| c.receipt == *receipt);
            candidate.map(|candidate| Some(&candidate.value)).ok_or_else(unknown_candidate)
        }
    }
}

/// The write that takes a decision back, from what was in force before it.
pub(super) fn write_back(
    collection: &Collection,
    conflict: &Conflict,
    row: &StoredRow,
    previous: &Json,
    time: EditTime,
) -> Result<Option<RowWrite>, Problem> {
    write_for(collection, conflict, row, &Keep::Value(previous.clone()), time)
}

/// What is in force now, for [`write_back`].
pub(super) fn in_force(collection: &Collection, conflict: &Conflict, row: &StoredRow) -> Json {
    match &conflict.field {
        Some(name) => match (collection.field(name), row.fields.get(name)) {
            (Some(field), Some(value)) => value.to_json(&field.kind),
            _ => Json::Null,
        },
        None if row.meta.deleted.is_some() => Json::from("deleted"),
        None => {
            let mut fields = crate::push::row_in_json(collection, &row.fields);
            fields.retain(|name, _| collection.field(name).is_some_and(|f| !f.from_parent));
            Json::Object(fields)
        }
    }
}

fn value(field: &Field, json: &Json) -> Result<Value, Problem> {
    let value = Value::from_json(field, json).and_then(|value| {
        if value.is_null() && field.required {
            return Err(ValueError::Required { field: field.name.clone() });
        }
        Ok(value)
    });
    value.map_err(|error| Problem::new(422, error.code(), error.title()).detail(error.to_string()))
}

/// Values for a row from an edit as a candidate keeps it: plain values, differences of counters,
/// elements of sets.
fn fields(
    collection: &Collection,
    row: &StoredRow,
    edit: &Map<String, Json>,
) -> Result<Fields, Problem> {
    let mut set = Fields::new();
    for (name, json) in edit {
        let field = collection.field(name).ok_or_else(|| gone(name))?;
        let present = row.fields.get(name).unwrap_or(&Value::Null);
        let new = match (field.merge, json) {
            (MergeRule::Counter, Json::Object(difference)) => {
                let add = difference.get("add").unwrap_or(&Json::Null);
                let add = Value::difference_from_json(field, add).map_err(|error| {
                    Problem::new(422, error.code(), error.title()).detail(error.to_string())
                })?;
                let sum = present.units().unwrap_or(0).checked_add(add);
                let decimal = matches!(field.kind, FieldType::Decimal { .. });
                let sum = sum.filter(|sum| !decimal || sum.abs() <= DECIMAL_UNITS_MAX);
                let sum = sum.ok_or_else(|| {
                    Problem::new(422, "out_of_range", "The result does not fit the field")
                        .detail(format!("`{name}` would become too large"))
                })?;
                if decimal { Value::Decimal(sum) } else { Value::Integer(sum) }
            }
            (MergeRule::Set, Json::Object(elements)) => {
                let texts = |name: &str| {
                    let list = elements.get(name).and_then(Json::as_array);
                    list.into_iter().flatten().filter_map(|e| e.as_str().map(str::to_owned))
                };
                let mut after = match present {
                    Value::Set(present) => present.clone(),
                    _ => Default::default(),
                };
                for gone in texts("remove") {
                    after.remove(&gone);
                }
                after.extend(texts("add"));
                value(field, &after.into_iter().collect())?
            }
            _ => value(field, json)?,
        };
        set.insert(name.clone(), new);
    }
    Ok(set)
}

fn gone(field: &str) -> Problem {
    Problem::new(422, "unknown_field", "The field does not exist any more")
        .detail(format!("`{field}` is not declared; keep the server's value"))
}

fn no_object() -> Problem {
    Problem::new(422, "wrong_type", "A row is decided by an object of fields")
        .detail("give the fields that are to be set, or \"deleted\"")
}
