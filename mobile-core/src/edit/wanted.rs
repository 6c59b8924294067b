//! From the JSON that an app gives to the content of a mutation: checks and differences. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::{Collection, Field, MergeRule};
use sync_protocol::value::{Limit, ValueError, check_element};
use sync_protocol::wire::push::{ElementsEdit, Mutation};
use sync_protocol::{Fields, Value, limits};

use super::is_same;
use crate::CoreError;
use crate::view::difference_to_json;

/// The content of an insertion, in canonical JSON.
///
/// # Errors
/// Says which field is wrong and how.
pub fn insertion(
    collection: &Collection,
    permissions: &BTreeSet<String>,
    wanted: &Map<String, Json>,
) -> Result<Map<String, Json>, CoreError> {
    let mut set = Map::new();
    for (name, json) in wanted {
        let field = writable(collection, permissions, name)?;
        let value = Value::from_json(field, json)?;
        set.insert(name.clone(), value.to_json(&field.kind));
    }
    for field in collection.fields.iter().filter(|f| f.required) {
        let filled_by_server = field.merge == MergeRule::Server || field.from_parent;
        let null = set.get(&field.name).map_or(field.default.is_none(), Json::is_null);
        if null && !filled_by_server {
            return Err(ValueError::Required { field: field.name.clone() }.into());
        }
    }
    Ok(set)
}

/// The content of an update of a row that the author sees as `row`. What changes nothing is left out.
///
/// # Errors
/// Says which field is wrong and how.
pub fn update(
    collection: &Collection,
    permissions: &BTreeSet<String>,
    row: &Fields,
    wanted: &Map<String, Json>,
    mutation: &mut Mutation,
) -> Result<(), CoreError> {
    for (name, json) in wanted {
        let field = writable(collection, permissions, name)?;
        match (field.merge, json) {
            (MergeRule::Counter, Json::Object(change)) => {
                let units = counter_change(field, change)?;
                if units != 0 {
                    mutation.add.insert(name.clone(), difference_to_json(&field.kind, units));
                }
            }
            (MergeRule::Counter, json) => {
                let value = required(field, Value::from_json(field, json)?)?;
                let seen = row.get(name).and_then(Value::units);
                let seen = seen.filter(|_| !planted::is(Bug::CounterSetAddsAll)).unwrap_or(0);
                let Some(units) = value.units().unwrap_or(0).checked_sub(seen) else {
                    return Err(overflow(field));
                };
                if units != 0 {
                    mutation.add.insert(name.clone(), difference_to_json(&field.kind, units));
                }
            }
            (MergeRule::Set, Json::Object(change)) => {
                let edit = elements_change(field, change)?;
                note_elements(name, row, edit.add, edit.remove, mutation);
            }
            (MergeRule::Set, json) => {
                let value = required(field, Value::from_json(field, json)?)?;
                let wanted = elements(&value);
                let seen = row.get(name).map(elements).unwrap_or_default();
                let add = wanted.difference(&seen).cloned().collect();
                let remove = seen.difference(&wanted).cloned().collect();
                note_elements(name, row, add, remove, mutation);
            }
            (_, json) => {
                let value = required(field, Value::from_json(field, json)?)?;
                if !is_same(row, name, &value) {
                    mutation.set.insert(name.clone(), value.to_json(&field.kind));
                }
            }
        }
    }
    Ok(())
}

fn note_elements(
    name: &str,
    row: &Fields,
    mut add: Vec<String>,
    mut remove: Vec<String>,
    mutation: &mut Mutation,
) {
    let seen = row.get(name).map(elements).unwrap_or_default();
    // An element that is there already is not added again: the author changed nothing.
    add.retain(|element| !seen.contains(element));
    remove.retain(|element| seen.contains(element) && !add.contains(element));
    if !add.is_empty() || !remove.is_empty() {
        mutation.elements.insert(name.to_owned(), ElementsEdit { add, remove });
    }
}

fn elements(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Set(elements) => elements.clone(),
        _ => BTreeSet::new(),
    }
}

fn counter_change(field: &Field, change: &Map<String, Json>) -> Result<i64, CoreError> {
    match (change.get("add"), change.len()) {
        (Some(difference), 1) if !difference.is_null() => {
            Ok(Value::difference_from_json(field, difference)?)
        }
        _ => Err(CoreError::BadRequest(format!(
            "`{}` is a counter: give a value, or a difference such as {{\"add\": -3}}",
            field.name
        ))),
    }
}

fn elements_change(field: &Field, change: &Map<String, Json>) -> Result<ElementsEdit, CoreError> {
    let edit: ElementsEdit =
        serde_json::from_value(Json::Object(change.clone())).map_err(|_| {
            CoreError::BadRequest(format!(
                "`{}` is a set: give an array, or changes such as {{\"add\": [\"a\"], \"remove\": [\"b\"]}}",
                field.name
            ))
        })?;
    let max = field.max_length.map_or(limits::SET_ELEMENT_CHARS_MAX, |max| max as usize);
    for element in &edit.add {
        check_element(field, element, max)?;
    }
    Ok(edit)
}

fn required(field: &Field, value: Value) -> Result<Value, CoreError> {
    if value.is_null() && field.required {
        return Err(ValueError::Required { field: field.name.clone() }.into());
    }
    Ok(value)
}

fn overflow(field: &Field) -> CoreError {
    ValueError::OutOfLimits {
        field: field.name.clone(),
        limit: Limit::Range,
        problem: "differs too much from the present value".to_owned(),
    }
    .into()
}

fn writable<'c>(
    collection: &'c Collection,
    permissions: &BTreeSet<String>,
    name: &str,
) -> Result<&'c Field, CoreError> {
    let Some(field) = collection.field(name) else {
        let known: Vec<&str> = collection.fields.iter().map(|f| f.name.as_str()).collect();
        return Err(CoreError::UnknownField {
            collection: collection.name.clone(),
            field: name.to_owned(),
            known: known.join(", "),
        });
    };
    if field.merge == MergeRule::Server || field.from_parent {
        return Err(CoreError::FieldReadOnly {
            collection: collection.name.clone(),
            field: name.to_owned(),
        });
    }
    match &field.write {
        Some(permission) if !permissions.contains(permission) => {
            Err(CoreError::NotPermitted(permission.clone()))
        }
        _ => Ok(field),
    }
}
