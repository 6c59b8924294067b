//! What a role may not read never leaves the server, and does not stay on a phone.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use serde_json::{Map, Value as Json};
use sync_protocol::schema::{Collection, Schema};
use sync_protocol::wire::pull::PullPage;

use super::{Checked, violated};
use crate::schema::may;

/// Collections and their fields.
pub type Sees = BTreeMap<String, BTreeSet<String>>;

/// What a role may read of a schema.
#[must_use]
pub fn of(role: &str, schema: &Schema) -> Sees {
    let collections = schema.collections.values().filter(|c| may(role, &c.read));
    let fields = |collection: &Collection| {
        let read = collection.fields.iter();
        let read = read.filter(|field| field.read.as_deref().is_none_or(|p| may(role, p)));
        read.map(|field| field.name.clone()).collect()
    };
    collections.map(|collection| (collection.name.clone(), fields(collection))).collect()
}

/// Looks at a page that leaves the server.
///
/// # Errors
/// The violation.
pub fn of_page(sees: &Sees, page: &PullPage) -> Checked {
    let tables = page.tables.iter().map(|table| (&table.collection, table.fields.clone()));
    let schema = page.schema.iter().flat_map(|schema| schema.collections.values());
    let schema = schema.map(|collection| {
        (&collection.name, collection.fields.iter().map(|field| field.name.clone()).collect())
    });
    for (collection, fields) in tables.chain(schema) {
        within(sees, collection, fields.iter().map(String::as_str), "a page")?;
    }
    for digest in page.digests.iter().flatten() {
        within(sees, &digest.collection, std::iter::empty(), "a page's digests")?;
    }
    Ok(())
}

/// Looks at a phone, from the first page of a pull on.
///
/// # Errors
/// The violation.
pub fn of_phone(db: &Connection, sees: &Sees) -> Checked {
    for (table, columns) in tables(db).expect("a phone's file can be read") {
        let fields = columns.iter().map(String::as_str);
        let fields = fields.filter(|name| *name != "id" && !name.starts_with('_'));
        within(sees, &table, fields, "a phone's tables")?;
    }
    for (collection, content) in beside(db).expect("a phone's file can be read") {
        let content: Map<String, Json> = serde_json::from_str(&content).expect("content");
        let filled = content.iter().filter(|(_, value)| !value.is_null());
        within(sees, &collection, filled.map(|(name, _)| name.as_str()), "a row put aside")?;
    }
    Ok(())
}

/// At a checkpoint a phone has all that its user may see, too.
///
/// # Errors
/// The violation.
pub fn is_whole(sees: &Sees, visible: &Schema) -> Checked {
    let has: Sees = visible
        .collections
        .values()
        .map(|c| (c.name.clone(), c.fields.iter().map(|field| field.name.clone()).collect()))
        .collect();
    if has == *sees {
        return Ok(());
    }
    violated(
        "a phone at a checkpoint shows what its user may see",
        format!("{has:?} instead of {sees:?}"),
    )
}

fn within<'a>(
    sees: &Sees,
    collection: &str,
    mut fields: impl Iterator<Item = &'a str>,
    place: &str,
) -> Checked {
    let invariant = "what a role may not read never reaches a phone, and does not stay there";
    let Some(allowed) = sees.get(collection) else {
        return violated(invariant, format!("{place}: {collection}"));
    };
    match fields.find(|field| !allowed.contains(*field)) {
        Some(field) => violated(invariant, format!("{place}: {collection}.{field}")),
        None => Ok(()),
    }
}

fn tables(db: &Connection) -> rusqlite::Result<Vec<(String, Vec<String>)>> {
    let mut tables = db.prepare_cached(
        r"SELECT name FROM sqlite_master WHERE type = 'table'
          AND name NOT LIKE 'campo\_%' ESCAPE '\' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'",
    )?;
    let names: Vec<String> =
        tables.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut columns = db.prepare_cached("SELECT name FROM pragma_table_info(?1)")?;
    let mut of = |name: String| {
        let found =
            columns.query_map([&name], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok((name, found))
    };
    names.into_iter().map(&mut of).collect()
}

/// Content that is not in the rows' tables.
fn beside(db: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = db.prepare_cached(
        "SELECT collection, content FROM campo_server_row WHERE content IS NOT NULL
         UNION ALL SELECT collection, content FROM campo_staged WHERE content IS NOT NULL",
    )?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.collect()
}
