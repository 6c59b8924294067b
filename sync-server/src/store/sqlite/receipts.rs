//! Receipts.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sync_protocol::wire::receipt::Receipt;
use sync_protocol::wire::review::Authorship;
use sync_protocol::{ReceiptId, RecordId, StreamId, UserId};

use super::columns::ids_json;
use super::error::{damaged, failed};
use super::tables::{batches, generated, variables};
use crate::store::{SettledKey, StoreError, StoredReceipt};

fn receipt(row: &SqliteRow) -> Result<StoredReceipt, StoreError> {
    let body: &str = row.try_get(0).map_err(failed)?;
    serde_json::from_str(body).map_err(damaged)
}

fn json_of(ids: &[ReceiptId]) -> String {
    let ids: Vec<RecordId> = ids.iter().map(|id| RecordId(id.0)).collect();
    ids_json(&ids)
}

/// Those that exist.
pub(super) async fn by_ids(
    connection: &mut SqliteConnection,
    ids: &[ReceiptId],
) -> Result<Vec<StoredReceipt>, StoreError> {
    let rows = sqlx::query(
        "SELECT body FROM sync_receipts \
         WHERE id IN (SELECT unhex(value) FROM json_each(?)) ORDER BY seq",
    )
    .bind(json_of(ids))
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    rows.iter().map(receipt).collect()
}

/// Writes receipts. Each is news to its device, also one that it had seen in another state.
pub(super) async fn save(
    connection: &mut SqliteConnection,
    commit: i64,
    receipts: &[StoredReceipt],
) -> Result<(), StoreError> {
    for range in batches(receipts.len()) {
        let sql = format!(
            "INSERT INTO sync_receipts (id, stream, stamp, seen, body) VALUES {} \
             ON CONFLICT (id) DO UPDATE SET \
             stream = excluded.stream, stamp = excluded.stamp, seen = 0, body = excluded.body",
            variables(range.len(), 5)
        );
        let mut statement = sqlx::query(generated(sql));
        for receipt in &receipts[range] {
            statement = statement
                .bind(receipt.receipt.id.0)
                .bind(receipt.stream.0)
                .bind(commit)
                .bind(0i64)
                .bind(serde_json::to_string(receipt).map_err(damaged)?);
        }
        statement.execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

/// Notes that their device knows them.
pub(super) async fn mark_seen(
    connection: &mut SqliteConnection,
    stream: StreamId,
    user: UserId,
    ids: &[ReceiptId],
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE sync_receipts SET seen = 1 \
         WHERE stream = ? AND id IN (SELECT unhex(value) FROM json_each(?)) \
         AND json_extract(body, '$.user') = ?",
    )
    .bind(stream.0)
    .bind(json_of(ids))
    .bind(user.to_string())
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed)
}

/// Who wrote in a stream last.
pub(super) async fn author_of(
    connection: &mut SqliteConnection,
    stream: StreamId,
) -> Result<Option<Authorship>, StoreError> {
    let row = sqlx::query(
        "SELECT body FROM sync_receipts WHERE stream = ? ORDER BY stamp DESC, seq DESC LIMIT 1",
    )
    .bind(stream.0)
    .fetch_optional(connection)
    .await
    .map_err(failed)?;
    row.map(|row| receipt(&row).map(|receipt| receipt.by)).transpose()
}

/// What was settled after a commit; without one, what the device has not seen. Oldest first, by commit
/// and place in it.
pub(super) async fn settled(
    connection: &mut SqliteConnection,
    stream: StreamId,
    since: Option<i64>,
    after: Option<&SettledKey>,
    limit: usize,
) -> Result<Vec<(SettledKey, Receipt)>, StoreError> {
    let changed = if since.is_some() { "stamp > ?2" } else { "seen = 0 AND ?2 IS NULL" };
    let (after_stamp, after_seq) = match after {
        Some(SettledKey(stamp, seq)) => (*stamp, seq.parse::<i64>().map_err(damaged)?),
        None => (-1, -1),
    };
    let sql = format!(
        "SELECT body, stamp, seq FROM sync_receipts \
         WHERE stream = ?1 AND {changed} AND (stamp, seq) > (?3, ?4) ORDER BY stamp, seq LIMIT ?5"
    );
    let rows = sqlx::query(generated(sql))
        .bind(stream.0)
        .bind(since)
        .bind(after_stamp)
        .bind(after_seq)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.iter()
        .map(|row| {
            let seq: i64 = row.try_get(2).map_err(failed)?;
            let key = SettledKey(row.try_get(1).map_err(failed)?, seq.to_string());
            Ok((key, receipt(row)?.receipt))
        })
        .collect()
}
