//! What an author wants of a record that is not there yet, from one edit to the next.
//!
//! Nobody else has changed such a record, so each edit goes on from the one before, by the fields' merge rules.

use serde_json::{Map, Value as Json};
use sync_protocol::merge::{FieldEdit, RowMeta, Verdict, merge_field};
use sync_protocol::problem::{Location, Problem};
use sync_protocol::schema::{Collection, Field, MergeRule};
use sync_protocol::{EditTime, StreamId, Value};
use uuid::Uuid;

/// A field after an edit of its author's.
///
/// # Errors
/// `immutable_field` and `out_of_range`, as of a record that is there.
pub(super) fn after(
    collection: &Collection,
    field: &Field,
    before: &Value,
    edit: FieldEdit,
) -> Result<Value, Box<Problem>> {
    // All of one hand, which has seen everything: nothing is concurrent, and no time decides.
    let (hand, time) = (StreamId(Uuid::from_u128(1)), EditTime::certain(0));
    let meta = RowMeta::inserted(hand, time);
    let merged = merge_field(field, before, &meta, edit, Some(meta.version), (hand, time), false);
    match merged.verdict {
        Verdict::Immutable => Err(immutable(collection, field)),
        Verdict::Overflow => Err(overflow(field)),
        _ => Ok(merged.write.unwrap_or_else(|| before.clone())),
    }
}

/// The fields that come of an author's candidates, the insertion first; none if the last one deletes it.
///
/// # Errors
/// `unknown_field` and `wrong_type` where the schema has changed since; as [`after`].
pub(crate) fn composed<'a>(
    collection: &Collection,
    mut candidates: impl Iterator<Item = &'a Json>,
) -> Result<Option<Map<String, Json>>, Box<Problem>> {
    let Some(Json::Object(mut fields)) = candidates.next().cloned() else { return Ok(None) };
    for candidate in candidates {
        let Json::Object(edits) = candidate else { return Ok(None) };
        for (name, json) in edits {
            let field = collection.field(name).ok_or_else(|| {
                Problem::new(422, "unknown_field", "The field does not exist any more")
                    .detail(format!("`{name}` is not declared; give a value of your own"))
            })?;
            let before = match fields.get(name) {
                Some(json) => read(field, json)?,
                None => field.default_value(),
            };
            let after = after(collection, field, &before, edit(field, json)?)?;
            fields.insert(name.clone(), after.to_json(&field.kind));
        }
    }
    Ok(Some(fields))
}

/// An edit of a field as a candidate has it.
fn edit(field: &Field, json: &Json) -> Result<FieldEdit, Box<Problem>> {
    Ok(match (field.merge, json) {
        (MergeRule::Counter, Json::Object(difference)) => {
            let add = difference.get("add").unwrap_or(&Json::Null);
            let add = Value::difference_from_json(field, add);
            FieldEdit::Add(add.map_err(|error| {
                Box::new(Problem::new(422, error.code(), error.title()).detail(error.to_string()))
            })?)
        }
        (MergeRule::Set, Json::Object(elements)) => {
            let texts = |name: &str| {
                let list = elements.get(name).and_then(Json::as_array);
                let list = list.into_iter().flatten();
                list.filter_map(|element| element.as_str().map(str::to_owned)).collect()
            };
            FieldEdit::Elements { add: texts("add"), remove: texts("remove") }
        }
        _ => FieldEdit::Set(read(field, json)?),
    })
}

/// A value of the field's type; its limits are for who keeps it to look at.
fn read(field: &Field, json: &Json) -> Result<Value, Box<Problem>> {
    Value::read(field, json).map_err(|error| {
        Box::new(Problem::new(422, error.code(), error.title()).detail(error.to_string()))
    })
}

/// The refusal of another value for a field that is set once.
pub(super) fn immutable(collection: &Collection, field: &Field) -> Box<Problem> {
    let at = Location { field: Some(field.name.clone()), ..Location::default() };
    Box::new(
        Problem::new(422, "immutable_field", "This field was set before and stays")
            .detail(format!("`{}.{}` is set once", collection.name, field.name))
            .at(at),
    )
}

/// The refusal of a sum that its field does not hold.
pub(super) fn overflow(field: &Field) -> Box<Problem> {
    let at = Location { field: Some(field.name.clone()), ..Location::default() };
    Box::new(
        Problem::new(422, "out_of_range", "The result does not fit the field")
            .detail(format!("`{}` would become too large", field.name))
            .at(at),
    )
}
