//! A phone that nobody damaged finds no damage: digests that differ without it are a fault of the protocol.

use rusqlite::Connection;

use super::{Checked, Violation, violated};

/// What a run did to a phone's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing, or it is mended: nothing is new in the log of damage after this entry.
    Sound {
        /// The last entry of the log.
        log_end: i64,
    },
    /// It is damaged, and nothing is expected of it until it is mended.
    Damaged,
}

impl Default for Standing {
    fn default() -> Self {
        Self::Sound { log_end: 0 }
    }
}

/// Looks at a sound phone's bookkeeping of damage.
///
/// # Errors
/// The violation.
pub fn check(db: &Connection, log_end: i64) -> Checked {
    let invariant = "a phone that nobody damaged finds no damage";
    let found = list(
        db,
        "SELECT kind || ' ' || place || ': ' || detail FROM campo_damage WHERE seq > ?1
         UNION ALL SELECT 'suspect ' || scope || ' ' || collection FROM campo_suspect
         UNION ALL SELECT 'asked for ' || collection || '/' || record FROM campo_refetch",
        log_end,
    );
    let found = found.expect("a phone's file can be read");
    if found.is_empty() { Ok(()) } else { violated(invariant, found.join("; ")) }
}

/// The last entry of a mended phone's log, in which nothing is left to mend.
///
/// # Errors
/// The violation.
pub fn end(db: &Connection) -> Result<i64, Violation> {
    let left = list(
        db,
        "SELECT kind || ' ' || place || ': ' || detail FROM campo_damage
         WHERE repaired_us IS NULL AND seq > ?1",
        0,
    );
    let left = left.expect("a phone's file can be read");
    if !left.is_empty() {
        return violated("what is damaged is found and mended", left.join("; "));
    }
    let end = db.query_row("SELECT coalesce(max(seq), 0) FROM campo_damage", [], |row| row.get(0));
    Ok(end.expect("a phone's file can be read"))
}

fn list(db: &Connection, sql: &str, after: i64) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare_cached(sql)?;
    let found = statement.query_map([after], |row| row.get(0))?;
    found.collect()
}
