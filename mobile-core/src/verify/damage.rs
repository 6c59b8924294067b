//! The log of damage, and the list of rows that the server is asked for again.

use rusqlite::{Connection, params};
use serde::Serialize;
use sync_protocol::RecordId;
use sync_protocol::limits::REFETCH_ROWS_MAX;
use sync_protocol::schema::Schema;
use sync_protocol::wire::pull::Records;

use crate::CoreError;
use crate::store::meta::{self, name};

/// Most entries of the log; older ones leave.
const LOG_ENTRIES_MAX: i64 = 1_000;
/// Longest detail that is kept, in characters.
const DETAIL_CHARS_MAX: usize = 4_000;

/// What kind of damage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The rows of a scope are not those that the server counts.
    Digest,
    /// A row's content is not what was written.
    Content,
    /// Bookkeeping that cannot be read, or that does not fit the rest.
    Bookkeeping,
    /// An edit was written anew from its copy, or its copy from it.
    Edit,
    /// An edit and its copy are both damaged.
    EditLost,
    /// The file of a photo.
    Photo,
}

impl Kind {
    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Content => "content",
            Self::Bookkeeping => "bookkeeping",
            Self::Edit => "edit",
            Self::EditLost => "edit_lost",
            Self::Photo => "photo",
        }
    }
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// When it was found, by the server's clock as far as that was known, in microseconds since 1970.
    pub found_us: i64,
    /// What kind of damage.
    pub kind: String,
    /// Where: table, or collection, and record.
    pub place: String,
    /// What exactly.
    pub detail: String,
    /// When the server's rows took its place, by the same clock.
    pub repaired_us: Option<i64>,
}

/// Notes damage, once for a place until it is repaired.
///
/// # Errors
/// Those of SQLite.
pub fn found(db: &Connection, kind: Kind, place: &str, detail: &str) -> Result<(), CoreError> {
    let known: bool = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM campo_damage
             WHERE kind = ?1 AND place = ?2 AND repaired_us IS NULL)",
        )?
        .query_row(params![kind.as_str(), place], |row| row.get(0))?;
    if known {
        return Ok(());
    }
    tracing::warn!(kind = kind.as_str(), place, "damage was found");
    let detail: String = detail.chars().take(DETAIL_CHARS_MAX).collect();
    db.prepare_cached(
        "INSERT INTO campo_damage (found_us, kind, place, detail) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![now_us(db), kind.as_str(), place, detail])?;
    db.prepare_cached(
        "DELETE FROM campo_damage WHERE seq <= (SELECT max(seq) FROM campo_damage) - ?1",
    )?
    .execute([LOG_ENTRIES_MAX])?;
    Ok(())
}

/// Notes that what was found at a place is right again.
///
/// # Errors
/// Those of SQLite.
pub fn repaired(db: &Connection, place: &str) -> Result<(), CoreError> {
    db.prepare_cached(
        "UPDATE campo_damage SET repaired_us = ?2 WHERE place = ?1 AND repaired_us IS NULL",
    )?
    .execute(params![place, now_us(db)])?;
    Ok(())
}

/// Notes that everything came anew from the server.
///
/// # Errors
/// Those of SQLite.
pub fn all_came_anew(db: &Connection) -> Result<(), CoreError> {
    db.prepare_cached("UPDATE campo_damage SET repaired_us = ?1 WHERE repaired_us IS NULL")?
        .execute([now_us(db)])?;
    Ok(())
}

/// Keeps what is left of an edit that cannot be read, all of it.
///
/// # Errors
/// Those of SQLite.
pub fn keep_lost(db: &Connection, seq: i64, content: &str) -> Result<(), CoreError> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO campo_lost_edit (seq, found_us, content) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![seq, now_us(db), content])?;
    Ok(())
}

/// What is left of edits that could not be read, oldest first.
///
/// # Errors
/// Those of SQLite.
pub fn lost_edits(db: &Connection) -> Result<Vec<String>, CoreError> {
    let mut statement = db.prepare("SELECT content FROM campo_lost_edit ORDER BY seq")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Notes that all sets of rows are as the server counts them, but for these places.
///
/// # Errors
/// Those of SQLite.
pub fn digests_agree_but_for(db: &Connection, differing: &[String]) -> Result<(), CoreError> {
    db.prepare_cached(
        "UPDATE campo_damage SET repaired_us = ?1 WHERE repaired_us IS NULL AND kind = ?2
             AND place NOT IN (SELECT value FROM json_each(?3))",
    )?
    .execute(params![now_us(db), Kind::Digest.as_str(), serde_json::to_string(differing)?])?;
    Ok(())
}

/// Damage that is mended at once, from what is here.
///
/// # Errors
/// Those of SQLite.
pub fn mended(db: &Connection, kind: Kind, place: &str, detail: &str) -> Result<(), CoreError> {
    found(db, kind, place, detail)?;
    repaired(db, place)
}

/// The log, newest first.
///
/// # Errors
/// Those of SQLite.
pub fn log(db: &Connection) -> Result<Vec<Damage>, CoreError> {
    let mut statement = db.prepare(
        "SELECT found_us, kind, place, detail, repaired_us FROM campo_damage ORDER BY seq DESC",
    )?;
    let found = statement.query_map([], |row| {
        Ok(Damage {
            found_us: row.get(0)?,
            kind: row.get(1)?,
            place: row.get(2)?,
            detail: row.get(3)?,
            repaired_us: row.get(4)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The server is to send a row again.
///
/// # Errors
/// Those of SQLite.
pub fn refetch(db: &Connection, collection: &str, record: RecordId) -> Result<(), CoreError> {
    db.prepare_cached("INSERT OR IGNORE INTO campo_refetch (collection, record) VALUES (?1, ?2)")?
        .execute(params![collection, record.to_string()])?;
    Ok(())
}

/// Rows to ask for, as many as one pull may name.
///
/// # Errors
/// Those of SQLite.
pub fn to_refetch(db: &Connection, schema: &Schema) -> Result<Vec<Records>, CoreError> {
    let mut statement = db.prepare_cached(
        // What has come and waits for its checkpoint is not asked for with each attempt.
        "SELECT collection, record FROM campo_refetch r
         WHERE NOT EXISTS (SELECT 1 FROM campo_staged s
             WHERE s.collection = r.collection AND s.record = r.record)
         ORDER BY collection, record LIMIT ?1",
    )?;
    let mut found = statement.query([i64::try_from(REFETCH_ROWS_MAX).unwrap_or(i64::MAX)])?;
    let mut wanted: Vec<Records> = Vec::new();
    while let Some(row) = found.next()? {
        let collection: String = row.get(0)?;
        let record: String = row.get(1)?;
        let Ok(record) = record.parse() else { continue };
        if schema.collection(&collection).is_none() {
            continue;
        }
        match wanted.last_mut() {
            Some(records) if records.collection == collection => records.ids.push(record),
            _ => wanted.push(Records { collection, ids: vec![record] }),
        }
    }
    Ok(wanted)
}

/// Whether rows are still to be asked for.
///
/// # Errors
/// Those of SQLite.
pub fn awaits_rows(db: &Connection) -> Result<bool, CoreError> {
    Ok(db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM campo_refetch)")?
        .query_row([], |row| row.get(0))?)
}

/// A row came and was written: what was wrong with it is mended.
///
/// # Errors
/// Those of SQLite.
pub fn came(db: &Connection, collection: &str, record: RecordId) -> Result<(), CoreError> {
    let text = record.to_string();
    let asked = db
        .prepare_cached("DELETE FROM campo_refetch WHERE collection = ?1 AND record = ?2")?
        .execute(params![collection, text])?;
    if asked > 0 { repaired(db, &row_place(collection, &text)) } else { Ok(()) }
}

/// How the log names a row.
#[must_use]
pub fn row_place(collection: &str, record: &str) -> String {
    format!("{collection}/{record}")
}

fn now_us(db: &Connection) -> i64 {
    meta::get_number(db, name::LAST_CONTACT_US).unwrap_or(0)
}
