//! Strict TypeScript types of a schema's rows, for the apps.
//!
//! For each collection three types: the row as it is read, what an insert may name, and what an
//! update may name. Then `Collections`, which maps a collection's name to its three. The types
//! describe the canonical JSON form of [`crate::value`]. The same schema gives the same text, so
//! that a build can compare it with the file in the repository.

use std::fmt::Write as _;

use super::{Collection, Field, FieldType, MergeRule, Schema};

/// Names and forms that every schema's types stand on.
const PRELUDE: &str = "\
// Made from the collection schemas by `sync-server schema typescript`. Do not edit.

/** A UUID in lower case with hyphens. */
export type Uuid = string;
/** A 64-bit integer: a string where it lies beyond ±(2^53 − 1). */
export type Integer = number | string;
/** An exact decimal with all digits of its scale, such as \"12.50\". */
export type Decimal = string;
/** A calendar day, such as \"2026-11-24\". */
export type CalendarDate = string;
/** An instant in UTC with microseconds, such as \"2026-11-24T16:05:09.000000Z\". */
export type Timestamp = string;
/** Any JSON document. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
";

/// Largest integer that JSON numbers carry exactly in JavaScript.
const SAFE_INTEGER_MAX: i64 = (1 << 53) - 1;

/// The types of all collections, as one module.
#[must_use]
pub fn typescript(schema: &Schema) -> String {
    let mut out = PRELUDE.to_owned();
    for collection in schema.collections.values() {
        out.push_str(&collection_types(collection));
    }
    out.push_str("\n/** Every collection by its name. */\nexport interface Collections {\n");
    for name in schema.collections.keys() {
        let types = type_name(name);
        let _ = writeln!(
            out,
            "  {name}: {{ row: {types}Row; insert: {types}Insert; update: {types}Update }};"
        );
    }
    out.push_str(
        "}\n\n/** The name of a collection. */\nexport type CollectionName = keyof Collections;\n",
    );
    out
}

fn collection_types(collection: &Collection) -> String {
    let types = type_name(&collection.name);
    let title = collection.label.as_deref().unwrap_or(&collection.name);
    let mut row = String::from("  readonly id: Uuid;\n");
    let mut insert =
        String::from("  /** Drawn by the device where it is not given. */\n  id?: Uuid;\n");
    let mut update = String::new();
    for field in &collection.fields {
        let name = &field.name;
        let kind = if field.required { kind(field) } else { format!("{} | null", kind(field)) };
        // Not everybody receives a field with a permission of its own.
        let seldom = if field.read.is_some() { "?" } else { "" };
        let frozen = if field.kind == FieldType::Set { "readonly " } else { "" };
        let _ = writeln!(row, "  readonly {name}{seldom}: {frozen}{kind};");
        if field.from_parent || field.merge == MergeRule::Server {
            continue;
        }
        let optional = if field.required && field.default.is_none() { "" } else { "?" };
        let _ = writeln!(insert, "  {name}{optional}: {kind};");
        let _ = writeln!(update, "  {name}?: {kind};");
    }
    format!(
        "\n/** {title} (`{}.{}`). */\nexport interface {types}Row {{\n{row}}}\n\
         \n/** A new row of `{}`. */\nexport interface {types}Insert {{\n{insert}}}\n\
         \n/** A change to a row of `{}`. */\nexport interface {types}Update {{\n{update}}}\n",
        collection.vertical,
        collection.name,
        collection.name,
        collection.name,
        title = comment(title),
    )
}

fn kind(field: &Field) -> String {
    match &field.kind {
        FieldType::Text => "string".to_owned(),
        FieldType::Integer if is_safe(field) => "number".to_owned(),
        FieldType::Integer => "Integer".to_owned(),
        FieldType::Decimal { .. } => "Decimal".to_owned(),
        FieldType::Real => "number".to_owned(),
        FieldType::Boolean => "boolean".to_owned(),
        FieldType::Date => "CalendarDate".to_owned(),
        FieldType::Timestamp => "Timestamp".to_owned(),
        FieldType::Uuid => "Uuid".to_owned(),
        FieldType::Enum { values } => {
            let words: Vec<String> = values.iter().map(|word| quoted(word)).collect();
            words.join(" | ")
        }
        FieldType::Set => "string[]".to_owned(),
        FieldType::Json => "Json".to_owned(),
    }
}

/// Whether an integer's own limits keep it a JSON number. Those of a counter keep nothing out.
fn is_safe(field: &Field) -> bool {
    let limit = |json: Option<&serde_json::Value>| {
        json.and_then(serde_json::Value::as_i64).is_some_and(|n| n.abs() <= SAFE_INTEGER_MAX)
    };
    field.merge != MergeRule::Counter && limit(field.min.as_ref()) && limit(field.max.as_ref())
}

/// A text as a literal. JSON's strings are TypeScript's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text inside a comment: on one line, and without the comment's end.
fn comment(text: &str) -> String {
    text.replace("*/", "* /").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `avance_items` → `AvanceItems`. A `_` that no letter follows stays: no two names become one.
fn type_name(collection: &str) -> String {
    let mut name = String::new();
    let mut letters = collection.chars().peekable();
    let mut capital = true;
    while let Some(letter) = letters.next() {
        if letter == '_' && letters.peek().is_some_and(char::is_ascii_lowercase) {
            capital = true;
        } else {
            name.push(if capital { letter.to_ascii_uppercase() } else { letter });
            capital = false;
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_collections_share_a_type() {
        assert_eq!(type_name("avance_items"), "AvanceItems");
        assert_eq!(type_name("a_1"), "A_1");
        assert_ne!(type_name("a_1"), type_name("a1"));
        assert_ne!(type_name("a__b"), type_name("a_b"));
    }

    #[test]
    fn a_label_cannot_end_its_comment() {
        assert_eq!(comment("a */ evil();\n// b"), "a * / evil(); // b");
    }
}
