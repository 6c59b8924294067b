//! Rows of `campo_outbox` and `campo_mutation`: writing and reading one transaction.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use sync_protocol::planted::{self, Bug};
use sync_protocol::wire::push::{Mutation, MutationKind, Position, Transaction};
use sync_protocol::wire::receipt::{Receipt, ReceiptState};
use sync_protocol::{EditTime, ReceiptId, RecordId};

use super::copy;
use crate::CoreError;
use crate::clock::Reading;
use crate::store::checksum;

/// The one state that a transaction is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not sent, or provably not received.
    Waiting,
    /// Handed to the network; the answer has not come (yet). Sent again by the same id.
    Sending,
    /// Took effect.
    Applied,
    /// Somebody else's concurrent edit won in at least one field.
    Superseded,
    /// A person decides on at least one field.
    InReview,
    /// Took no effect; to be corrected or discarded.
    Refused,
    /// Builds on a refused one.
    Parked,
    /// Given to quarantine.
    HandedOver,
    /// Withdrawn by its author.
    Discarded,
}

impl State {
    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Applied => "applied",
            Self::Superseded => "superseded",
            Self::InReview => "in_review",
            Self::Refused => "refused",
            Self::Parked => "parked",
            Self::HandedOver => "handed_over",
            Self::Discarded => "discarded",
        }
    }

    /// The state that is stored so.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let all = [
            Self::Waiting,
            Self::Sending,
            Self::Applied,
            Self::Superseded,
            Self::InReview,
            Self::Refused,
            Self::Parked,
            Self::HandedOver,
            Self::Discarded,
        ];
        all.into_iter().find(|state| state.as_str() == text)
    }
}

impl From<ReceiptState> for State {
    fn from(state: ReceiptState) -> Self {
        match state {
            ReceiptState::Applied => Self::Applied,
            ReceiptState::Superseded => Self::Superseded,
            ReceiptState::InReview => Self::InReview,
            ReceiptState::Refused => Self::Refused,
            ReceiptState::Parked => Self::Parked,
            ReceiptState::HandedOver => Self::HandedOver,
            ReceiptState::Discarded => Self::Discarded,
        }
    }
}

/// A transaction as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its row.
    pub seq: i64,
    /// Its place in the order of sending.
    pub ord: i64,
    /// Its id, and its receipt's.
    pub id: ReceiptId,
    /// Where it stands.
    pub state: State,
    /// Its outcome is in the tables, or it had none.
    pub settled: bool,
    /// The server may have it.
    pub maybe_sent: bool,
    /// Its author takes it back; the server has not said yet whether in time.
    pub withdraw: bool,
    /// The clocks when it was made.
    pub made: Reading,
    /// The corrected time, once it is fixed.
    pub edited: Option<EditTime>,
    /// The refused one that it corrects.
    pub replaces: Option<ReceiptId>,
    /// The one that corrects it.
    pub replaced_by: Option<ReceiptId>,
    /// What it needs.
    pub builds_on: Vec<ReceiptId>,
    /// Where the phone was.
    pub position: Option<Position>,
    /// What it does.
    pub mutations: Vec<Mutation>,
    /// The server's last word.
    pub receipt: Option<Receipt>,
}

const COLUMNS: &str = "seq, ord, id, state, settled, maybe_sent, wall_us, boot_us, boot_id, \
     edited_us, uncertain, replaces, replaced_by, builds_on, position, mutations, receipt, withdraw";

impl Entry {
    /// As it goes to the server, once its time is fixed.
    #[must_use]
    pub fn into_transaction(self) -> Option<Transaction> {
        Some(Transaction {
            id: self.id,
            edited: self.edited?,
            wall_clock_us: self.made.wall_us,
            replaces: self.replaces,
            builds_on: self.builds_on,
            position: self.position,
            mutations: self.mutations,
        })
    }

    fn read(row: &Row<'_>) -> Result<Self, CoreError> {
        let text = |index: usize| -> Result<Option<String>, rusqlite::Error> { row.get(index) };
        let id = |index: usize| -> Result<Option<ReceiptId>, CoreError> {
            text(index)?.map(|id| id.parse().map_err(|_| stored("receipt id"))).transpose()
        };
        let edited: Option<i64> = row.get(9)?;
        let uncertain: bool = row.get(10)?;
        let json = |index: usize| -> Result<Option<String>, CoreError> { Ok(text(index)?) };
        Ok(Self {
            seq: row.get(0)?,
            ord: row.get(1)?,
            id: id(2)?.ok_or_else(|| stored("receipt id"))?,
            state: State::read(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)
                .ok_or_else(|| stored("state"))?,
            settled: row.get(4)?,
            maybe_sent: row.get(5)?,
            withdraw: row.get(17)?,
            made: Reading { wall_us: row.get(6)?, boot_us: row.get(7)?, boot_id: row.get(8)? },
            edited: edited.map(|at_us| EditTime { at_us, uncertain }),
            replaces: id(11)?,
            replaced_by: id(12)?,
            builds_on: serde_json::from_str(&json(13)?.unwrap_or_default())?,
            position: json(14)?.map(|text| serde_json::from_str(&text)).transpose()?,
            mutations: serde_json::from_str(&json(15)?.unwrap_or_default())?,
            receipt: json(16)?.map(|text| serde_json::from_str(&text)).transpose()?,
        })
    }
}

fn stored(what: &str) -> CoreError {
    CoreError::Stored(format!("{what} in the outbox"))
}

/// Begins a transaction: its row, to be completed or abandoned within the same SQLite transaction.
///
/// # Errors
/// Those of SQLite.
pub fn begin(db: &Connection, id: ReceiptId, made: &Reading) -> Result<i64, CoreError> {
    db.prepare_cached(
        "INSERT INTO campo_outbox (ord, id, state, wall_us, boot_us, boot_id, mutations)
         VALUES ((SELECT coalesce(max(ord), 0) + 1 FROM campo_outbox), ?1, 'waiting', ?2, ?3, ?4, '[]')",
    )?
    .execute(params![id.to_string(), made.wall_us, made.boot_us, made.boot_id])?;
    Ok(db.last_insert_rowid())
}

/// Removes a transaction that changed nothing.
///
/// # Errors
/// Those of SQLite.
pub fn abandon(db: &Connection, seq: i64) -> Result<(), CoreError> {
    db.execute("DELETE FROM campo_outbox WHERE seq = ?1", [seq])?;
    copy::remove(db, seq)
}

/// Writes what a transaction does.
///
/// # Errors
/// Those of SQLite.
pub fn complete(
    db: &Connection,
    seq: i64,
    mutations: &[Mutation],
    builds_on: &[ReceiptId],
    position: Option<Position>,
) -> Result<(), CoreError> {
    let position = position.map(|p| serde_json::to_string(&p)).transpose()?;
    db.prepare_cached(
        "UPDATE campo_outbox SET mutations = ?2, builds_on = ?3, position = ?4 WHERE seq = ?1",
    )?
    .execute(params![
        seq,
        serde_json::to_string(mutations)?,
        serde_json::to_string(builds_on)?,
        position
    ])?;
    copy::write(db, seq)
}

/// A kind as it is stored.
#[must_use]
pub fn kind_name(kind: MutationKind) -> &'static str {
    match kind {
        MutationKind::Insert => "insert",
        MutationKind::Update => "update",
        MutationKind::Delete => "delete",
        MutationKind::Restore => "restore",
    }
}

/// Puts a mutation into the view. The caller recomputes the record.
///
/// # Errors
/// Those of SQLite.
pub fn show_mutation(
    db: &Connection,
    seq: i64,
    position: usize,
    shown: &Mutation,
) -> Result<(), CoreError> {
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO campo_mutation
             (seq, position, collection, record, kind, content, checksum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let content = serde_json::to_string(shown)?;
    insert.execute(params![
        seq,
        i64::try_from(position).unwrap_or(i64::MAX),
        shown.collection,
        shown.record.to_string(),
        kind_name(shown.kind),
        content,
        checksum::of_text(&content),
    ])?;
    Ok(())
}

/// The records that a transaction edits, in the view or not (any more).
///
/// # Errors
/// Those of SQLite.
pub fn records(db: &Connection, seq: i64) -> Result<Vec<(String, RecordId)>, CoreError> {
    let mut statement =
        db.prepare_cached("SELECT DISTINCT collection, record FROM campo_mutation WHERE seq = ?1")?;
    let mut found = statement.query([seq])?;
    let mut records = Vec::new();
    while let Some(row) = found.next()? {
        let record: String = row.get(1)?;
        records.push((row.get(0)?, record.parse().map_err(|_| stored("record id"))?));
    }
    Ok(records)
}

/// Reads one transaction.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn get(db: &Connection, id: ReceiptId) -> Result<Option<Entry>, CoreError> {
    let sql = format!("SELECT {COLUMNS} FROM campo_outbox WHERE id = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    statement.query_row([id.to_string()], |row| Ok(Entry::read(row))).optional()?.transpose()
}

/// Reads transactions in the order of sending. `condition` is one of this crate's own constants.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn list(
    db: &Connection,
    condition: &'static str,
    mut take: impl FnMut(Entry) -> Result<bool, CoreError>,
) -> Result<(), CoreError> {
    let order = if planted::is(Bug::OutboxOrderById) { "id" } else { "ord, seq" };
    let sql = format!("SELECT {COLUMNS} FROM campo_outbox WHERE {condition} ORDER BY {order}");
    let mut statement = db.prepare_cached(&sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        if !take(Entry::read(row)?)? {
            break;
        }
    }
    Ok(())
}

/// Changes the state.
///
/// # Errors
/// Those of SQLite.
pub fn set_state(db: &Connection, seq: i64, state: State) -> Result<(), CoreError> {
    db.prepare_cached("UPDATE campo_outbox SET state = ?2 WHERE seq = ?1")?
        .execute(params![seq, state.as_str()])?;
    Ok(())
}
