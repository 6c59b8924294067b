//! A schema file, as an administrator writes it.

use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::schema::{Mistake, Schema, typescript};

use crate::{Target, memory};

/// The target.
pub(super) const TARGET: Target = Target { name: "schema_file", input_bytes_max: 4096, run };

const NAME: &str = "vertical.toml";

fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let files = [SourceFile { name: NAME.to_owned(), text: text.to_owned() }];
    // Every key has its place kept, by its whole path.
    let square = input.len() * input.len();
    let parsed =
        memory::at_most(memory::FREE_BYTES + 4_000 * input.len() + 4 * square, || parse(&files));
    match parsed {
        Ok(schema) => is_whole(&schema),
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a mistake");
            mistakes.iter().for_each(|mistake| has_a_place(mistake, text));
        }
    }
}

fn has_a_place(mistake: &Mistake, text: &str) {
    assert_eq!(mistake.file, NAME, "{mistake}");
    let lines = text.split('\n').count();
    assert!((1..=lines).contains(&mistake.line), "{mistake} (of {lines} lines)");
    let line = text.split('\n').nth(mistake.line - 1).unwrap_or_default();
    let columns = line.chars().count() + 1;
    assert!((1..=columns).contains(&mistake.column), "{mistake} (of {columns} columns)");
    assert!(!mistake.what.is_empty() && !mistake.remedy.is_empty(), "{mistake}");
    let said = mistake.to_string();
    assert!(!said.contains('\n') && !said.contains('\u{1b}'), "raw input in {said:?}");
}

/// A schema without a mistake is the same behind the wire, and has types.
fn is_whole(schema: &Schema) {
    let json = match serde_json::to_string(schema) {
        Ok(json) => json,
        Err(error) => panic!("a schema cannot be sent: {error}"),
    };
    match serde_json::from_str::<Schema>(&json) {
        Ok(again) => {
            assert_eq!(&again, schema, "another schema arrives");
            assert_eq!(again.hash(), schema.hash());
        }
        Err(error) => panic!("a schema does not arrive: {error}\n{json}"),
    }
    assert_eq!(schema.by_priority().len(), schema.collections.len());
    assert_eq!(schema.referenced_first().len(), schema.collections.len());
    assert!(!typescript::typescript(schema).is_empty() || schema.collections.is_empty());
    for collection in schema.collections.values() {
        assert!(!collection.scopes.is_empty(), "{} has no scope", collection.name);
        for field in &collection.fields {
            let default = field.default_value();
            assert!(
                field.default.is_none() || !default.is_null(),
                "{} has a bad default",
                field.name
            );
        }
    }
}
