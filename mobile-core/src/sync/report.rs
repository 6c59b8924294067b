//! How far a round is, and how it went.

use serde::Serialize;

/// What a round is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing.
    Idle,
    /// Sends edits.
    Pushing,
    /// Fetches rows.
    Pulling,
    /// Sends photos.
    Photos,
}

/// How far a round is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Transactions that have an answer.
    pub sent: u64,
    /// Rows that are here.
    pub rows: u64,
    /// Rows that remain, as far as the server knows.
    pub remaining: u64,
    /// Files of photos that can go and have not.
    pub photos_left: u64,
    /// Bytes of photos that the server does not have, also of those that wait for something.
    pub photo_bytes_left: u64,
}

impl Progress {
    pub(super) fn at_begin(phase: Phase) -> Self {
        Self { phase, sent: 0, rows: 0, remaining: 0, photos_left: 0, photo_bytes_left: 0 }
    }
}

/// How a round went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// Transactions that were answered.
    pub sent: u64,
    /// Of those: took effect.
    pub applied: u64,
    /// Of those: somebody else's edit stands in at least one field.
    pub superseded: u64,
    /// Of those: a person decides.
    pub in_review: u64,
    /// Of those: refused.
    pub refused: u64,
    /// Of those: wait for the correction of a refused one.
    pub parked: u64,
    /// Rows that came.
    pub rows: u64,
    /// Rows that left.
    pub exits: u64,
    /// Edits whose outcome is in the tables now.
    pub settled: u64,
    /// Sets of rows (of a collection in a scope) that were not what the server counts, and were repaired.
    pub differing: u64,
    /// Bookkeeping that could not be read, and was mended.
    pub mended: u64,
    /// Files of photos that the server has confirmed.
    pub photos: u64,
    /// Their bytes.
    pub photo_bytes: u64,
}
