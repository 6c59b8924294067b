//! How a transaction begins, so that a caller who goes away in the middle leaves none behind.
//!
//! sqlx 0.9 notes a transaction only when the answer to `BEGIN` was read. A future that is dropped
//! before (its phone hung up) leaves the session in a transaction that nobody knows of, and the
//! pool hands it on: the next one's `BEGIN ISOLATION LEVEL …` fails, or the session stays idle in a
//! transaction (<https://github.com/transact-rs/sqlx/issues/4393>, mended after 0.9.0). So `BEGIN` runs in a
//! task of its own, which reads the answer in any case; a transaction that nobody takes any more is
//! dropped there, and rolled back.

use sqlx::{PgPool, Postgres, SqlSafeStr as _, Transaction};

use super::error::store_error;
use crate::store::StoreError;

/// What a transaction is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// Reads and writes what others have committed.
    Write,
    /// Reads one snapshot.
    Snapshot,
}

impl Purpose {
    fn statement(self) -> &'static str {
        match self {
            Self::Write => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Self::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }
}

/// Begins a transaction on a connection of the pool.
///
/// # Errors
/// As [`store_error`] tells them; [`StoreError::Busy`] while the server stops.
pub(super) async fn begin(
    pool: &PgPool,
    purpose: Purpose,
) -> Result<Transaction<'static, Postgres>, StoreError> {
    // Whoever goes away while waiting for a connection leaves the queue.
    let connection = pool.acquire().await.map_err(store_error)?;
    let statement = Some(purpose.statement().into_sql_str());
    let begun = tokio::spawn(Transaction::begin(connection, statement));
    match begun.await {
        Ok(transaction) => transaction.map_err(store_error),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(StoreError::Busy(format!("the server stops: {error}"))),
    }
}
