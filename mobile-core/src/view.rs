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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn collection() -> Collection {
        serde_json::from_value(json!({
            "name": "articulos", "vertical": "almacen", "scopes": [], "read": "r", "write": "w",
            "fields": [
                { "name": "nombre", "type": { "name": "text" } },
                { "name": "existencia", "type": { "name": "decimal", "scale": 2 }, "merge": "counter" },
                { "name": "etiquetas", "type": { "name": "set" }, "merge": "set" },
            ]
        }))
        .expect("well formed")
    }

    fn mutation(kind: &str, content: serde_json::Value) -> Mutation {
        let mut json = json!({
            "collection": "articulos", "record": "01970000-0000-7000-8000-000000000001", "kind": kind
        });
        let content = content.as_object().expect("an object").clone();
        json.as_object_mut().expect("an object").extend(content);
        serde_json::from_value(json).expect("well formed")
    }

    fn row(name: &str, units: i64, tags: &[&str]) -> Fields {
        let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
        Fields::from([
            ("nombre".to_owned(), Value::Text(name.to_owned())),
            ("existencia".to_owned(), Value::Decimal(units)),
            ("etiquetas".to_owned(), Value::Set(tags)),
        ])
    }

    #[test]
    fn without_edits_the_view_is_the_servers_row() {
        let server = row("a", 100, &["x"]);
        assert_eq!(view(&collection(), Some(&server), []), Some(server.clone()));
        assert_eq!(view(&collection(), None, []), None);
    }

    #[test]
    fn others_sales_show_through_ones_own() {
        let edits = [
            mutation("update", json!({ "add": { "existencia": "-3.00" } })),
            mutation("update", json!({ "add": { "existencia": "-0.50" } })),
        ];
        let seen = |units| view(&collection(), Some(&row("a", units, &[])), &edits);
        assert_eq!(seen(1000), Some(row("a", 650, &[])));
        assert_eq!(seen(700), Some(row("a", 350, &[])), "somebody else sold three");
    }

    #[test]
    fn sets_change_element_by_element() {
        let edit = mutation(
            "update",
            json!({ "elements": { "etiquetas": { "add": ["n"], "remove": ["a"] } } }),
        );
        let server = row("a", 0, &["a", "b", "theirs"]);
        assert_eq!(
            view(&collection(), Some(&server), [&edit]),
            Some(row("a", 0, &["b", "n", "theirs"]))
        );
    }

    #[test]
    fn the_author_sees_their_own_value_whatever_the_server_has() {
        let edits = [
            mutation("update", json!({ "set": { "nombre": "mine" } })),
            mutation("update", json!({ "set": { "nombre": "mine too" } })),
        ];
        let seen = view(&collection(), Some(&row("theirs", 0, &[])), &edits);
        assert_eq!(seen, Some(row("mine too", 0, &[])));
    }

    #[test]
    fn an_inserted_row_is_there_before_the_server_has_it_and_not_twice_after() {
        let insert = mutation(
            "insert",
            json!({ "set": { "nombre": "a", "existencia": "1.00", "etiquetas": ["x"] } }),
        );
        let edit = mutation("update", json!({ "add": { "existencia": "2.00" } }));
        let expected = Some(row("a", 300, &["x"]));
        assert_eq!(view(&collection(), None, [&insert, &edit]), expected);
        let arrived = row("a", 100, &["x"]);
        assert_eq!(view(&collection(), Some(&arrived), [&insert, &edit]), expected);
    }

    #[test]
    fn deletion_hides_and_restoration_brings_back_what_it_hid() {
        let edit = mutation("update", json!({ "set": { "nombre": "b" } }));
        let (delete, restore) = (mutation("delete", json!({})), mutation("restore", json!({})));
        let server = row("a", 100, &[]);
        assert_eq!(view(&collection(), Some(&server), [&edit, &delete]), None);
        let back = view(&collection(), Some(&server), [&edit, &delete, &restore]);
        assert_eq!(back, Some(row("b", 100, &[])));
        assert_eq!(view(&collection(), None, [&restore]), None, "it comes with the pull");
    }

    #[test]
    fn an_update_of_a_row_that_is_not_there_shows_nothing() {
        let edit = mutation("update", json!({ "set": { "nombre": "b" } }));
        assert_eq!(view(&collection(), None, [&edit]), None);
    }

    #[test]
    fn edits_of_fields_that_the_schema_lost_are_skipped() {
        let edit = mutation("update", json!({ "set": { "gone": "x", "nombre": "b" } }));
        assert_eq!(view(&collection(), Some(&row("a", 0, &[])), [&edit]), Some(row("b", 0, &[])));
    }
}
