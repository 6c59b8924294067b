//! A phone's side: which pictures have to be there, and which may not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::MutationKind;

use super::{VARIANTS, taken};
use crate::oracle::ledger::{Ledger, Place};
use crate::oracle::{Checked, violated};
use crate::shelf::{Picture, sha256};

/// A picture that a phone has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The hash, by which the file is named.
    pub sha256: String,
    /// The phone has not heard that the server has it.
    pub waits: bool,
    /// Its record was not on the phone at the last round.
    pub adrift: bool,
}

/// What a phone says that it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Pictures.
    pub lines: BTreeMap<Picture, Line>,
}

/// The folder of the pictures beside a database.
#[must_use]
pub fn folder(database: &Path) -> PathBuf {
    let name = database.file_stem().unwrap_or_default().to_string_lossy();
    database.with_file_name(format!("{name}.photos"))
}

/// Reads what a phone says that it has.
///
/// # Errors
/// Those of SQLite.
pub fn seen(db: &Connection) -> rusqlite::Result<Seen> {
    let mut statement = db.prepare_cached(
        "SELECT collection, record, variant, sha256, state = 'waiting', adrift FROM campo_photo",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let record: String = row.get(1)?;
        let picture = (row.get(0)?, record.parse().expect("an id"), row.get(2)?);
        Ok((picture, Line { sha256: row.get(3)?, waits: row.get(4)?, adrift: row.get(5)? }))
    };
    Ok(Seen { lines: statement.query_map([], read)?.collect::<rusqlite::Result<_>>()? })
}

/// Looks at the pictures of a phone's user, at any time: nothing is lost that only this phone has.
///
/// # Errors
/// The violation.
pub fn check(
    (db, database): (&Connection, &Path),
    schema: &Schema,
    ledger: &mut Ledger,
    place: Place,
) -> Checked {
    let seen = seen(db).expect("a phone's file can be read");
    let folder = folder(database);
    for (picture, line) in &seen.lines {
        let file = folder.join(format!("{}.jpg", line.sha256));
        if !is_whole(&file, &line.sha256, ledger) {
            return violated("a phone has the pictures that it says", format!("{picture:?}"));
        }
        if !line.waits && !ledger.photos.kept.contains(picture) {
            return violated(
                "a picture counts as stored when the server has it",
                format!("{picture:?}"),
            );
        }
    }
    let mine = taken(ledger, schema);
    let mine = mine.into_iter().filter(|(_, taken)| taken.place == place && !taken.given_up);
    for ((collection, record), taken) in mine {
        for ((variant, ..), (hash, _)) in VARIANTS.iter().zip(&taken.pictures) {
            let picture = (collection.clone(), record, (*variant).to_owned());
            let is_here = seen.lines.get(&picture).is_some_and(|line| line.sha256 == *hash);
            if !is_here && !ledger.photos.kept.contains(&picture) {
                return violated(
                    "a photo stays on its phone until the server has it",
                    format!("{picture:?} is gone"),
                );
            }
        }
    }
    Ok(())
}

/// Whether a file is there and has this hash. It is read again when it has changed.
fn is_whole(file: &Path, hash: &str, ledger: &mut Ledger) -> bool {
    let Ok(meta) = std::fs::metadata(file) else { return false };
    let stamp = meta.modified().ok().map(|modified| (meta.len(), modified));
    if stamp.is_some() && ledger.photos.whole.get(file).copied() == stamp {
        return true;
    }
    let is_whole = std::fs::read(file).is_ok_and(|bytes| sha256(&bytes) == hash);
    if let (true, Some(stamp)) = (is_whole, stamp) {
        ledger.photos.whole.insert(file.to_owned(), stamp);
    }
    is_whole
}

/// Looks at a phone whose round has just ended well: pictures of records that left have left too, unless only
/// this phone has them.
///
/// # Errors
/// The violation.
pub fn after_round(
    (db, database): (&Connection, &Path),
    visible: &Schema,
    ledger: &Ledger,
    place: Place,
) -> Checked {
    let invariant = "what leaves a phone takes its pictures along";
    let seen = seen(db).expect("a phone's file can be read");
    let mut deleted_here = BTreeSet::new();
    for edit in ledger.edits.values().filter(|edit| edit.place == place) {
        let deletions = edit.mutations.iter().filter(|m| m.kind == MutationKind::Delete);
        deleted_here.extend(deletions.map(|m| (m.collection.clone(), m.record)));
    }
    for (picture, line) in seen.lines.iter().filter(|(_, line)| !line.waits) {
        let (collection, record, _) = picture;
        let known = visible.collection(collection).is_some_and(|_| {
            let sql = format!("SELECT count(*) FROM \"{collection}\" WHERE id = ?1");
            let count = db.query_row(&sql, [record.to_string()], |row| row.get::<_, i64>(0));
            count.expect("a phone's file can be read") > 0
        });
        // What its user has deleted since the round looked goes with the next one.
        if !known && !deleted_here.contains(&(collection.clone(), *record)) {
            return violated(invariant, format!("{picture:?}: {line:?}"));
        }
    }
    let wanted: BTreeSet<&str> = seen.lines.values().map(|line| line.sha256.as_str()).collect();
    let files = std::fs::read_dir(folder(database)).into_iter().flatten().flatten();
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        if !name.strip_suffix(".jpg").is_some_and(|hash| wanted.contains(hash)) {
            return violated(invariant, format!("{name} is nobody's"));
        }
    }
    Ok(())
}
