//! Housekeeping of the tenants' files.
//!
//! Nothing of it is news to a device, so it leaves no commit in the history.

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use sync_protocol::TenantId;
use sync_protocol::planted::{self, Bug};
use tokio::sync::Mutex;

use super::error::failed;
use super::tenants::Tenants;
use crate::store::{Retention, StoreError, Tidied};

/// How many lines of the users' log are kept.
const USER_LINES_KEPT: i64 = 10_000;

/// How far a round is.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Tenants that are still to be visited; none between two rounds.
    left: Option<Vec<TenantId>>,
    /// The last receipt of the first of them that was looked at.
    receipt: Option<i64>,
}

/// See [`crate::store::Store::tidy`]. Each part is about one tenant.
pub(super) async fn tidy(
    tenants: &Tenants,
    round: &Mutex<Round>,
    retention: Retention,
) -> Result<Tidied, StoreError> {
    let mut round = round.lock().await;
    if round.left.is_none() {
        let visited =
            if retention.thorough { tenants.list().await? } else { tenants.in_use().await };
        *round = Round { left: Some(visited), receipt: None };
    }
    let left = round.left.get_or_insert_default();
    let Some(tenant) = left.last().copied() else {
        *round = Round::default();
        return Ok(Tidied::default());
    };
    let after = round.receipt.unwrap_or(-1);
    let (done, receipt) = match part(tenants, tenant, after, retention).await {
        Ok(done) => done,
        Err(error) => {
            tracing::warn!(%tenant, %error, "a company was not tidied; the others go on");
            (Tidied::default(), None)
        }
    };
    round.receipt = receipt;
    if !done.more
        && let Some(left) = &mut round.left
    {
        left.pop();
    }
    Ok(Tidied { more: true, ..done })
}

/// A part of one tenant; answers the last receipt that was looked at, if there are more.
async fn part(
    tenants: &Tenants,
    tenant: TenantId,
    after: i64,
    retention: Retention,
) -> Result<(Tidied, Option<i64>), StoreError> {
    let file = tenants.get(tenant).await?;
    let mut connection = file.writer.acquire().await.map_err(failed)?;
    // A connection that comes back in a transaction is rolled back.
    run(&mut connection, "BEGIN IMMEDIATE").await?;
    let limit = i64::try_from(retention.rows_max).unwrap_or(i64::MAX);
    let tokens = tokens(&mut connection, retention.tokens_before_us, limit).await?;
    let tombstones = tombstones(&mut connection, retention.tombstones_before_us, limit).await?;
    let (receipts, last) = match retention.thorough {
        true => receipts(&mut connection, after, retention.receipts_before_us, limit).await?,
        false => (0, None),
    };
    let user_lines = user_lines(&mut connection, limit).await?;
    run(&mut connection, "COMMIT").await?;
    let full = |count: u64| count >= retention.rows_max as u64;
    let more = full(tokens) || full(tombstones) || full(user_lines) || last.is_some();
    let done = Tidied { tokens, tombstones, receipts, user_lines, more, ..Tidied::default() };
    Ok((done, last))
}

/// Whoever comes back with an older mark is told that anything may have moved.
async fn user_lines(connection: &mut SqliteConnection, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "DELETE FROM sync_user_log WHERE seq IN (SELECT seq FROM sync_user_log \
         WHERE seq <= (SELECT max(seq) FROM sync_user_log) - ?1 ORDER BY seq LIMIT ?2)",
    )
    .bind(USER_LINES_KEPT)
    .bind(limit)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected())
}

async fn run(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(connection).await.map(|_| ()).map_err(failed)
}

async fn tokens(
    connection: &mut SqliteConnection,
    before_us: i64,
    limit: i64,
) -> Result<u64, StoreError> {
    const OLD: &str = "SELECT hash FROM sync_refresh_tokens WHERE expires_at_us < ?1 \
                       ORDER BY expires_at_us, hash LIMIT ?2";
    // What was drawn from a token that goes stands alone.
    let unlink = format!("UPDATE sync_refresh_tokens SET parent = NULL WHERE parent IN ({OLD})");
    let remove = format!("DELETE FROM sync_refresh_tokens WHERE hash IN ({OLD})");
    let mut removed = 0;
    for sql in [unlink, remove] {
        let done = sqlx::query(super::tables::generated(sql)).bind(before_us).bind(limit);
        removed = done.execute(&mut *connection).await.map_err(failed)?.rows_affected();
    }
    if removed > 0 {
        run(
            connection,
            "DELETE FROM sync_refresh_families WHERE id NOT IN (SELECT family FROM sync_refresh_tokens)",
        )
        .await?;
    }
    Ok(removed)
}

async fn tombstones(
    connection: &mut SqliteConnection,
    before_us: i64,
    limit: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "UPDATE sync_rows SET tombstone = '{}' WHERE (collection, record) IN ( \
           SELECT r.collection, r.record FROM sync_rows r INDEXED BY sync_rows_tombstones \
           JOIN sync_collections n ON n.id = r.collection \
           WHERE r.deleted = 1 AND r.tombstone <> '{}' AND r.deleted_at_us < ?1 \
           AND (?3 OR NOT EXISTS (SELECT 1 FROM sync_conflicts c WHERE c.collection = n.name \
             AND c.record = r.record AND c.status IN ('open', 'claimed'))) LIMIT ?2)",
    )
    .bind(before_us)
    .bind(limit)
    .bind(planted::is(Bug::ContentInReviewForgotten))
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected())
}

/// Looks through the next receipts; answers how many lost their details, and the last one that was
/// looked at, if there are more.
async fn receipts(
    connection: &mut SqliteConnection,
    after: i64,
    before_us: i64,
    limit: i64,
) -> Result<(u64, Option<i64>), StoreError> {
    let part = sqlx::query(
        "SELECT count(*), max(seq) FROM ( \
           SELECT seq FROM sync_receipts WHERE seq > ? ORDER BY seq LIMIT ?)",
    )
    .bind(after)
    .bind(limit)
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    let looked: i64 = part.try_get(0).map_err(failed)?;
    let Some(last) = part.try_get::<Option<i64>, _>(1).map_err(failed)? else {
        return Ok((0, None));
    };
    let done = sqlx::query(
        "UPDATE sync_receipts SET body = json_remove(body, '$.receipt.mutations') \
         WHERE seq > ? AND seq <= ? AND (seen = 1 OR ?) \
         AND json_extract(body, '$.receipt.settled_at_us') < ? \
         AND json_type(body, '$.receipt.mutations') IS NOT NULL \
         AND instr(body, '\"conflict\":') = 0 AND instr(body, '\"alias\":') = 0 \
         AND NOT EXISTS (SELECT 1 FROM sync_receipt_echoes e \
           WHERE e.receipt = sync_receipts.id AND e.seen = 0)",
    )
    .bind(after)
    .bind(last)
    .bind(planted::is(Bug::UnseenReceiptForgotten))
    .bind(before_us)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok((done.rows_affected(), (looked == limit).then_some(last)))
}
