//! A phone at a checkpoint holds exactly the rows of its scopes, as of that one snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::Value as Json;
use sync_protocol::schema::Schema;
use sync_protocol::{RecordId, Scope, UserId};

use super::ledger::Known;
use super::snapshot::{Name, Snapshot};
use super::{Checked, violated, visibility};

/// A row on a phone, without the user's own edits.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The server's version.
    pub version: i64,
    /// Content, in canonical JSON.
    pub fields: BTreeMap<String, Json>,
}

/// What a phone's database says of itself.
pub struct Standing {
    /// Where its next pull begins.
    pub cursor: Option<String>,
    /// Nothing is being fetched.
    pub complete: bool,
}

/// Reads it.
///
/// # Errors
/// Those of SQLite.
pub fn standing(db: &Connection) -> rusqlite::Result<Standing> {
    let meta = |name: &str| -> rusqlite::Result<Option<String>> {
        let mut statement = db.prepare_cached("SELECT value FROM campo_meta WHERE name = ?1")?;
        let mut rows = statement.query([name])?;
        rows.next()?.map(|row| row.get(0)).transpose()
    };
    let backfills: i64 =
        db.query_row("SELECT count(*) FROM campo_backfill", [], |row| row.get(0))?;
    Ok(Standing {
        cursor: meta("cursor")?,
        complete: backfills == 0 && meta("begun_anew")?.is_none(),
    })
}

/// The rows that a phone has from the server.
///
/// # Errors
/// Those of SQLite.
pub fn server_rows(db: &Connection, schema: &Schema) -> rusqlite::Result<BTreeMap<Name, Held>> {
    let mut rows = BTreeMap::new();
    for collection in schema.collections.values() {
        let columns: String =
            collection.fields.iter().map(|f| format!(", \"{}\"", f.name)).collect();
        let sql =
            format!("SELECT id, _version{columns} FROM \"{}\" WHERE _pending = 0", collection.name);
        let mut statement = db.prepare_cached(&sql)?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let id: String = row.get(0)?;
            let mut fields = BTreeMap::new();
            for (index, field) in collection.fields.iter().enumerate() {
                let value = row.get_ref(2 + index)?;
                let read = mobile_core::store::rows::from_sql(&field.kind, value);
                let read = read.unwrap_or_else(|| panic!("{id} has a bad {}", field.name));
                fields.insert(field.name.clone(), read.to_json(&field.kind));
            }
            let name = (collection.name.clone(), id.parse().expect("an id"));
            rows.insert(name, Held { version: row.get(1)?, fields });
        }
    }
    let mut statement = db.prepare_cached(
        "SELECT collection, record, version, content FROM campo_server_row
         WHERE content IS NOT NULL",
    )?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let (collection, id): (String, String) = (row.get(0)?, row.get(1)?);
        let content: String = row.get(3)?;
        let content: BTreeMap<String, Json> = serde_json::from_str(&content).expect("content");
        let Some(known) = schema.collection(&collection) else { continue };
        let fields = known.fields.iter().map(|field| {
            (field.name.clone(), content.get(&field.name).cloned().unwrap_or(Json::Null))
        });
        let held = Held { version: row.get(2)?, fields: fields.collect() };
        rows.insert((collection, id.parse::<RecordId>().expect("an id")), held);
    }
    Ok(rows)
}

/// The rows that a person may see at a snapshot.
#[must_use]
pub fn expected(snapshot: &Snapshot, user: UserId, visible: &Schema) -> BTreeMap<Name, Held> {
    let none = BTreeSet::new();
    let scopes = snapshot.grants.get(&user).unwrap_or(&none);
    let seen = snapshot
        .rows
        .iter()
        .filter(|(_, row)| !row.deleted && row.scopes.iter().any(|scope| scopes.contains(scope)));
    seen.filter_map(|(name, row)| {
        let collection = visible.collection(&name.0)?;
        let fields = collection
            .fields
            .iter()
            .map(|f| (f.name.clone(), row.fields.get(&f.name).cloned().unwrap_or(Json::Null)));
        Some((name.clone(), Held { version: row.version, fields: fields.collect() }))
    })
    .collect()
}

/// Looks at a phone's database: at a checkpoint its rows are compared, and taken as the base of what
/// its user sees from then on.
///
/// # Errors
/// The violation.
pub fn check(db: &Connection, visible: &Schema, user: UserId, known: &mut Known) -> Checked {
    let standing = standing(db).expect("a phone's file can be read");
    if standing.cursor == known.cursor && (known.base.is_some() || !standing.complete) {
        return Ok(());
    }
    known.cursor.clone_from(&standing.cursor);
    let page = standing.cursor.as_ref().and_then(|cursor| known.pages.get(cursor));
    let Some(page) = page else {
        known.base = None;
        if standing.cursor.is_some() {
            return violated("cursors come from the server", format!("{:?}", standing.cursor));
        }
        return Ok(());
    };
    in_scope(db, visible, user, &page.snapshot)?;
    visibility::of_phone(db, &page.sees)?;
    if !(page.checkpoint && standing.complete) {
        if !page.quiet {
            known.base = None;
        }
        return Ok(());
    }
    visibility::is_whole(&page.sees, visible)?;
    known.compared += page.digests;
    let snapshot = page.snapshot.clone();
    compare(db, visible, user, &snapshot)?;
    known.base = Some(snapshot);
    Ok(())
}

/// From the first page of a pull on, a phone has no row that is in none of the scopes that its user held
/// when that pull was answered, shown or put aside.
fn in_scope(db: &Connection, visible: &Schema, user: UserId, snapshot: &Snapshot) -> Checked {
    let found = scope_sets(db, visible).expect("a phone's file can be read");
    let none = BTreeSet::new();
    let held = snapshot.grants.get(&user).unwrap_or(&none);
    for (place, scopes) in found {
        if !scopes.iter().any(|scope| held.contains(scope)) {
            return violated(
                "nothing out of scope stays on a phone",
                format!("{place} has rows in {scopes:?}, held are {held:?}"),
            );
        }
    }
    Ok(())
}

/// The sets of scopes that rows from the server are in, and where. Rows of an ended history are left
/// out: they stay in sight until they came anew or did not.
fn scope_sets(db: &Connection, visible: &Schema) -> rusqlite::Result<Vec<(String, Vec<Scope>)>> {
    let mut places: Vec<(String, String)> = visible
        .collections
        .keys()
        .map(|name| (name.clone(), format!("SELECT DISTINCT _scopes FROM \"{name}\"")))
        .collect();
    for table in ["campo_server_row", "campo_staged"] {
        let sql = format!("SELECT DISTINCT scopes FROM {table} WHERE content IS NOT NULL");
        places.push((table.to_owned(), sql));
    }
    let mut all = Vec::new();
    for (place, sql) in places {
        let mut sets = db.prepare_cached(&format!(
            "SELECT scopes FROM campo_scope_set WHERE id > 0 AND id IN ({sql})"
        ))?;
        let mut found = sets.query([])?;
        while let Some(row) = found.next()? {
            let text: String = row.get(0)?;
            all.push((place.clone(), serde_json::from_str(&text).expect("scopes")));
        }
    }
    Ok(all)
}

/// Compares a phone's rows with a snapshot.
///
/// # Errors
/// The violation.
pub fn compare(
    db: &Connection,
    visible: &Schema,
    user: UserId,
    snapshot: &Arc<Snapshot>,
) -> Checked {
    let invariant = "a phone at a checkpoint has the server's rows";
    let has = server_rows(db, visible).expect("a phone's file can be read");
    let should = expected(snapshot, user, visible);
    for (name, row) in &should {
        match has.get(name) {
            None => return violated(invariant, format!("{name:?} is missing: {row:?}")),
            Some(held) if held != row => {
                return violated(
                    invariant,
                    format!(
                        "{name:?} at commit {} is\n  {row:?}\nbut the phone has\n  {held:?}",
                        snapshot.commit
                    ),
                );
            }
            Some(_) => {}
        }
    }
    match has.keys().find(|name| !should.contains_key(*name)) {
        Some(name) => violated(invariant, format!("{name:?} should have left: {:?}", has[name])),
        None => Ok(()),
    }
}
