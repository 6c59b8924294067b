//! Housekeeping by functions of the numbered files: `0007_housekeeping.sql`, `0009_retention.sql`,
//! `0014_changes.sql` and `0015_receipts.sql` of `migrations/postgres`.

use sqlx::{PgPool, Row as _};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::begin::{Purpose, begin};
use super::error::store_error;
use super::query;
use crate::store::{Retention, StoreError, Tidied};

/// The last receipt that was looked at: tenant and id.
pub(super) type Place = Mutex<(Uuid, Uuid)>;

/// See [`crate::store::Store::tidy`].
pub(super) async fn tidy(
    pool: &PgPool,
    place: &Place,
    retention: Retention,
) -> Result<Tidied, StoreError> {
    let rows_max = i32::try_from(retention.rows_max).unwrap_or(i32::MAX);
    let tokens = count(
        pool,
        query("SELECT sync.tidy_tokens($1, $2)").bind(retention.tokens_before_us).bind(rows_max),
    );
    let tokens = tokens.await?;
    let tombstones = query("SELECT sync.tidy_tombstones($1, $2)");
    let tombstones = tombstones.bind(retention.tombstones_before_us).bind(rows_max);
    let tombstones = count(pool, tombstones).await?;
    let log_lines = count(pool, query("SELECT sync.fold_scope_log($1)").bind(rows_max)).await?;
    let user_lines = count(pool, query("SELECT sync.tidy_user_log($1)").bind(rows_max)).await?;
    let marks = count(pool, query("SELECT sync.fold_seen($1)").bind(rows_max)).await?;
    let (receipts, through) = match retention.thorough {
        true => receipts(pool, place, retention.receipts_before_us, rows_max).await?,
        false => (0, true),
    };
    let full = |count: u64| count >= retention.rows_max as u64;
    // Of the lines that were taken up, at least every second one is gone.
    let many_lines = log_lines > 0 && log_lines.saturating_add(1) >= retention.rows_max as u64 / 2;
    let more = full(tokens)
        || full(tombstones)
        || full(marks)
        || full(user_lines)
        || many_lines
        || !through;
    Ok(Tidied { tokens, receipts, tombstones, log_lines, user_lines, more })
}

type Statement = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

async fn count(pool: &PgPool, statement: Statement) -> Result<u64, StoreError> {
    let mut tx = begin(pool, Purpose::Write).await?;
    let row = statement.fetch_one(&mut *tx).await.map_err(store_error)?;
    tx.commit().await.map_err(store_error)?;
    let count: i64 = row.try_get(0).map_err(store_error)?;
    Ok(count.unsigned_abs())
}

/// Looks through the next receipts; at the end it begins anew, which it answers as well.
async fn receipts(
    pool: &PgPool,
    place: &Place,
    before_us: i64,
    rows_max: i32,
) -> Result<(u64, bool), StoreError> {
    let mut place = place.lock().await;
    let mut tx = begin(pool, Purpose::Write).await?;
    let row = query(
        "SELECT forgotten, looked, last_tenant, last_id FROM sync.tidy_receipts($1, $2, $3, $4)",
    )
    .bind(place.0)
    .bind(place.1)
    .bind(before_us)
    .bind(rows_max)
    .fetch_one(&mut *tx)
    .await
    .map_err(store_error)?;
    tx.commit().await.map_err(store_error)?;
    let forgotten: i64 = row.try_get(0).map_err(store_error)?;
    let looked: i64 = row.try_get(1).map_err(store_error)?;
    let through = looked < i64::from(rows_max);
    let last: (Option<Uuid>, Option<Uuid>) =
        (row.try_get(2).map_err(store_error)?, row.try_get(3).map_err(store_error)?);
    *place = match last {
        (Some(tenant), Some(id)) if !through => (tenant, id),
        _ => (Uuid::nil(), Uuid::nil()),
    };
    Ok((forgotten.unsigned_abs(), through))
}
