//! What a person typed and still wants, kept a second time with a checksum: all else that a database holds
//! can be had from the server again, a waiting edit cannot. A refused one that may still be corrected has a
//! copy as well; what is settled, discarded, taken back or replaced has none, so that none of it comes back.
//!
//! The copy has what never changes by itself: identity, clocks, and what the transaction does. Where it
//! stands (state, receipt) is known by the server, which answers the same for an edit that comes twice.

use rusqlite::{Connection, params};
use sync_protocol::planted::{self, Bug};

use crate::CoreError;
use crate::store::checksum;
use crate::store::meta::{self, name};

/// The columns of `campo_outbox` that are copied, in this order.
macro_rules! copied {
    () => {
        "id, wall_us, boot_us, boot_id, replaces, builds_on, position, mutations"
    };
}

/// Reads what is to be copied of one transaction, a JSON array.
const CONTENT: &str =
    concat!("SELECT json_array(", copied!(), ") FROM campo_outbox WHERE seq = ?1");

/// Writes the copy of a transaction, or writes it anew after a change.
///
/// # Errors
/// Those of SQLite.
pub fn write(db: &Connection, seq: i64) -> Result<(), CoreError> {
    let content: String = db.prepare_cached(CONTENT)?.query_row([seq], |row| row.get(0))?;
    db.prepare_cached(
        "INSERT OR REPLACE INTO campo_outbox_copy (seq, content, checksum) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![seq, content, checksum::of_text(&content)])?;
    Ok(())
}

/// Removes the copy of a transaction that needs none any more.
///
/// # Errors
/// Those of SQLite.
pub fn remove(db: &Connection, seq: i64) -> Result<(), CoreError> {
    db.prepare_cached("DELETE FROM campo_outbox_copy WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// What was done about a transaction that differs from its copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mended {
    /// The transaction was written from its copy.
    FromCopy,
    /// The copy was damaged, and written anew.
    CopyAnew,
    /// Neither is what was written; this was in the transaction.
    Lost(String),
}

/// Compares all transactions with their copies and mends what differs. Tells which, by `seq`.
///
/// # Errors
/// Those of SQLite.
pub fn mend(db: &Connection) -> Result<Vec<(i64, Mended)>, CoreError> {
    let mut mended = Vec::new();
    for (seq, copy, checksum) in differing(db)? {
        let present: Option<String> = db
            .prepare_cached(CONTENT)?
            .query_row([seq], |row| row.get(0))
            .or_else(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => Ok(None),
                other => Err(other),
            })?;
        let is_whole = |text: &str| checksum::of_text(text) == checksum;
        let done = match (copy, present) {
            // The checksum is what was damaged, or the copy's number.
            (Some(copy), Some(present)) if copy == present => {
                write(db, seq)?;
                Mended::CopyAnew
            }
            (Some(copy), None) if is_known_otherwise(db, &copy)? => {
                remove(db, seq)?;
                Mended::CopyAnew
            }
            (Some(copy), _) if is_whole(&copy) => {
                restore(db, seq, &copy)?;
                Mended::FromCopy
            }
            (_, Some(present)) if is_whole(&present) => {
                write(db, seq)?;
                Mended::CopyAnew
            }
            (copy, present) => Mended::Lost(present.or(copy).unwrap_or_default()),
        };
        mended.push((seq, done));
    }
    mended.extend(write_missing(db)?.into_iter().map(|seq| (seq, Mended::CopyAnew)));
    Ok(mended)
}

/// Writes the copies that are missing: of edits from before there were copies, and of such whose copies are
/// gone. Answers which.
///
/// # Errors
/// Those of SQLite.
pub fn write_missing(db: &Connection) -> Result<Vec<i64>, CoreError> {
    let mut statement = db.prepare(concat!(
        "SELECT seq FROM (SELECT seq, mutations FROM campo_outbox
             WHERE settled = 0 AND withdraw = 0 AND receipt IS NULL
             UNION ALL SELECT seq, mutations FROM campo_outbox WHERE ",
        is_problem!(),
        " AND state = 'refused' AND settled = 1 AND replaced_by IS NULL) o
         WHERE mutations <> '[]' AND json_valid(mutations)
             AND NOT EXISTS (SELECT 1 FROM campo_outbox_copy c WHERE c.seq = o.seq)"
    ))?;
    let bare: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for seq in &bare {
        write(db, *seq)?;
    }
    Ok(bare)
}

/// Whether a copy's transaction is here under another number, by which its mutations name it.
fn is_known_otherwise(db: &Connection, copy: &str) -> Result<bool, CoreError> {
    Ok(db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM campo_outbox o
             WHERE o.id = json_extract(?1, '$[0]') AND (o.settled = 1
                 OR EXISTS (SELECT 1 FROM campo_mutation m WHERE m.seq = o.seq)))",
        )?
        .query_row([copy], |row| row.get(0))?)
}

/// Copies that differ from their transactions: seq, copy if it is a text, checksum.
fn differing(db: &Connection) -> Result<Vec<(i64, Option<String>, i64)>, CoreError> {
    let mut statement = db.prepare(concat!(
        "SELECT c.seq, CASE typeof(c.content) WHEN 'text' THEN c.content END,
             CASE typeof(c.checksum) WHEN 'integer' THEN c.checksum ELSE 0 END
         FROM campo_outbox_copy c LEFT JOIN campo_outbox o ON o.seq = c.seq
         WHERE c.content IS NOT (SELECT json_array(",
        copied!(),
        ") FROM campo_outbox x WHERE x.seq = c.seq) OR typeof(c.checksum) <> 'integer'"
    ))?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Writes a transaction from its copy. One that is gone comes back as one that may have been sent: the
/// server says what became of it, to another stream ([`super::stream`]).
fn restore(db: &Connection, seq: i64, copy: &str) -> Result<(), CoreError> {
    if planted::is(Bug::RepairDropsEdit) {
        db.execute("DELETE FROM campo_outbox WHERE seq = ?1", [seq])?;
        return remove(db, seq);
    }
    let is_here: bool = db.query_row(
        "SELECT EXISTS (SELECT 1 FROM campo_outbox WHERE id = json_extract(?1, '$[0]'))",
        [copy],
        |row| row.get(0),
    )?;
    if !is_here {
        // While it was gone a pull may have told of it, to nobody, and does not tell the same stream again.
        meta::remove(db, name::STREAM)?;
    }
    // Its mutations name it by its number.
    db.execute(
        "UPDATE OR IGNORE campo_outbox SET seq = ?1 WHERE id = json_extract(?2, '$[0]')",
        params![seq, copy],
    )?;
    db.execute(
        "DELETE FROM campo_outbox_copy WHERE seq <> ?1
             AND CASE WHEN json_valid(content) THEN json_extract(content, '$[0]') END = json_extract(?2, '$[0]')",
        params![seq, copy],
    )?;
    db.execute(
        "INSERT OR IGNORE INTO campo_outbox
             (seq, ord, id, state, maybe_sent, wall_us, boot_us, boot_id, mutations)
         VALUES (?1, (SELECT coalesce(max(ord), 0) FROM campo_outbox WHERE seq < ?1),
             json_extract(?2, '$[0]'), 'waiting', 1, 0, 0, '', '[]')",
        params![seq, copy],
    )?;
    db.execute(
        concat!(
            "UPDATE campo_outbox SET (",
            copied!(),
            ") = (SELECT json_extract(?2, '$[0]'), json_extract(?2, '$[1]'), json_extract(?2, '$[2]'),
                 json_extract(?2, '$[3]'), json_extract(?2, '$[4]'), json_extract(?2, '$[5]'),
                 json_extract(?2, '$[6]'), json_extract(?2, '$[7]'))
             WHERE seq = ?1"
        ),
        params![seq, copy],
    )?;
    Ok(())
}
