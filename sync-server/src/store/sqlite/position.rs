//! Positions: what a cursor says about a tenant's history.

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::error::failed;
use crate::store::{Position, StoreError};

/// The newest commit: its number and its witness.
pub(super) async fn newest(connection: &mut SqliteConnection) -> Result<(i64, String), StoreError> {
    let row = sqlx::query(
        "SELECT commit_no, lower(hex(witness)) FROM sync_history ORDER BY commit_no DESC LIMIT 1",
    )
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    Ok((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?))
}

/// The position of a commit.
pub(super) fn position(incarnation: &str, commit: i64, witness: &str) -> Position {
    Position::Sqlite { epoch: format!("{incarnation}:{witness}"), commit }
}

/// Whether the history has this position.
pub(super) async fn knows(
    connection: &mut SqliteConnection,
    incarnation: &str,
    position: &Position,
) -> Result<bool, StoreError> {
    let Position::Sqlite { epoch, commit } = position else { return Ok(false) };
    let Some((of, witness)) = epoch.split_once(':') else { return Ok(false) };
    if of != incarnation {
        return Ok(false);
    }
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM sync_history WHERE commit_no = ? AND lower(hex(witness)) = ?",
    )
    .bind(*commit)
    .bind(witness.to_owned())
    .fetch_optional(connection)
    .await
    .map_err(failed)?;
    Ok(found.is_some())
}

/// The commit after which things are new. Everything is new to a position of another kind of store.
pub(super) fn since(position: &Position) -> i64 {
    match position {
        Position::Sqlite { commit, .. } => *commit,
        Position::Postgres { .. } => -1,
    }
}
