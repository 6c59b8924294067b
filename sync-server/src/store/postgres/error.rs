//! PostgreSQL's errors as the store's: what passes, what the tables refuse, what is broken.

use sqlx::postgres::PgDatabaseError;

use crate::store::StoreError;
use crate::store::error::ConstraintKind;

/// Sorts an error by its SQLSTATE. Details, which hold values of rows, are left out.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(database) => {
            let Some(pg) = database.try_downcast_ref::<PgDatabaseError>() else {
                return StoreError::Internal(error.to_string());
            };
            by_state(pg)
        }
        sqlx::Error::PoolTimedOut => {
            StoreError::Busy("all connections to the database are in use".to_owned())
        }
        sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            StoreError::Busy(format!("no connection to the database: {error}"))
        }
        _ => StoreError::Internal(error.to_string()),
    }
}

fn by_state(error: &PgDatabaseError) -> StoreError {
    let message = error.message().to_owned();
    let constraint = |kind| StoreError::Constraint {
        kind,
        name: error.constraint().map(str::to_owned),
        message: message.clone(),
    };
    match error.code() {
        "23505" | "23P01" => constraint(ConstraintKind::Unique),
        "23503" => constraint(ConstraintKind::ForeignKey),
        "23502" => StoreError::Constraint {
            kind: ConstraintKind::NotNull,
            name: error.column().map(str::to_owned),
            message,
        },
        // A check, an exception of a trigger, and values that a column's type does not take.
        "23514" | "P0001" | "22001" | "22003" | "22007" | "22008" | "22021" | "22P02" | "22P05" => {
            constraint(ConstraintKind::Check)
        }
        "55P03" => StoreError::Locked(message),
        // Serialization failure, deadlock, statement timeout, idle transaction.
        "40001" | "40P01" | "57014" | "25P03" => StoreError::Busy(message),
        // Full disk, file limits, I/O errors.
        "53100" | "58000" | "58030" => StoreError::Storage(message),
        code if code.starts_with("53") || code.starts_with("08") || code.starts_with("57P") => {
            StoreError::Busy(message)
        }
        // Tables, columns, functions or rights that are missing.
        "42P01" | "42703" | "42883" | "42501" | "3F000" | "28000" | "28P01" | "3D000" => {
            StoreError::Setup(format!("{message}; run `sync-server migrate`"))
        }
        // An integrity error, or an exception with another state raised by a trigger.
        // Also what fails inside an ERP's own trigger or index: a division by zero, a value that is
        // too large, something it does not support. It is some edit's doing, and must be found.
        code if ["0A", "21", "22", "38", "39", "44", "54"].iter().any(|c| code.starts_with(c)) => {
            constraint(ConstraintKind::Check)
        }
        code if code.starts_with("23") || code.starts_with('P') || code.starts_with("U") => {
            constraint(ConstraintKind::Check)
        }
        code => StoreError::Internal(format!("{message} ({code})")),
    }
}
