//! Damage of the queue, and of files: what a line says follows from records and files, so it can be written anew.

use std::collections::BTreeSet;
use std::fs;

use rusqlite::{Connection, params};
use serde_json::Value as Json;
use sync_protocol::RecordId;
use sync_protocol::schema::{Collection, Schema, photos as columns};

use super::files::PhotoFiles;
use super::queue::{self, State};
use super::{PhotoName, Variant};
use crate::CoreError;
use crate::store::tables::quoted;
use crate::verify::damage::{self, Kind};

/// Removes lines that cannot be read or do not fit their records, and makes them anew. Answers how many were
/// wrong.
///
/// # Errors
/// Those of SQLite, and [`CoreError::File`].
pub fn queue(db: &Connection, schema: &Schema, files: &PhotoFiles) -> Result<u64, CoreError> {
    let mut wrong = db.execute(
        "DELETE FROM campo_photo WHERE typeof(collection) <> 'text' OR typeof(record) <> 'text'
           OR record NOT GLOB '????????-????-????-????-????????????'
           OR variant NOT IN ('photo', 'thumbnail')
           OR typeof(sha256) <> 'text' OR length(sha256) <> 64
           OR typeof(bytes) <> 'integer' OR bytes < 0
           OR state NOT IN ('waiting', 'stored')
           OR typeof(sent) <> 'integer' OR sent < 0
           OR tried NOT IN (0, 1) OR urgent NOT IN (0, 1) OR adrift NOT IN (0, 1)
           OR exported NOT IN (0, 1) OR typeof(used) <> 'integer'
           OR (failure IS NOT NULL AND (typeof(failure) <> 'text' OR NOT json_valid(failure)))",
        [],
    )?;
    for collection in schema.collections.values().filter(|c| c.photos) {
        for variant in Variant::ALL {
            wrong += db.execute(&unlike(collection, variant), [&collection.name])?;
        }
    }
    let known: Vec<&str> =
        schema.collections.values().filter(|c| c.photos).map(|c| c.name.as_str()).collect();
    let known = serde_json::to_string(&known)?;
    let needed: BTreeSet<String> = needed(db, schema)?.into_iter().map(|(_, hash)| hash).collect();
    let needed = serde_json::to_string(&needed)?;
    // Of a line whose collection was hit nobody knows whose it was, unless a record needs its picture.
    wrong += db.execute(
        "DELETE FROM campo_photo WHERE adrift = 0 AND
           collection NOT IN (SELECT value FROM json_each(?1)) AND
           sha256 IN (SELECT value FROM json_each(?2))",
        [&known, &needed],
    )?;
    // Where none does, it may be the schema that was lost, or what its person may see has changed.
    wrong += db.execute(
        "UPDATE campo_photo SET adrift = 1 WHERE adrift = 0 AND
           collection NOT IN (SELECT value FROM json_each(?1))",
        [&known],
    )?;
    let adopted = adopt(db, schema, files)?;
    if wrong > 0 || adopted > 0 {
        damage::mended(db, Kind::Bookkeeping, "campo_photo", "lines written anew")?;
    }
    Ok(u64::try_from(wrong).unwrap_or(u64::MAX).max(adopted))
}

/// Deletes lines that name another picture than their record does.
fn unlike(collection: &Collection, variant: Variant) -> String {
    let (hash, bytes) = variant.columns();
    format!(
        "DELETE FROM campo_photo AS p WHERE collection = ?1 AND variant = '{}' AND EXISTS (
           SELECT 1 FROM {} r WHERE r.id = p.record AND (r.{} <> p.sha256 OR r.{} <> p.bytes))",
        variant.as_str(),
        quoted(&collection.name),
        quoted(hash),
        quoted(bytes)
    )
}

/// Takes files back into the queue that nothing names but a record that the server lacks the picture of.
/// Answers how many lines that makes.
///
/// # Errors
/// Those of SQLite, and [`CoreError::File`].
pub fn adopt(db: &Connection, schema: &Schema, files: &PhotoFiles) -> Result<u64, CoreError> {
    let known = queue::wanted(db)?;
    let orphans: BTreeSet<String> =
        files.list()?.into_iter().filter(|hash| !known.contains(hash)).collect();
    if orphans.is_empty() {
        return Ok(0);
    }
    let mut adopted = 0;
    for (name, hash) in needed(db, schema)? {
        if !orphans.contains(&hash) {
            continue;
        }
        let Ok(file) = fs::metadata(files.path(&hash)) else { continue };
        queue::add(db, &name, &hash, usize::try_from(file.len()).unwrap_or(0), State::Waiting)?;
        queue::note_wanted(db, &name)?;
        adopted += 1;
    }
    Ok(adopted)
}

/// Pictures that the server lacks, as far as records and insertions on their way say.
fn needed(db: &Connection, schema: &Schema) -> Result<Vec<(PhotoName, String)>, CoreError> {
    let mut needed = Vec::new();
    for collection in schema.collections.values().filter(|c| c.photos) {
        let sql = format!(
            "SELECT id, {}, {}, coalesce({}, '') FROM {} WHERE {} IS NOT ?1",
            quoted(columns::SHA256),
            quoted(columns::THUMBNAIL_SHA256),
            quoted(columns::STATE),
            quoted(&collection.name),
            quoted(columns::STATE),
        );
        let mut statement = db.prepare(&sql)?;
        let mut rows = statement.query([columns::STORED])?;
        while let Some(row) = rows.next()? {
            let text = |index: usize| row.get_ref(index).ok()?.as_str().ok().map(str::to_owned);
            let Some(record) = text(0).and_then(|id| id.parse::<RecordId>().ok()) else { continue };
            let state = text(3).unwrap_or_default();
            for (variant, hash) in [(Variant::Photo, text(1)), (Variant::Thumbnail, text(2))] {
                if let Some(hash) = hash.filter(|_| !variant.is_stored(&state)) {
                    let collection = collection.name.clone();
                    needed.push((PhotoName { collection, record, variant }, hash));
                }
            }
        }
        let mut statement = db.prepare(
            "SELECT m.record, m.content FROM campo_mutation m JOIN campo_outbox o ON o.seq = m.seq
             WHERE m.collection = ?1 AND m.kind = 'insert' AND o.state <> 'discarded'
               AND o.replaced_by IS NULL",
        )?;
        let mut rows = statement.query(params![collection.name])?;
        while let Some(row) = rows.next()? {
            let text = |index: usize| row.get_ref(index).ok()?.as_str().ok().map(str::to_owned);
            let Some(record) = text(0).and_then(|id| id.parse::<RecordId>().ok()) else { continue };
            let content: Json =
                text(1).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            for variant in Variant::ALL {
                let hash = content["set"][variant.columns().0].as_str();
                let collection = collection.name.clone();
                needed.extend(
                    hash.map(|hash| (PhotoName { collection, record, variant }, hash.to_owned())),
                );
            }
        }
    }
    Ok(needed)
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
