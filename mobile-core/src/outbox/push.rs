//! What a push takes along, and what its answer changes.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use sync_protocol::planted::{self, Bug};
use sync_protocol::problem::Problem;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::PushAnswer;
use sync_protocol::wire::receipt::{Receipt, ReceiptState};
use sync_protocol::{EditTime, PushId, ReceiptId};

use super::entry::{self, Entry, State};
use super::{correct, parking, settle};
use crate::CoreError;
use crate::clock::{Anchor, Reading, bounded_time};
use crate::store::meta;

/// Two certain times that are out of order by less than this are put in order: the correction is
/// that exact at best. More than this means that one of the clocks was wrong, and stays.
const ORDER_TOLERANCE_US: i64 = 10_000_000;

/// What was settled for so long is not sent again to a server that was restored, in microseconds.
pub const SENT_AGAIN_US: i64 = 7 * 24 * 60 * 60 * 1_000_000;
/// Most settled transactions whose content goes with one answer of the server.
const FORGOTTEN_MAX: i64 = 200;

/// Limits of one push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Most transactions.
    pub transactions_max: usize,
    /// Most bytes of mutations as JSON; one transaction always fits.
    pub bytes_max: usize,
}

/// A transaction that goes with a push, as it was before. Its content is in the request alone.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// Its row.
    pub seq: i64,
    /// Its id.
    pub id: ReceiptId,
    /// The server may have it from an earlier push.
    pub maybe_sent: bool,
}

impl From<&Entry> for Sent {
    fn from(entry: &Entry) -> Self {
        Self { seq: entry.seq, id: entry.id, maybe_sent: entry.maybe_sent }
    }
}

/// What a push takes along.
#[derive(Debug, Default)]
pub struct Taken {
    /// The transactions, in order.
    pub entries: Vec<Entry>,
    /// Others wait behind them.
    pub more: bool,
}

/// Takes the next transactions in order. `answered` are those that this sync has had an answer for, which
/// it does not send again; `skipped` those that it leaves out, to which what builds on them is added:
/// without them the server would refuse it.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn take(
    db: &Connection,
    chunk: Chunk,
    answered: &HashSet<ReceiptId>,
    skipped: &mut HashSet<ReceiptId>,
    server_now_us: i64,
) -> Result<Taken, CoreError> {
    parking::refresh(db)?;
    fix_times(db, server_now_us)?;
    if planted::is(Bug::RefusalBlocks) && has_refused(db)? {
        return Ok(Taken::default());
    }
    let mut taken = Taken::default();
    let mut bytes = 0;
    let condition = "settled = 0 AND withdraw = 0 AND state IN ('waiting', 'sending')";
    entry::list(db, condition, |entry| {
        if answered.contains(&entry.id) || skipped.contains(&entry.id) {
            return Ok(true);
        }
        if entry.builds_on.iter().any(|id| skipped.contains(id)) {
            skipped.insert(entry.id);
            return Ok(true);
        }
        bytes += serde_json::to_string(&entry.mutations)?.len();
        let full = taken.entries.len() >= chunk.transactions_max || bytes > chunk.bytes_max;
        if full && !taken.entries.is_empty() {
            taken.more = true;
            return Ok(false);
        }
        taken.entries.push(entry);
        Ok(true)
    })?;
    Ok(taken)
}

/// Notes that an attempt takes transactions along.
///
/// # Errors
/// Those of SQLite.
pub fn note_sending(db: &Connection, taken: &[Sent], push: PushId) -> Result<(), CoreError> {
    if planted::is(Bug::SentNotNoted) {
        return Ok(());
    }
    for entry in taken {
        db.prepare_cached(
            "UPDATE campo_outbox SET state = 'sending', maybe_sent = 1, push = ?2 WHERE seq = ?1",
        )?
        .execute(params![entry.seq, push.to_string()])?;
    }
    Ok(())
}

fn has_refused(db: &Connection) -> Result<bool, CoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM campo_outbox WHERE state = 'refused')";
    Ok(db.query_row(sql, [], |row| row.get(0))?)
}

/// What its author takes back, at most `max`.
///
/// # Errors
/// Those of SQLite.
pub fn to_withdraw(db: &Connection, max: usize) -> Result<Vec<ReceiptId>, CoreError> {
    let mut statement = db.prepare_cached(
        "SELECT id FROM campo_outbox WHERE settled = 0 AND withdraw = 1 ORDER BY ord, seq LIMIT ?1",
    )?;
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let ids: Vec<String> =
        statement.query_map([max], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
}

/// Takes back the mark of transactions that provably did not reach the server with this attempt, unless
/// another process has taken them along since.
///
/// # Errors
/// Those of SQLite.
pub fn release(db: &Connection, taken: &[Sent], push: PushId) -> Result<(), CoreError> {
    for entry in taken.iter().filter(|entry| !entry.maybe_sent) {
        db.prepare_cached(
            "UPDATE campo_outbox SET state = 'waiting', maybe_sent = 0
             WHERE seq = ?1 AND state = 'sending' AND push = ?2",
        )?
        .execute(params![entry.seq, push.to_string()])?;
    }
    Ok(())
}

/// Lets everything go again that a restored server may have lost although it was answered: what is not
/// settled, and what was settled after `since_us`. The ids stay, so the server takes nothing twice.
/// Edits that have left the view do not come back into it: their effect is in the rows.
///
/// # Errors
/// Those of SQLite.
pub fn send_again(db: &Connection, since_us: i64) -> Result<(), CoreError> {
    db.execute(
        "UPDATE campo_outbox SET state = 'waiting', settled = 0
         WHERE state IN ('applied', 'superseded', 'in_review') AND receipt IS NOT NULL
           AND (settled = 0 OR json_extract(receipt, '$.settled_at_us') >= ?1)",
        [since_us],
    )?;
    db.execute("UPDATE campo_outbox SET seen_told = 0", [])?;
    Ok(())
}

/// Empties transactions that were settled too long ago to be sent again and of which the server knows that
/// the outcome is here. Their ids and states stay.
///
/// # Errors
/// Those of SQLite.
pub fn forget_content(db: &Connection, server_now_us: i64) -> Result<(), CoreError> {
    db.prepare_cached(
        "UPDATE campo_outbox SET mutations = '[]', receipt = NULL, position = NULL
         WHERE seq IN (SELECT seq FROM campo_outbox
             WHERE settled = 1 AND seen_told = 1 AND receipt IS NOT NULL
               AND state IN ('applied', 'superseded', 'handed_over', 'discarded')
               AND instr(receipt, '\"conflict\"') = 0 AND instr(receipt, '\"alias\"') = 0
             ORDER BY seq LIMIT ?2)
           AND json_extract(receipt, '$.settled_at_us') < ?1",
    )?
    .execute([server_now_us.saturating_sub(SENT_AGAIN_US), FORGOTTEN_MAX])?;
    Ok(())
}

/// Checks that an answer has one receipt for each transaction, in order, and that withdrawals are over.
/// Anything else is no answer: the transactions stay as sent without one.
///
/// # Errors
/// A sentence that says what differs.
pub fn check_answer(
    sent: &[Sent],
    withdrawn: &[ReceiptId],
    answer: &PushAnswer,
) -> Result<(), String> {
    let sent: Vec<ReceiptId> = sent.iter().map(|entry| entry.id).collect();
    for (asked, told) in [(sent.as_slice(), &answer.receipts), (withdrawn, &answer.withdrawn)] {
        if told.len() != asked.len() {
            return Err(format!("{} receipts for {} transactions", told.len(), asked.len()));
        }
        let other = asked.iter().zip(told).find(|(id, receipt)| **id != receipt.id);
        if let Some((id, receipt)) = other {
            return Err(format!("a receipt for {} where one for {id} was due", receipt.id));
        }
    }
    if let Some(open) = answer.withdrawn.iter().find(|r| r.state == ReceiptState::Parked) {
        return Err(format!("the withdrawal of {} was put off", open.id));
    }
    Ok(())
}

/// Takes in the receipts of a checked answer.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn record(db: &Connection, schema: &Schema, receipts: &[Receipt]) -> Result<(), CoreError> {
    if receipts.is_empty() {
        return Ok(());
    }
    for receipt in receipts {
        settle::decided(db, schema, receipt)?;
        if receipt.state == ReceiptState::Discarded {
            correct::let_heirs_go(db, receipt.id)?;
        }
    }
    parking::refresh(db)
}

/// Refuses a transaction here because the server cannot even read the push that carries it alone.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn refuse_locally(
    db: &Connection,
    schema: &Schema,
    id: ReceiptId,
    problem: Problem,
    server_now_us: i64,
) -> Result<(), CoreError> {
    let receipt = Receipt {
        id,
        state: ReceiptState::Refused,
        problem: Some(problem),
        mutations: Vec::new(),
        held: false,
        settled_at_us: server_now_us,
    };
    record(db, schema, &[receipt])
}

/// Receipts whose outcome is durable here and that the server has not been told so of.
///
/// # Errors
/// Those of SQLite.
pub fn unseen(db: &Connection, max: usize) -> Result<Vec<ReceiptId>, CoreError> {
    // Two texts: with a parameter in its place, the condition on `settled` would keep SQLite from the index.
    let settled = if planted::is(Bug::SeenBeforeSettled) { "true" } else { "settled = 1" };
    let mut statement = db.prepare_cached(&format!(
        "SELECT id FROM campo_outbox
         WHERE {settled} AND seen_told = 0 AND state <> 'in_review'
           AND (receipt IS NOT NULL OR state IN ('applied', 'superseded'))
         ORDER BY seq LIMIT ?1"
    ))?;
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let ids: Vec<String> =
        statement.query_map([max], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
}

/// Notes that the server was told.
///
/// # Errors
/// Those of SQLite.
pub fn told(db: &Connection, ids: &[ReceiptId]) -> Result<(), CoreError> {
    for id in ids {
        db.prepare_cached("UPDATE campo_outbox SET seen_told = 1 WHERE id = ?1")?
            .execute([id.to_string()])?;
    }
    Ok(())
}

/// Learns from a contact with the server: its clock, and with the first quick one of a boot the anchor
/// for all edits of that boot.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn contact(
    db: &Connection,
    before: &Reading,
    after: &Reading,
    server_time_us: i64,
) -> Result<(), CoreError> {
    let mut anchored = is_anchored(db, &after.boot_id)?;
    if !anchored && let Some(anchor) = Anchor::measure(before, after, server_time_us) {
        // Edits of the boot before keep the anchor that was measured in it.
        fix_certain_times(db)?;
        meta::set_json(db, meta::name::ANCHOR, &anchor)?;
        anchored = true;
    }
    // The next contact may still make the times of this boot certain.
    if anchored {
        fix_times(db, server_time_us)?;
    }
    meta::set_json(db, meta::name::LAST_CONTACT_US, &server_time_us)
}

/// Whether the anchor of the present boot is known.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn is_anchored(db: &Connection, boot_id: &str) -> Result<bool, CoreError> {
    let anchor: Option<Anchor> = meta::get_json(db, meta::name::ANCHOR)?;
    Ok(anchor.is_some_and(|anchor| anchor.boot_id == boot_id))
}

fn fix_certain_times(db: &Connection) -> Result<(), CoreError> {
    fix(db, None)
}

/// Fixes the time of every transaction that has none: certain ones by the anchor, the others bounded
/// by their neighbours.
fn fix_times(db: &Connection, server_now_us: i64) -> Result<(), CoreError> {
    fix(db, Some(server_now_us))
}

fn fix(db: &Connection, bound_others_by: Option<i64>) -> Result<(), CoreError> {
    let open: bool = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM campo_outbox WHERE settled = 0 AND edited_us IS NULL)",
        )?
        .query_row([], |row| row.get(0))?;
    if !open {
        return Ok(());
    }
    let anchor: Option<Anchor> = meta::get_json(db, meta::name::ANCHOR)?;
    let last_contact_us = meta::get_number(db, meta::name::LAST_CONTACT_US)?;
    let mut last_certain_us = meta::get_number(db, meta::name::LAST_EDIT_US)?;
    let mut earliest_us = last_certain_us.max(last_contact_us);
    let mut fixed: Vec<(i64, EditTime)> = Vec::new();
    entry::list(db, "settled = 0 AND edited_us IS NULL", |entry| {
        let certain = anchor.as_ref().and_then(|anchor| anchor.time_of(&entry.made));
        let time = match (certain, bound_others_by) {
            (Some(time), _) => {
                let behind = last_certain_us - time.at_us;
                let at_us = if (0..ORDER_TOLERANCE_US).contains(&behind) {
                    last_certain_us + 1
                } else {
                    time.at_us
                };
                last_certain_us = at_us;
                EditTime::certain(at_us)
            }
            (None, Some(latest_us)) => {
                let time = bounded_time(&entry.made, earliest_us, latest_us);
                earliest_us = time.at_us;
                time
            }
            (None, None) => return Ok(true),
        };
        fixed.push((entry.seq, time));
        Ok(true)
    })?;
    for (seq, time) in fixed {
        db.prepare_cached("UPDATE campo_outbox SET edited_us = ?2, uncertain = ?3 WHERE seq = ?1")?
            .execute(params![seq, time.at_us, time.uncertain])?;
    }
    meta::set_json(db, meta::name::LAST_EDIT_US, &last_certain_us)
}

/// Whether there is anything to send.
///
/// # Errors
/// Those of SQLite.
pub fn is_waiting(db: &Connection) -> Result<bool, CoreError> {
    let states = [State::Waiting.as_str(), State::Sending.as_str()];
    Ok(db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM campo_outbox WHERE settled = 0 AND state IN (?1, ?2))",
        )?
        .query_row(states, |row| row.get(0))?)
}
