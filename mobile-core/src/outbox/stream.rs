//! Whether this database is the one that writes in its stream, or a copy of it.
//!
//! Edits of one stream never count as concurrent with each other, because whoever made the later one
//! had the earlier ones on their screen. A database that was copied, or restored from a backup, has
//! missed what the other one made since, so it must not write as the same stream. Nothing on a phone
//! tells a copy reliably from its original; the stream's last push does, at the server:
//!
//! ```text
//! mark:     each attempt to push draws an id, durable before it is sent        campo_push
//! sent:     "this is push C; the last one was A, or B, whose answer I never got"
//! server:   takes it if the stream's last push is A, B (or C itself), and notes C
//! answered: C is the last one now; A and B are history
//! moved:    the server says which push was the last one.
//!             known here → nobody else wrote: name that one and go on (a server that was restored,
//!                          another process with this database)
//!             unknown    → somebody else did: draw a new stream, ask anew about all that is not over
//! ```
//! A copy that has nothing to push notices by the pull: what the server has told its stream already, to the
//! other one, it does not hear again ([`told`]).
//!
//! By induction whoever is let in has every push of the stream in their own past, and with them every
//! edit. The first copy that pushes keeps the stream, whichever it is. Receipts are found by their own
//! ids whatever stream asks, so nothing is done twice, and the server tells outcomes to both.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _};
use sync_protocol::planted::{self, Bug};
use sync_protocol::wire::push::PushMark;
use sync_protocol::{PushId, StreamId};

use crate::CoreError;
use crate::random::Random;
use crate::store::meta::{self, name};

/// Most earlier attempts that are named. After more answers that were lost in a row, the database takes
/// itself for a copy, which costs nothing but a new stream.
const AFTER_MAX: i64 = 512;
/// How many attempts are remembered, so that a server that was restored from a backup is known as such.
const REMEMBERED: i64 = 1_000;

/// Draws the mark of an attempt.
///
/// # Errors
/// Those of SQLite and of the random source.
pub fn mark(db: &Connection, random: &dyn Random) -> Result<PushMark, CoreError> {
    let mut statement = db.prepare_cached(
        "SELECT id FROM campo_push
         WHERE seq >= (SELECT coalesce(max(seq), 0) FROM campo_push WHERE answered = 1)
         ORDER BY seq DESC LIMIT ?1",
    )?;
    let after: Vec<String> =
        statement.query_map([AFTER_MAX], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let after = after
        .iter()
        .map(|id| id.parse().map_err(|_| CoreError::Stored("push id".to_owned())))
        .collect::<Result<_, _>>()?;
    let id = PushId(random.uuid()?);
    db.prepare_cached("INSERT INTO campo_push (id) VALUES (?1)")?.execute([id.to_string()])?;
    Ok(PushMark { id, after })
}

/// The attempt was answered.
///
/// # Errors
/// Those of SQLite.
pub fn answered(db: &Connection, id: PushId) -> Result<(), CoreError> {
    db.prepare_cached("UPDATE campo_push SET answered = 1 WHERE id = ?1")?
        .execute([id.to_string()])?;
    db.prepare_cached(
        "DELETE FROM campo_push WHERE seq <= (SELECT max(seq) FROM campo_push) - ?1",
    )?
    .execute([REMEMBERED])?;
    Ok(())
}

/// The attempt provably did not reach the server.
///
/// # Errors
/// Those of SQLite.
pub fn not_sent(db: &Connection, id: PushId) -> Result<(), CoreError> {
    db.prepare_cached("DELETE FROM campo_push WHERE id = ?1")?.execute([id.to_string()])?;
    Ok(())
}

/// The server says that `last` was the stream's last push. If it was made here, the next attempt names
/// it; otherwise this database is a copy, and draws a new stream. Answers whether it did.
///
/// # Errors
/// Those of SQLite and of the random source.
pub fn moved(
    db: &Connection,
    random: &dyn Random,
    last: Option<PushId>,
) -> Result<Option<StreamId>, CoreError> {
    let known: Option<i64> = match last {
        Some(last) => db
            .prepare_cached("SELECT seq FROM campo_push WHERE id = ?1")?
            .query_row([last.to_string()], |row| row.get(0))
            .optional()?,
        None => None,
    };
    if let Some(seq) = known {
        db.execute("UPDATE campo_push SET answered = (seq = ?1) WHERE seq >= ?1", [seq])?;
        return Ok(None);
    }
    if let Some(last) = last.filter(|_| planted::is(Bug::CopyKeepsStream)) {
        let sql = "INSERT INTO campo_push (id, answered) VALUES (?1, 1)";
        db.execute(sql, [last.to_string()])?;
        return Ok(None);
    }
    draw_another(db, random).map(Some)
}

/// What the server has decided of and no checkpoint has brought yet.
///
/// # Errors
/// Those of SQLite.
pub fn untold(db: &Connection) -> Result<BTreeSet<String>, CoreError> {
    let mut statement = db.prepare_cached(
        "SELECT id FROM campo_outbox WHERE settled = 0 AND receipt IS NOT NULL
           AND state IN ('applied', 'superseded', 'in_review')",
    )?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// A checkpoint has come, of a round before which the server had decided of `expected`. It tells each stream
/// what was decided until then, once: what it has not told now it has told to another database with this
/// stream, of which this one is an older copy. That goes on as another stream, and asks anew.
///
/// # Errors
/// Those of SQLite and of the random source.
pub fn told(
    db: &Connection,
    random: &dyn Random,
    expected: &BTreeSet<String>,
) -> Result<Option<StreamId>, CoreError> {
    if expected.is_empty() || untold(db)?.is_disjoint(expected) {
        return Ok(None);
    }
    draw_another(db, random).map(Some)
}

fn draw_another(db: &Connection, random: &dyn Random) -> Result<StreamId, CoreError> {
    let stream = StreamId(random.uuid()?);
    meta::set(db, name::STREAM, &stream.to_string())?;
    forget_old(db)?;
    Ok(stream)
}

/// The history that this database's edits belong to; drawn at the first use.
///
/// # Errors
/// Those of SQLite and of the random source.
pub fn own(db: &Connection, random: &dyn Random) -> Result<StreamId, CoreError> {
    if let Some(stream) = meta::get(db, name::STREAM)? {
        return stream.parse().map_err(|_| CoreError::Stored("stream id".to_owned()));
    }
    // Where there are edits already, theirs was lost.
    draw_another(db, random)
}

/// What a database that goes on as another stream has to ask about again: the server tells receipts by
/// stream, and the new one what becomes of those that it asks about. Also what a person has decided, because
/// a decision can be taken back; and what its author discarded here without asking anybody, because the database that
/// this one is a copy of may have sent it. That has its content still: it goes only from what the server has told.
///
/// # Errors
/// Those of SQLite.
pub fn forget_old(db: &Connection) -> Result<(), CoreError> {
    db.execute("DELETE FROM campo_push", [])?;
    db.execute(
        "UPDATE campo_outbox SET state = 'waiting', settled = 0
         WHERE receipt IS NOT NULL
           AND (state = 'in_review' OR (state IN ('applied', 'superseded')
               AND (settled = 0 OR instr(receipt, '\"conflict\"') > 0)))",
        [],
    )?;
    db.execute(
        "UPDATE campo_outbox SET state = 'sending', maybe_sent = 1, withdraw = 1, settled = 0
         WHERE state = 'discarded' AND mutations <> '[]'
           AND (receipt IS NULL OR instr(receipt, '\"state\":\"parked\"') > 0)",
        [],
    )?;
    Ok(())
}
