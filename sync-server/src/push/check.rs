//! Checking mutations against schema and permissions. Pure: everything comes in as arguments.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use sync_protocol::merge::FieldEdit;
use sync_protocol::problem::{Location, Problem};
use sync_protocol::schema::{Collection, Field, MergeRule, Schema};
use sync_protocol::value::{Limit, ValueError, check_element};
use sync_protocol::wire::push::{Mutation, MutationKind, Transaction};
use sync_protocol::{RecordId, RowVersion, Value, limits};

use super::seen::seen;

/// A mutation whose names, types, limits and permissions are in order.
#[derive(Debug, Clone)]
pub(super) struct CheckedMutation<'a> {
    /// Position in its transaction.
    pub index: usize,
    /// The collection.
    pub collection: &'a Collection,
    /// The row.
    pub record: RecordId,
    /// What is done.
    pub kind: MutationKind,
    /// Edits by field, in the order of declaration.
    pub edits: Vec<(&'a Field, FieldEdit)>,
    /// What the author saw of the fields under review among them.
    pub seen: BTreeMap<String, Json>,
    /// The mutation as it came.
    pub wire: &'a Mutation,
}

impl CheckedMutation<'_> {
    /// Where problems of this mutation point to.
    pub fn location(&self) -> Location {
        Location {
            mutation: Some(self.index),
            collection: Some(self.collection.name.clone()),
            record: Some(self.record),
            field: None,
        }
    }

    /// The version that the author saw of a field.
    pub fn base(&self, field: &str) -> Option<RowVersion> {
        self.wire.base.get(field).copied()
    }
}

/// Whether the author has a permission.
pub(super) type May<'a> = &'a dyn Fn(&str) -> bool;

/// Checks every mutation of a transaction; the first problem is the answer.
pub(super) fn check<'a>(
    schema: &'a Schema,
    may: May<'_>,
    transaction: &'a Transaction,
) -> Result<Vec<CheckedMutation<'a>>, Box<Problem>> {
    if transaction.mutations.is_empty() {
        return Err(Box::new(
            Problem::new(422, "empty_transaction", "The transaction holds no mutation")
                .detail("do not send transactions without mutations"),
        ));
    }
    if let Some(position) = transaction.position
        && !(position.latitude.abs() <= 90.0
            && position.longitude.abs() <= 180.0
            && position.accuracy_m.is_none_or(|radius| radius >= 0.0))
    {
        return Err(Box::new(
            Problem::new(422, "bad_position", "The position is not on earth").detail(
                "latitude is within ±90, longitude within ±180 degrees, accuracy not below 0 m",
            ),
        ));
    }
    transaction
        .mutations
        .iter()
        .enumerate()
        .map(|(index, mutation)| {
            check_mutation(schema, may, index, mutation).map_err(|mut problem| {
                let at = problem.at.get_or_insert_default();
                at.mutation = Some(index);
                at.collection = Some(mutation.collection.clone());
                at.record = Some(mutation.record);
                problem
            })
        })
        .collect()
}

fn check_mutation<'a>(
    schema: &'a Schema,
    may: May<'_>,
    index: usize,
    mutation: &'a Mutation,
) -> Result<CheckedMutation<'a>, Box<Problem>> {
    // A collection that is hidden and one that does not exist get the same answer.
    let collection = schema
        .collection(&mutation.collection)
        .filter(|collection| may(&collection.read))
        .ok_or_else(|| {
            Problem::new(422, "unknown_collection", "There is no such collection").detail(format!(
                "`{}` is not a collection that you can see; pull to get the present schema",
                mutation.collection
            ))
        })?;
    if !may(&collection.write) {
        return Err(Box::new(
            Problem::new(403, "forbidden", "You may not change this collection").detail(format!(
                "`{}` needs the permission `{}`",
                collection.name, collection.write
            )),
        ));
    }
    check_shape(mutation)?;
    let mut edits: BTreeMap<usize, (&Field, FieldEdit)> = BTreeMap::new();
    let mut put = |name: &str, edit: FieldEdit, position: usize, field| {
        if edits.insert(position, (field, edit)).is_some() {
            return Err(field_problem("field_twice", "A field occurs twice", name)
                .detail(format!("`{name}` may stand in one of `set`, `add`, `elements` only")));
        }
        Ok(())
    };
    for (name, json) in &mutation.set {
        let (position, field) = writable(collection, may, name)?;
        let value = Value::from_json(field, json).map_err(|e| value_problem(&e))?;
        if value.is_null() && field.required {
            return Err(Box::new(value_problem(&ValueError::Required { field: name.clone() })));
        }
        if mutation.kind == MutationKind::Update {
            let wrong = match field.merge {
                MergeRule::Counter => Some("add"),
                MergeRule::Set => Some("elements"),
                _ => None,
            };
            if let Some(instead) = wrong {
                return Err(Box::new(
                    field_problem("wrong_edit", "This field is not set as a whole", name).detail(
                        format!("send `{name}` in `{instead}`: what changed, not the result"),
                    ),
                ));
            }
        }
        put(name, FieldEdit::Set(value), position, field)?;
    }
    for (name, json) in &mutation.add {
        let (position, field) = writable(collection, may, name)?;
        if field.merge != MergeRule::Counter {
            return Err(Box::new(
                field_problem("wrong_edit", "This field is no counter", name)
                    .detail(format!("send `{name}` in `set`")),
            ));
        }
        let difference = Value::difference_from_json(field, json).map_err(|e| value_problem(&e))?;
        put(name, FieldEdit::Add(difference), position, field)?;
    }
    for (name, edit) in &mutation.elements {
        let (position, field) = writable(collection, may, name)?;
        if field.merge != MergeRule::Set {
            return Err(Box::new(
                field_problem("wrong_edit", "This field is no set", name)
                    .detail(format!("send `{name}` in `set`")),
            ));
        }
        if edit.add.len() + edit.remove.len() > limits::SET_ELEMENTS_MAX {
            return Err(Box::new(value_problem(&ValueError::OutOfLimits {
                field: name.clone(),
                limit: Limit::Elements,
                problem: format!("may change at most {} elements", limits::SET_ELEMENTS_MAX),
            })));
        }
        let max = field.max_length.map_or(limits::SET_ELEMENT_CHARS_MAX, |max| max as usize);
        for element in edit.add.iter().chain(&edit.remove) {
            check_element(field, element, max).map_err(|e| value_problem(&e))?;
        }
        let edit = FieldEdit::Elements {
            add: edit.add.iter().cloned().collect(),
            remove: edit.remove.iter().cloned().collect(),
        };
        put(name, edit, position, field)?;
    }
    if mutation.kind == MutationKind::Insert {
        check_required(collection, mutation)?;
    }
    Ok(CheckedMutation {
        index,
        collection,
        record: mutation.record,
        kind: mutation.kind,
        edits: edits.into_values().collect(),
        seen: seen(collection, mutation),
        wire: mutation,
    })
}

/// Which members go with which kind.
fn check_shape(mutation: &Mutation) -> Result<(), Box<Problem>> {
    let differences = !mutation.add.is_empty() || !mutation.elements.is_empty();
    let wrong = match mutation.kind {
        MutationKind::Insert if differences => "an insert has only `set`",
        MutationKind::Update if mutation.set.is_empty() && !differences => {
            "an update names at least one field in `set`, `add` or `elements`"
        }
        MutationKind::Delete | MutationKind::Restore if differences || !mutation.set.is_empty() => {
            "a delete or restore names no fields"
        }
        _ => return Ok(()),
    };
    Err(Box::new(
        Problem::new(422, "wrong_mutation", "The mutation has the wrong members").detail(wrong),
    ))
}

/// The field, if the caller may see and write it.
fn writable<'a>(
    collection: &'a Collection,
    may: May<'_>,
    name: &str,
) -> Result<(usize, &'a Field), Box<Problem>> {
    let found = collection.fields.iter().enumerate().find(|(_, field)| field.name == name);
    let Some((position, field)) = found.filter(|(_, field)| field.read.as_deref().is_none_or(may))
    else {
        return Err(Box::new(
            field_problem("unknown_field", "There is no such field", name)
                .detail(format!("`{}` has no field `{name}` that you can see", collection.name)),
        ));
    };
    if field.merge == MergeRule::Server || field.from_parent {
        return Err(Box::new(
            field_problem("field_read_only", "Devices do not write this field", name)
                .detail(format!("leave `{name}` out: the server fills it")),
        ));
    }
    if let Some(permission) = field.write.as_deref().filter(|write| !may(write)) {
        return Err(Box::new(Problem {
            status: 403,
            ..field_problem("field_forbidden", "You may not change this field", name)
                .detail(format!("`{name}` needs the permission `{permission}`"))
        }));
    }
    Ok((position, field))
}

fn check_required(collection: &Collection, mutation: &Mutation) -> Result<(), Box<Problem>> {
    for field in &collection.fields {
        let given = mutation.set.contains_key(&field.name) || field.from_parent;
        if field.required && !given && field.default_value().is_null() {
            return Err(Box::new(value_problem(&ValueError::Required {
                field: field.name.clone(),
            })));
        }
    }
    Ok(())
}

fn field_problem(code: &str, title: &str, field: &str) -> Problem {
    let at = Location { field: Some(field.to_owned()), ..Location::default() };
    Problem::new(422, code, title).at(at)
}

fn value_problem(error: &ValueError) -> Problem {
    field_problem(error.code(), error.title(), error.field()).detail(error.to_string())
}
