//! Housekeeping: what would grow for ever, and nobody needs any more.
//!
//! | what | when | what stays |
//! |---|---|---|
//! | refresh tokens | a day after they expired | nothing |
//! | details of receipts | 90 days after they were settled, once the devices have seen them, if no conflict and no other id of a record is named | id, state and content hash, so that an old edit that comes again is known |
//! | content of deleted rows | 90 days after the server learned of the deletion, if no conflict is open about them | the id, which is never used again |
//! | lines of the scope log (PostgreSQL) | after a minute | one for each scope and collection |
//! | lines of the users' log, which event streams read | after a day (PostgreSQL), beyond the newest 10,000 (SQLite) | nothing |
//!
//! Each call does a bounded part in short transactions, so that it never holds up people.

/// What is old, and how much to do at once.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Tokens that expired before this are removed, in microseconds since 1970.
    pub tokens_before_us: i64,
    /// Receipts that were settled before this lose their details.
    pub receipts_before_us: i64,
    /// Rows that were deleted before this lose their content.
    pub tombstones_before_us: i64,
    /// Whether to look through all receipts, and, on SQLite, through companies that nobody uses: once
    /// a day.
    pub thorough: bool,
    /// Most rows of each kind in one transaction.
    pub rows_max: usize,
}

const DAY_US: i64 = 24 * 3600 * 1_000_000;

impl Retention {
    /// As the module's table says, at this time.
    #[must_use]
    pub fn at(now_us: i64) -> Self {
        Self {
            tokens_before_us: now_us - DAY_US,
            receipts_before_us: now_us - 90 * DAY_US,
            tombstones_before_us: now_us - 90 * DAY_US,
            thorough: true,
            rows_max: 1_000,
        }
    }
}

/// What a call did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Refresh tokens that were removed.
    pub tokens: u64,
    /// Receipts that lost their details.
    pub receipts: u64,
    /// Deleted rows that lost their content.
    pub tombstones: u64,
    /// Lines of the scope log that became part of others.
    pub log_lines: u64,
    /// Lines of the users' log that were removed.
    pub user_lines: u64,
    /// There may be more to do at once.
    pub more: bool,
}
