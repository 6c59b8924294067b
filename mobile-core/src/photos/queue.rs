//! Which files are on this device, and what becomes of them: rows of `campo_photo`.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, Row, params};
use serde::Serialize;
use sync_protocol::RecordId;

use super::{PhotoName, Variant};
use crate::CoreError;
use crate::outbox::list::{Failure, WaitingFor};
use crate::store::meta::{self, name};

/// Whether the server has a file too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not as far as this device knows: the file must stay.
    Waiting,
    /// It has confirmed the hash.
    Stored,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Stored => "stored",
        }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Stored].into_iter().find(|state| state.as_str() == text)
    }
}

/// A file on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Whose picture it is.
    #[serde(flatten)]
    pub name: PhotoName,
    /// Its hash, and the file's name.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Whether the server has it.
    pub state: State,
    /// How many of its bytes the server has, as it said last.
    pub sent: u64,
    /// An upload was begun; the answer may have been lost.
    #[serde(skip)]
    pub tried: bool,
    /// The user wants it sent now.
    pub urgent: bool,
    /// Its record has left this device before it was sent. It is kept for an export.
    pub adrift: bool,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What waits for the server, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Files that the server does not have.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of them that the server has.
    pub sent: u64,
    /// Files that do not go with the next sync: they wait for Wi-Fi, or for somebody to see to their record.
    pub held_back: u64,
    /// Bytes of all photos on this device.
    pub on_device: u64,
}

const COLUMNS: &str = "collection, record, variant, sha256, bytes, state, sent, tried, urgent, \
                       adrift, failure";

/// The record's insertion has not taken effect at the server: it waits, was refused, or is held for review as
/// a whole.
macro_rules! not_applied {
    () => {
        "EXISTS (SELECT 1 FROM campo_mutation m JOIN campo_outbox o ON o.seq = m.seq
           WHERE m.collection = p.collection AND m.record = p.record AND m.kind = 'insert'
             AND (o.state NOT IN ('applied', 'superseded', 'in_review')
               OR (o.state = 'in_review' AND json_extract(o.receipt, '$.held'))))"
    };
}

/// Somebody has to do something about the record before its photo can go.
macro_rules! record_is_stuck {
    () => {
        "EXISTS (SELECT 1 FROM campo_mutation m JOIN campo_outbox o ON o.seq = m.seq
           WHERE m.collection = p.collection AND m.record = p.record AND m.kind = 'insert'
             AND (o.state IN ('refused', 'parked')
               OR (o.state = 'in_review' AND json_extract(o.receipt, '$.held'))))"
    };
}

fn read(row: &Row<'_>) -> Result<Item, CoreError> {
    let wrong = |what: &str| CoreError::Stored(format!("{what} in campo_photo"));
    let text = |index: usize| -> Result<String, rusqlite::Error> { row.get(index) };
    let count = |index: usize| -> Result<u64, CoreError> {
        u64::try_from(row.get::<_, i64>(index)?).map_err(|_| wrong("a length"))
    };
    let record: RecordId = text(1)?.parse().map_err(|_| wrong("record"))?;
    let failure: Option<String> = row.get(10)?;
    Ok(Item {
        name: PhotoName {
            collection: text(0)?,
            record,
            variant: text(2)?.parse().map_err(|_| wrong("variant"))?,
        },
        sha256: text(3)?,
        bytes: count(4)?,
        state: State::read(&text(5)?).ok_or_else(|| wrong("state"))?,
        sent: count(6)?,
        tried: row.get(7)?,
        urgent: row.get(8)?,
        adrift: row.get(9)?,
        failure: failure.map(|text| serde_json::from_str(&text)).transpose()?,
    })
}

fn query(
    db: &Connection,
    condition: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<Item>, CoreError> {
    let mut statement =
        db.prepare_cached(&format!("SELECT {COLUMNS} FROM campo_photo p {condition}"))?;
    let mut rows = statement.query(parameters)?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(read(row)?);
    }
    Ok(items)
}

/// Adds a file that is on the disk.
///
/// # Errors
/// Those of SQLite.
pub fn add(
    db: &Connection,
    name: &PhotoName,
    sha256: &str,
    bytes: usize,
    state: State,
) -> Result<(), CoreError> {
    db.prepare_cached(
        "INSERT INTO campo_photo (collection, record, variant, sha256, bytes, state, sent, used)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, CASE ?6 WHEN 'stored' THEN ?5 ELSE 0 END, (SELECT coalesce(max(used), 0) + 1 FROM campo_photo))
         ON CONFLICT DO NOTHING",
    )?
    .execute(params![
        name.collection,
        name.record.to_string(),
        name.variant.as_str(),
        sha256,
        i64::try_from(bytes).unwrap_or(i64::MAX),
        state.as_str(),
    ])?;
    Ok(())
}

/// One file.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn get(db: &Connection, name: &PhotoName) -> Result<Option<Item>, CoreError> {
    let found = query(
        db,
        "WHERE collection = ?1 AND record = ?2 AND variant = ?3",
        params![name.collection, name.record.to_string(), name.variant.as_str()],
    )?;
    Ok(found.into_iter().next())
}

/// All files, in the order in which they go: thumbnails first, small before large.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn list(db: &Connection) -> Result<Vec<Item>, CoreError> {
    query(db, "ORDER BY state DESC, urgent DESC, variant DESC, bytes, collection, record", [])
}

/// All files, the one that was used longest ago first.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn by_use(db: &Connection) -> Result<Vec<Item>, CoreError> {
    query(db, "ORDER BY used, sha256", [])
}

/// The file to be sent next at this time (the server's clock), besides those that were tried in this round. Without
/// `pictures` only thumbnails go, and what the user wants now. What has failed before comes last.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn next(
    db: &Connection,
    tried: &HashSet<PhotoName>,
    pictures: bool,
    now_us: i64,
) -> Result<Option<Item>, CoreError> {
    let ready = query(
        db,
        concat!(
            "WHERE state = 'waiting' AND adrift = 0 AND (?1 OR urgent OR variant = 'thumbnail')
               AND not_before_us <= ?3 AND NOT ",
            not_applied!(),
            " ORDER BY urgent DESC, failure IS NOT NULL, variant DESC, bytes, collection, record LIMIT ?2"
        ),
        params![pictures, i64::try_from(tried.len() + 1).unwrap_or(i64::MAX), now_us],
    )?;
    Ok(ready.into_iter().find(|item| !tried.contains(&item.name)))
}

/// Notes that an upload begins, before the first byte goes.
///
/// # Errors
/// Those of SQLite.
pub fn note_tried(db: &Connection, name: &PhotoName) -> Result<(), CoreError> {
    update(db, "tried = 1", name)
}

/// Notes how many bytes the server has.
///
/// # Errors
/// Those of SQLite.
pub fn note_sent(db: &Connection, name: &PhotoName, sent: u64) -> Result<(), CoreError> {
    db.prepare_cached(
        "UPDATE campo_photo SET sent = ?4, failure = NULL
         WHERE collection = ?1 AND record = ?2 AND variant = ?3",
    )?
    .execute(params![
        name.collection,
        name.record.to_string(),
        name.variant.as_str(),
        i64::try_from(sent).unwrap_or(i64::MAX),
    ])?;
    Ok(())
}

/// Notes that the server has confirmed the hash.
///
/// # Errors
/// Those of SQLite.
pub fn note_stored(db: &Connection, name: &PhotoName) -> Result<(), CoreError> {
    update(
        db,
        "state = 'stored', sent = bytes, tried = 0, urgent = 0, adrift = 0, failure = NULL,
         not_before_us = 0",
        name,
    )
}

/// Notes that the server does not have it (any more).
///
/// # Errors
/// Those of SQLite.
pub fn note_wanted(db: &Connection, name: &PhotoName) -> Result<(), CoreError> {
    update(db, "state = 'waiting', sent = 0, tried = 1", name)
}

/// Notes whether its record is on this device.
///
/// # Errors
/// Those of SQLite.
pub fn note_adrift(db: &Connection, name: &PhotoName, adrift: bool) -> Result<(), CoreError> {
    update(db, if adrift { "adrift = 1" } else { "adrift = 0" }, name)
}

/// Notes why it was not sent, and when it is tried again, by the server's clock.
///
/// # Errors
/// Those of SQLite.
pub fn note_failure(
    db: &Connection,
    name: &PhotoName,
    failure: &Failure,
    not_before_us: i64,
) -> Result<(), CoreError> {
    db.prepare_cached(
        "UPDATE campo_photo SET failure = ?4, not_before_us = ?5
         WHERE collection = ?1 AND record = ?2 AND variant = ?3",
    )?
    .execute(params![
        name.collection,
        name.record.to_string(),
        name.variant.as_str(),
        serde_json::to_string(failure)?,
        not_before_us,
    ])?;
    Ok(())
}

/// Notes that somebody looked at it.
///
/// # Errors
/// Those of SQLite.
pub fn note_used(db: &Connection, name: &PhotoName) -> Result<(), CoreError> {
    update(db, "used = (SELECT max(used) + 1 FROM campo_photo)", name)
}

/// The user wants both pictures of a record sent now, whatever they cost.
///
/// # Errors
/// Those of SQLite.
pub fn hurry(db: &Connection, collection: &str, record: RecordId) -> Result<usize, CoreError> {
    Ok(db.execute(
        "UPDATE campo_photo SET urgent = 1, failure = NULL, not_before_us = 0
         WHERE collection = ?1 AND record = ?2 AND state = 'waiting'",
        params![collection, record.to_string()],
    )?)
}

/// Lets go of a file: if nothing else names it, it goes with the next sweep.
///
/// # Errors
/// Those of SQLite.
pub fn remove(db: &Connection, name: &PhotoName) -> Result<(), CoreError> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO campo_photo_released (sha256) SELECT sha256 FROM campo_photo
         WHERE collection = ?1 AND record = ?2 AND variant = ?3",
    )?
    .execute(params![name.collection, name.record.to_string(), name.variant.as_str()])?;
    db.prepare_cached(
        "DELETE FROM campo_photo WHERE collection = ?1 AND record = ?2 AND variant = ?3",
    )?
    .execute(params![name.collection, name.record.to_string(), name.variant.as_str()])?;
    Ok(())
}

fn update(db: &Connection, set: &str, name: &PhotoName) -> Result<(), CoreError> {
    db.prepare_cached(&format!(
        "UPDATE campo_photo SET {set} WHERE collection = ?1 AND record = ?2 AND variant = ?3"
    ))?
    .execute(params![name.collection, name.record.to_string(), name.variant.as_str()])?;
    Ok(())
}

/// Whether any file is known.
///
/// # Errors
/// Those of SQLite.
pub fn is_empty(db: &Connection) -> Result<bool, CoreError> {
    Ok(!db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM campo_photo)")?
        .query_row([], |row| row.get::<_, bool>(0))?)
}

/// The hashes of all files that must stay.
///
/// # Errors
/// Those of SQLite.
pub fn wanted(db: &Connection) -> Result<BTreeSet<String>, CoreError> {
    let mut statement =
        db.prepare_cached("SELECT DISTINCT sha256 FROM campo_photo WHERE typeof(sha256) = 'text'")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The hashes of files that somebody let go of and that may still be here.
///
/// # Errors
/// Those of SQLite.
pub fn released(db: &Connection) -> Result<BTreeSet<String>, CoreError> {
    let mut statement =
        db.prepare_cached("SELECT sha256 FROM campo_photo_released WHERE typeof(sha256) = 'text'")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Files that only this device has, as far as it knows, and no export has saved.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn unsaved(db: &Connection) -> Result<Vec<Item>, CoreError> {
    query(db, "WHERE state = 'waiting' AND exported = 0 ORDER BY collection, record, variant", [])
}

/// Files that only this device has, as far as it knows.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn waiting_files(db: &Connection) -> Result<Vec<Item>, CoreError> {
    query(db, "WHERE state = 'waiting' ORDER BY collection, record, variant", [])
}

/// Notes that an export holds files.
///
/// # Errors
/// Those of SQLite.
pub fn note_export<'a>(
    db: &Connection,
    names: impl IntoIterator<Item = &'a PhotoName>,
) -> Result<(), CoreError> {
    for name in names {
        update(db, "exported = 1", name)?;
    }
    Ok(())
}

/// What waits.
///
/// # Errors
/// Those of SQLite.
pub fn waiting(db: &Connection, pictures: bool) -> Result<Waiting, CoreError> {
    let count = |value: i64| u64::try_from(value).unwrap_or(0);
    let mut waiting = db
        .prepare_cached(concat!(
            "SELECT count(*), coalesce(sum(bytes), 0), coalesce(sum(sent), 0),
                    coalesce(sum(adrift OR NOT (?1 OR urgent OR variant = 'thumbnail') OR ",
            record_is_stuck!(),
            "), 0) FROM campo_photo p WHERE state = 'waiting'"
        ))?
        .query_row([pictures], |row| {
            Ok(Waiting {
                files: count(row.get(0)?),
                bytes: count(row.get(1)?),
                sent: count(row.get(2)?),
                held_back: count(row.get(3)?),
                on_device: 0,
            })
        })?;
    // Equal pictures share a file.
    let on_device: i64 = db
        .prepare_cached(
            "SELECT coalesce(sum(bytes), 0) FROM
               (SELECT max(bytes) AS bytes FROM campo_photo GROUP BY sha256)",
        )?
        .query_row([], |row| row.get(0))?;
    waiting.on_device = count(on_device);
    Ok(waiting)
}

/// For what a file waits.
///
/// # Errors
/// Those of SQLite.
pub fn why(
    db: &Connection,
    item: &Item,
    pictures: bool,
    network: Option<&WaitingFor>,
) -> Result<Option<WaitingFor>, CoreError> {
    let waits = |code: &str, text: &str| {
        Ok(Some(WaitingFor { code: code.to_owned(), text: text.to_owned() }))
    };
    if item.state == State::Stored {
        return Ok(None);
    }
    if item.adrift {
        return waits("record_gone", "its record has left this device; an export can save it");
    }
    let not_applied: bool = db
        .prepare_cached(concat!(
            "SELECT ",
            not_applied!(),
            " FROM (SELECT ?1 AS collection, ?2 AS record) p"
        ))?
        .query_row(params![item.name.collection, item.name.record.to_string()], |row| row.get(0))?;
    if not_applied {
        return waits("record", "waits until its record is accepted");
    }
    if !pictures && !item.urgent && item.name.variant == Variant::Photo {
        return waits("wifi_only", "waits for a network that costs nothing");
    }
    if let Some(network) = network {
        return Ok(Some(network.clone()));
    }
    match &item.failure {
        Some(failure) => waits(&failure.code, &failure.text),
        None => waits("next_sync", "waits for the next sync"),
    }
}

/// Whether pictures wait for a network that costs nothing.
///
/// # Errors
/// Those of SQLite.
pub fn waits_for_free_network(db: &Connection) -> Result<bool, CoreError> {
    Ok(meta::get(db, name::PHOTOS_UNMETERED)?.is_some())
}
