//! Receipts.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sync_protocol::wire::push::PushMark;
use sync_protocol::wire::receipt::Receipt;
use sync_protocol::wire::review::Authorship;
use sync_protocol::{PushId, ReceiptId, RecordId, StreamId};
use uuid::Uuid;

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

/// Tells receipts to another stream as well, from now on.
pub(super) async fn echo(
    connection: &mut SqliteConnection,
    commit: i64,
    stream: StreamId,
    ids: &[ReceiptId],
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sync_receipt_echoes (stream, receipt, stamp, seen) \
         SELECT ?, unhex(value), ?, 0 FROM json_each(?) WHERE true \
         ON CONFLICT (stream, receipt) DO UPDATE SET stamp = excluded.stamp, seen = 0",
    )
    .bind(stream.0)
    .bind(commit)
    .bind(json_of(ids))
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed)
}

/// Notes that their device knows them.
pub(super) async fn mark_seen(
    connection: &mut SqliteConnection,
    stream: StreamId,
    ids: &[ReceiptId],
) -> Result<(), StoreError> {
    let ids = json_of(ids);
    for sql in [
        "UPDATE sync_receipts SET seen = 1 \
         WHERE stream = ?1 AND id IN (SELECT unhex(value) FROM json_each(?2))",
        "UPDATE sync_receipt_echoes SET seen = 1 \
         WHERE stream = ?1 AND receipt IN (SELECT unhex(value) FROM json_each(?2))",
    ] {
        sqlx::query(sql)
            .bind(stream.0)
            .bind(ids.as_str())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// Notes a push as the stream's last one if it may follow the one before, which is answered otherwise.
pub(super) async fn follow(
    connection: &mut SqliteConnection,
    stream: StreamId,
    mark: &PushMark,
) -> Result<Option<PushId>, StoreError> {
    let last: Option<Uuid> =
        sqlx::query_scalar("SELECT last_push FROM sync_streams WHERE stream = ?")
            .bind(stream.0)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
    match last.map(PushId) {
        Some(last) if last == mark.id => return Ok(None),
        Some(last) if !mark.after.contains(&last) => return Ok(Some(last)),
        _ => {}
    }
    sqlx::query(
        "INSERT INTO sync_streams (stream, last_push) VALUES (?, ?) \
         ON CONFLICT (stream) DO UPDATE SET last_push = excluded.last_push",
    )
    .bind(stream.0)
    .bind(mark.id.0)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(None)
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

/// What was settled after a commit; without one, what the device has not seen, and what conflicts are
/// about: a repeated `seen` may speak of what such a receipt said before a decision changed it. Oldest
/// first, by commit and place in it.
pub(super) async fn settled(
    connection: &mut SqliteConnection,
    stream: StreamId,
    since: Option<i64>,
    after: Option<&SettledKey>,
    limit: usize,
) -> Result<Vec<(SettledKey, Receipt)>, StoreError> {
    let changed = |table: &str| match since {
        Some(_) => format!("{table}.stamp > ?2"),
        None => {
            format!("({table}.seen = 0 OR instr(r.body, '\"conflict\":') > 0) AND ?2 IS NULL")
        }
    };
    let (after_stamp, after_seq, after_id) = match after {
        Some(SettledKey(stamp, place)) => {
            let (seq, id) = place.split_once('/').unwrap_or((place, ""));
            (*stamp, seq.parse::<i64>().map_err(damaged)?, id.to_owned())
        }
        None => (-1, -1, String::new()),
    };
    // An echo comes with its own commit, but with its receipt's place: only the id tells it apart
    // from what was settled in that commit.
    let sql = format!(
        "SELECT * FROM ( \
           SELECT r.body, r.stamp AS at, r.seq, hex(r.id) AS id FROM sync_receipts r \
             WHERE r.stream = ?1 AND {} \
           UNION ALL SELECT r.body, e.stamp, r.seq, hex(r.id) FROM sync_receipt_echoes e \
             JOIN sync_receipts r ON r.id = e.receipt WHERE e.stream = ?1 AND {}) \
         WHERE (at, seq, id) > (?3, ?4, ?5) ORDER BY at, seq, id LIMIT ?6",
        changed("r"),
        changed("e")
    );
    let rows = sqlx::query(generated(sql))
        .bind(stream.0)
        .bind(since)
        .bind(after_stamp)
        .bind(after_seq)
        .bind(after_id)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.iter()
        .map(|row| {
            let seq: i64 = row.try_get(2).map_err(failed)?;
            let id: String = row.try_get(3).map_err(failed)?;
            let key = SettledKey(row.try_get(1).map_err(failed)?, format!("{seq}/{id}"));
            Ok((key, receipt(row)?.receipt))
        })
        .collect()
}
