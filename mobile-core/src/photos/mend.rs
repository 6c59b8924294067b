//! Damage of the queue, and of files: what a line says follows from records and files, so it can be written anew.

use std::collections::BTreeSet;
use std::fs;

use rusqlite::types::Value;
use rusqlite::{Connection, params};
use serde_json::Value as Json;
use sync_protocol::RecordId;
use sync_protocol::schema::{Collection, Schema, photos as columns};

use super::files::PhotoFiles;
use super::queue::{self, State};
use super::{PhotoName, Variant};
use crate::CoreError;
use crate::store::meta::name;
use crate::store::tables::quoted;
use crate::verify::damage::{self, Kind};

/// Mends lines that cannot be read or do not fit their records, and makes lost ones anew. A line whose file can be
/// told is never removed: it may be all that says that the only copy of a photo is here. Answers how many were
/// wrong.
///
/// # Errors
/// Those of SQLite, and [`CoreError::File`].
pub fn queue(db: &Connection, schema: &Schema, files: &PhotoFiles) -> Result<u64, CoreError> {
    let mut wrong = db.execute(MEND_COLUMNS, [])?;
    // Whatever these said will be found out again.
    for table in ["campo_photo_released", "campo_photo_orphan"] {
        let sql = format!(
            "DELETE FROM {table} WHERE typeof(sha256) <> 'text' OR length(sha256) <> 64
               OR sha256 GLOB '*[^0-9a-f]*'"
        );
        wrong += db.execute(&sql, [])?;
    }
    wrong += db.execute(
        "UPDATE campo_photo_orphan SET since_us = (SELECT coalesce(max(value), 0) FROM campo_meta
           WHERE name = ?1 AND typeof(value) = 'text') WHERE typeof(since_us) <> 'integer'",
        [name::VERIFIED_US],
    )?;
    wrong += unreadable_keys(db, files)?;
    for collection in schema.collections.values().filter(|c| c.photos) {
        for variant in Variant::ALL {
            wrong += unlike(db, collection, variant, files)?;
        }
    }
    let adopted = adopt(db, schema, files)?;
    let known: Vec<&str> =
        schema.collections.values().filter(|c| c.photos).map(|c| c.name.as_str()).collect();
    let known = serde_json::to_string(&known)?;
    // Of a line whose collection was hit another line has the file by now: one of a known collection, or at least one
    // with a name.
    wrong += db.execute(
        "DELETE FROM campo_photo AS p WHERE collection NOT IN (SELECT value FROM json_each(?1))
           AND EXISTS (SELECT 1 FROM campo_photo q WHERE q.sha256 = p.sha256
             AND (q.collection IN (SELECT value FROM json_each(?1))
               OR (p.collection = ?2 AND q.collection <> ?2)))",
        [known.as_str(), NAMELESS],
    )?;
    // Where none has, it may be the schema that was lost, or what its person may see has changed. But what
    // waits for an insertion is not adrift.
    wrong += db.execute(
        "UPDATE campo_photo AS p SET adrift = 1 WHERE adrift = 0 AND
           collection NOT IN (SELECT value FROM json_each(?1))
           AND NOT EXISTS (SELECT 1 FROM campo_mutation m JOIN campo_outbox o ON o.seq = m.seq
             WHERE m.collection = p.collection AND m.record = p.record AND m.kind = 'insert'
               AND o.state <> 'discarded' AND o.replaced_by IS NULL)",
        [&known],
    )?;
    if wrong > 0 || adopted > 0 {
        damage::mended(db, Kind::Bookkeeping, "campo_photo", "lines written anew")?;
    }
    Ok(u64::try_from(wrong).unwrap_or(u64::MAX).max(adopted))
}

/// Gives columns that cannot be read the value that loses nothing.
const MEND_COLUMNS: &str = "UPDATE campo_photo SET
       state = iif(state IN ('waiting', 'stored'), state, 'waiting'),
       bytes = iif(typeof(bytes) = 'integer' AND bytes >= 0, bytes, 0),
       sent = iif(typeof(sent) = 'integer' AND sent >= 0, sent, 0),
       tried = iif(tried IN (0, 1), tried, 1),
       urgent = iif(urgent IN (0, 1), urgent, 0),
       adrift = iif(adrift IN (0, 1), adrift, 0),
       exported = iif(exported IN (0, 1), exported, 0),
       used = iif(typeof(used) = 'integer', used, 0),
       not_before_us = iif(typeof(not_before_us) = 'integer', not_before_us, 0),
       failure = NULL
     WHERE state NOT IN ('waiting', 'stored')
       OR typeof(bytes) <> 'integer' OR bytes < 0 OR typeof(sent) <> 'integer' OR sent < 0
       OR tried NOT IN (0, 1) OR urgent NOT IN (0, 1) OR adrift NOT IN (0, 1)
       OR exported NOT IN (0, 1) OR typeof(used) <> 'integer' OR typeof(not_before_us) <> 'integer'
       OR (failure IS NOT NULL AND (typeof(failure) <> 'text' OR NOT json_valid(failure)
         OR json_type(failure, '$.code') IS NOT 'text' OR json_type(failure, '$.text') IS NOT 'text'))";

/// The collection of a line of which nobody can tell whose it is.
const NAMELESS: &str = "?";

/// Lines of which nobody can tell whose they are. If their file is here, and no other line names it, they stay as
/// adrift ones, under a name that nothing else has.
fn unreadable_keys(db: &Connection, files: &PhotoFiles) -> Result<usize, CoreError> {
    const BROKEN: &str = "typeof(collection) <> 'text' OR typeof(record) <> 'text'
        OR record NOT GLOB '????????-????-????-????-????????????'
        OR variant NOT IN ('photo', 'thumbnail')
        OR typeof(sha256) <> 'text' OR length(sha256) <> 64";
    let hashes: Vec<Value> = db
        .prepare(&format!("SELECT sha256 FROM campo_photo WHERE {BROKEN}"))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let broken = db.execute(&format!("DELETE FROM campo_photo WHERE {BROKEN}"), [])?;
    for hash in hashes {
        let Value::Text(hash) = hash else { continue };
        let named: bool = db
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM campo_photo WHERE sha256 = ?1)")?
            .query_row([&hash], |row| row.get(0))?;
        let Some(bytes) = files.read(&hash)?.filter(|_| !named) else { continue };
        let Ok(number) = u128::from_str_radix(&hash[..32], 16) else { continue };
        let record = RecordId(uuid::Uuid::from_u128(number));
        let name = PhotoName { collection: NAMELESS.to_owned(), record, variant: Variant::Photo };
        queue::add(db, &name, &hash, bytes.len(), State::Waiting)?;
        queue::note_adrift(db, &name, true)?;
    }
    Ok(broken)
}

/// Lines that name another picture than their record does. One of the two is damaged; which, the files say.
fn unlike(
    db: &Connection,
    collection: &Collection,
    variant: Variant,
    files: &PhotoFiles,
) -> Result<usize, CoreError> {
    let (hash, bytes) = variant.columns();
    let other = variant.other().columns().0;
    let sql = format!(
        "SELECT p.record, p.sha256, r.{hash}, r.{bytes}, p.sha256 IS r.{other} FROM campo_photo p JOIN {table} r ON r.id = p.record
         WHERE p.collection = ?1 AND p.variant = ?2
           AND (r.{hash} IS NOT p.sha256 OR r.{bytes} IS NOT p.bytes)",
        hash = quoted(hash),
        bytes = quoted(bytes),
        other = quoted(other),
        table = quoted(&collection.name)
    );
    let found: Vec<(String, String, Value, Value, bool)> = db
        .prepare(&sql)?
        .query_map(params![collection.name, variant.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut mended = 0;
    for (record, line_hash, record_hash, record_bytes, is_the_other) in found {
        let Value::Text(right) = record_hash else { continue };
        let Some(file) = files.read(&right)? else { continue };
        // The record itself may be what was hit: then its line is right, and stays as it is. But not if it is the
        // line of the record's other picture, whose variant was hit.
        if right != line_hash && !is_the_other && files.read(&line_hash)?.is_some() {
            continue;
        }
        if record_bytes == Value::Integer(i64::try_from(file.len()).unwrap_or(0)) {
            mended += db.execute(
                "UPDATE campo_photo SET sha256 = ?4, bytes = ?5
                 WHERE collection = ?1 AND record = ?2 AND variant = ?3",
                params![collection.name, record, variant.as_str(), right, record_bytes],
            )?;
        }
    }
    Ok(mended)
}

/// Gives lines to pictures that are here and that nothing but their records names: where the server lacks them,
/// and where no line and nobody who let go of them explains the file, so that it leaves with its record. Answers
/// how many.
///
/// # Errors
/// Those of SQLite, and [`CoreError::File`].
pub fn adopt(db: &Connection, schema: &Schema, files: &PhotoFiles) -> Result<u64, CoreError> {
    let here: BTreeSet<String> = files.list()?.into_iter().collect();
    if here.is_empty() {
        return Ok(0);
    }
    let mut explained = queue::wanted(db)?;
    explained.extend(queue::released(db)?);
    for hash in nameless(db)? {
        explained.remove(&hash);
    }
    let puzzling: Vec<&String> = here.difference(&explained).collect();
    let mut adopted = 0;
    for Named { name, sha256, state } in named(db, schema, &puzzling)? {
        let is_here = here.contains(&sha256);
        let is_for_this = state == State::Waiting || puzzling.contains(&&sha256);
        if !is_here || !is_for_this || queue::get(db, &name)?.is_some() {
            continue;
        }
        let Ok(file) = fs::metadata(files.path(&sha256)) else { continue };
        queue::add(db, &name, &sha256, usize::try_from(file.len()).unwrap_or(0), state)?;
        if state == State::Waiting {
            queue::note_wanted(db, &name)?;
        }
        adopted += 1;
    }
    Ok(adopted)
}

/// Pictures of which no line says whose they are.
fn nameless(db: &Connection) -> Result<Vec<String>, CoreError> {
    let mut found = db.prepare(
        "SELECT sha256 FROM campo_photo p WHERE collection = ?1 AND NOT EXISTS (
           SELECT 1 FROM campo_photo q WHERE q.sha256 = p.sha256 AND q.collection <> ?1)",
    )?;
    let found = found.query_map([NAMELESS], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// A picture that a record names, or its insertion on its way.
struct Named {
    name: PhotoName,
    sha256: String,
    /// Waiting where the server lacks it.
    state: State,
}

/// Pictures that the server lacks, and those of these hashes.
fn named(db: &Connection, schema: &Schema, hashes: &[&String]) -> Result<Vec<Named>, CoreError> {
    let hashes = serde_json::to_string(hashes)?;
    let mut named = Vec::new();
    for collection in schema.collections.values().filter(|c| c.photos) {
        let (photo, thumbnail) = (quoted(columns::SHA256), quoted(columns::THUMBNAIL_SHA256));
        let (state, table) = (quoted(columns::STATE), quoted(&collection.name));
        // Also the server's row of one that is out of the view, because its deletion waits.
        let sql = format!(
            "SELECT id, photo, thumbnail, coalesce(state, '') FROM (
               SELECT id, {photo} AS photo, {thumbnail} AS thumbnail, {state} AS state FROM {table}
               UNION ALL SELECT s.record, s.content ->> ?3, s.content ->> ?4, s.content ->> ?5
                 FROM campo_server_row s WHERE s.collection = ?6 AND json_valid(s.content)
                   AND NOT EXISTS (SELECT 1 FROM {table} t WHERE t.id = s.record))
             WHERE state IS NOT ?1 OR photo IN (SELECT value FROM json_each(?2))
               OR thumbnail IN (SELECT value FROM json_each(?2))"
        );
        let mut statement = db.prepare(&sql)?;
        let mut rows = statement.query([
            columns::STORED,
            &hashes,
            columns::SHA256,
            columns::THUMBNAIL_SHA256,
            columns::STATE,
            &collection.name,
        ])?;
        while let Some(row) = rows.next()? {
            let text = |index: usize| row.get_ref(index).ok()?.as_str().ok().map(str::to_owned);
            let Some(record) = text(0).and_then(|id| id.parse::<RecordId>().ok()) else { continue };
            let told = text(3).unwrap_or_default();
            for (variant, hash) in [(Variant::Photo, text(1)), (Variant::Thumbnail, text(2))] {
                let Some(sha256) = hash else { continue };
                let collection = collection.name.clone();
                let name = PhotoName { collection, record, variant };
                let is_stored = variant.is_stored(&told);
                let state = if is_stored { State::Stored } else { State::Waiting };
                named.push(Named { name, sha256, state });
            }
        }
    }
    named.extend(waiting(db, schema)?);
    Ok(named)
}

/// Pictures of insertions that are on their way, or were refused. Also of a collection that is not known: its person
/// may not see it any more, or the schema was lost.
fn waiting(db: &Connection, schema: &Schema) -> Result<Vec<Named>, CoreError> {
    let mut names = db.prepare_cached(
        "SELECT DISTINCT collection FROM campo_mutation WHERE typeof(collection) = 'text'",
    )?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let may_have = |name: &&String| schema.collection(name).is_none_or(|known| known.photos);
    let mut statement = db.prepare_cached(
        "SELECT m.record, m.content FROM campo_mutation m JOIN campo_outbox o ON o.seq = m.seq
         WHERE m.collection = ?1 AND m.kind = 'insert' AND o.state <> 'discarded'
           AND o.replaced_by IS NULL",
    )?;
    let mut named = Vec::new();
    for collection in names.iter().filter(may_have) {
        let mut rows = statement.query([collection])?;
        while let Some(row) = rows.next()? {
            let text = |index: usize| row.get_ref(index).ok()?.as_str().ok().map(str::to_owned);
            let Some(record) = text(0).and_then(|id| id.parse::<RecordId>().ok()) else { continue };
            let content: Json =
                text(1).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            for variant in Variant::ALL {
                let Some(hash) = content["set"][variant.columns().0].as_str() else { continue };
                let name = PhotoName { collection: collection.clone(), record, variant };
                named.push(Named { name, sha256: hash.to_owned(), state: State::Waiting });
            }
        }
    }
    Ok(named)
}

/// Looks whether all files are there and are what their hashes say. One that the server has goes, to be
/// fetched again when somebody looks at it; of one that only this device had, the damage is noted. Answers
/// how many were damaged.
///
/// # Errors
/// Those of SQLite, and [`CoreError::File`].
pub fn files(db: &Connection, files: &PhotoFiles) -> Result<u64, CoreError> {
    let mut damaged = 0;
    for item in queue::list(db)? {
        if files.read(&item.sha256)?.is_some() {
            continue;
        }
        damaged += 1;
        let PhotoName { collection, record, variant } = &item.name;
        let place =
            format!("{} {}", damage::row_place(collection, &record.to_string()), variant.as_str());
        if item.state == State::Stored {
            queue::remove(db, &item.name)?;
            damage::mended(
                db,
                Kind::Photo,
                &place,
                "its file is damaged or gone; the server has it",
            )?;
        } else {
            damage::found(
                db,
                Kind::Photo,
                &place,
                "its file is damaged or gone, and the server has it not",
            )?;
        }
    }
    Ok(damaged)
}
