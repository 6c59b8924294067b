//! What SQLite's errors mean to a [`StoreError`].

use super::super::error::ConstraintKind;
use crate::random::NoRandomness;
use crate::store::StoreError;

/// Primary result codes that mean waiting: another connection holds the lock.
const BUSY: [i32; 2] = [5, 6];
/// Primary result codes of a disk that is full, fails, or does not let us write:
/// READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB.
const STORAGE: [i32; 6] = [8, 10, 11, 13, 14, 26];
/// The primary result code of all constraint errors.
const CONSTRAINT: i32 = 19;
/// SQLITE_INTERRUPT.
const INTERRUPT: i32 = 9;

/// Turns a missing source of randomness into a store's error.
pub(super) fn no_randomness(error: NoRandomness) -> StoreError {
    StoreError::Internal(error.to_string())
}

/// Turns an error of sqlx into the store's.
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(1);
            from_code(code, database.message())
        }
        sqlx::Error::PoolTimedOut => {
            StoreError::Busy("another transaction of the tenant took too long".to_owned())
        }
        // A tenant's file was closed between finding it open and using it.
        sqlx::Error::PoolClosed => StoreError::Busy("the tenant's file was just closed".to_owned()),
        sqlx::Error::Io(error) => StoreError::Storage(error.to_string()),
        other => StoreError::Internal(other.to_string()),
    }
}

fn from_code(code: i32, message: &str) -> StoreError {
    let primary = code & 0xff;
    let message = message.to_owned();
    if BUSY.contains(&primary) || primary == INTERRUPT {
        return StoreError::Busy(message);
    }
    if STORAGE.contains(&primary) {
        return StoreError::Storage(message);
    }
    if primary != CONSTRAINT {
        return StoreError::Internal(message);
    }
    let kind = match code >> 8 {
        // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY, _ROWID
        8 | 6 | 10 => ConstraintKind::Unique,
        3 => ConstraintKind::ForeignKey,
        5 => ConstraintKind::NotNull,
        _ => ConstraintKind::Check,
    };
    // "UNIQUE constraint failed: materiales.clave": what comes after the colon names it.
    let name = message.split_once("failed: ").map(|(_, name)| name.to_owned());
    StoreError::Constraint { kind, name, message }
}

/// Stored data that cannot be read.
pub(super) fn damaged(what: impl std::fmt::Display) -> StoreError {
    StoreError::Internal(format!("stored data cannot be read: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_constraint_and_a_lock_passes() {
        assert!(matches!(from_code(13, "full"), StoreError::Storage(_)));
        assert!(matches!(from_code(10 | (12 << 8), "disk I/O error"), StoreError::Storage(_)));
        assert!(from_code(5, "locked").is_passing());
        assert!(from_code(517, "BUSY_SNAPSHOT").is_passing());
    }

    #[test]
    fn constraints_tell_their_kind_and_name() {
        for (code, message, kind, name) in [
            (2067, "UNIQUE constraint failed: t.a", ConstraintKind::Unique, Some("t.a")),
            (1555, "UNIQUE constraint failed: t.id", ConstraintKind::Unique, Some("t.id")),
            (787, "FOREIGN KEY constraint failed", ConstraintKind::ForeignKey, None),
            (1299, "NOT NULL constraint failed: t.b", ConstraintKind::NotNull, Some("t.b")),
            (275, "CHECK constraint failed: c", ConstraintKind::Check, Some("c")),
            (1811, "said a trigger", ConstraintKind::Check, None),
        ] {
            match from_code(code, message) {
                StoreError::Constraint { kind: k, name: n, .. } => {
                    assert_eq!((k, n.as_deref()), (kind, name), "{code}");
                }
                other => panic!("{code}: {other:?}"),
            }
        }
    }
}
