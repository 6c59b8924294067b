//! What targets need besides their input: a schema with every type of field.

use std::sync::LazyLock;

use sync_protocol::schema::Schema;
use sync_protocol::schema::parse::{SourceFile, parse};

/// The schema of the protocol's vectors: two collections, every type, every merge rule.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let text = include_str!("../../../sync-protocol/vectors/schema.toml").to_owned();
    match parse(&[SourceFile { name: "schema.toml".to_owned(), text }]) {
        Ok(schema) => schema.visible_to(|_| true),
        Err(mistakes) => panic!("the vectors' schema has mistakes: {mistakes:?}"),
    }
});
