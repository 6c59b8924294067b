//! Receipts, conflicts, grants and the audit trail. Their bodies are kept as JSON text, exactly as
//! they are told; beside it stand the columns by which they are looked up.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use sync_protocol::wire::push::PushMark;
use sync_protocol::wire::review::{Authorship, Conflict};
use sync_protocol::{ConflictId, PushId, ReceiptId, RecordId, Scope, StreamId, TenantId, UserId};
use uuid::Uuid;

use super::error::store_error;
use super::query;
use super::write::Lock;
use crate::store::{AuditEntry, ConflictFilter, SettledKey, StoreError, StoredReceipt};

type Tx = Transaction<'static, Postgres>;

pub(super) async fn receipts(
    tx: &mut Tx,
    tenant: TenantId,
    ids: &[ReceiptId],
    lock: Lock,
) -> Result<Vec<StoredReceipt>, StoreError> {
    let sql = match lock {
        Lock::None => format!("SELECT r.body FROM {}", each("$2", "r.body")),
        Lock::Write => "SELECT body FROM sync.receipts WHERE tenant_id = $1 AND id = ANY($2) \
             ORDER BY id FOR UPDATE"
            .to_owned(),
    };
    let rows = query(sql)
        .bind(tenant.0)
        .bind(each_once(ids))
        .fetch_all(&mut **tx)
        .await
        .map_err(store_error)?;
    rows.iter().map(|row| read(row, 0)).collect()
}

fn each_once(ids: &[ReceiptId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect::<BTreeSet<Uuid>>().into_iter().collect()
}

/// Each receipt of a parameter's ids, by the key, as `r`. With the ids in a condition, the planner may read
/// all receipts of the company or the stream instead.
fn each(ids: &str, columns: &str) -> String {
    format!(
        "unnest({ids}::uuid[]) AS u (id) CROSS JOIN LATERAL (SELECT {columns} FROM sync.receipts r \
         WHERE r.tenant_id = $1 AND r.id = u.id LIMIT 1) r"
    )
}

pub(super) async fn save_receipts(
    tx: &mut Tx,
    tenant: TenantId,
    receipts: &[StoredReceipt],
) -> Result<(), StoreError> {
    // A refused name may have a NUL in it, which PostgreSQL's JSON functions stumble over.
    let body = |receipt| text(receipt).map(|text| text.replace("\\u0000", "\\ufffd"));
    let bodies = receipts.iter().map(body).collect::<Result<Vec<String>, _>>()?;
    let saved = query(
        "INSERT INTO sync.receipts (tenant_id, id, stream, settled_at_us, body) \
         SELECT $1, u.id, u.stream, u.settled, u.body \
         FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::text[]) AS u (id, stream, settled, body) \
         ORDER BY u.id \
         ON CONFLICT (tenant_id, id) DO UPDATE SET \
         settled_at_us = EXCLUDED.settled_at_us, body = EXCLUDED.body, seen = false, \
         rewritten = true \
         WHERE receipts.stream = EXCLUDED.stream",
    )
    .bind(tenant.0)
    .bind(receipts.iter().map(|r| r.receipt.id.0).collect::<Vec<Uuid>>())
    .bind(receipts.iter().map(|r| r.stream.0).collect::<Vec<Uuid>>())
    .bind(receipts.iter().map(|r| r.receipt.settled_at_us).collect::<Vec<i64>>())
    .bind(bodies)
    .execute(&mut **tx)
    .await
    .map_err(store_error)?;
    if saved.rows_affected() < receipts.len() as u64 {
        return Err(StoreError::Busy(
            "a receipt of another stream has one of these ids".to_owned(),
        ));
    }
    Ok(())
}

/// Tells receipts to another stream as well, from now on.
pub(super) async fn echo(
    tx: &mut Tx,
    tenant: TenantId,
    stream: StreamId,
    ids: &[ReceiptId],
) -> Result<(), StoreError> {
    query(
        "INSERT INTO sync.receipt_echoes (tenant_id, stream, receipt, stamp) \
         SELECT $1, $2, id, pg_current_xact_id() FROM unnest($3::uuid[]) AS id ORDER BY id \
         ON CONFLICT (tenant_id, stream, receipt) DO UPDATE \
         SET stamp = EXCLUDED.stamp, seen = false",
    )
    .bind(tenant.0)
    .bind(stream.0)
    .bind(ids.iter().map(|id| id.0).collect::<Vec<Uuid>>())
    .execute(&mut **tx)
    .await
    .map_err(store_error)?;
    Ok(())
}

/// Receipts of the stream that [marks](mark_seen) name.
const MARKED: &str = "(SELECT unnest(s.receipts) FROM sync.seen_receipts s \
     WHERE s.tenant_id = $1 AND s.stream = $2)";

/// Leaves marks, of at most 1,000 receipts each, which housekeeping turns into flags. Receipts that were
/// written again get their flags at once: a mark does not tell what of them was seen.
pub(super) async fn mark_seen(
    tx: &mut Tx,
    tenant: TenantId,
    stream: StreamId,
    ids: &[ReceiptId],
) -> Result<(), StoreError> {
    query(format!(
        "WITH echoes AS (UPDATE sync.receipt_echoes SET seen = true \
           WHERE tenant_id = $1 AND stream = $2 AND receipt = ANY($3) AND NOT seen), \
         rewritten AS (UPDATE sync.receipts SET seen = true \
           WHERE tenant_id = $1 AND stream = $2 AND rewritten AND NOT seen AND id = ANY($3)) \
         INSERT INTO sync.seen_receipts (tenant_id, stream, receipts) \
         SELECT $1, $2, array_agg(n.id) FROM ( \
           SELECT u.id, row_number() OVER () AS number FROM {} \
           WHERE r.stream = $2 AND NOT r.seen AND NOT r.rewritten AND u.id NOT IN {MARKED}) n \
         GROUP BY n.number / 1000",
        each("$3", "r.stream, r.seen, r.rewritten")
    ))
    .bind(tenant.0)
    .bind(stream.0)
    .bind(each_once(ids))
    .execute(&mut **tx)
    .await
    .map_err(store_error)?;
    Ok(())
}

/// Notes a push as the stream's last one if it may follow the one before, which is answered otherwise.
pub(super) async fn follow(
    tx: &mut Tx,
    tenant: TenantId,
    stream: StreamId,
    mark: &PushMark,
) -> Result<Option<PushId>, StoreError> {
    let noted = query(
        "INSERT INTO sync.streams AS s (tenant_id, stream, last_push) VALUES ($1, $2, $3) \
         ON CONFLICT (tenant_id, stream) DO UPDATE SET last_push = EXCLUDED.last_push \
         WHERE s.last_push = $3 OR s.last_push = ANY($4)",
    )
    .bind(tenant.0)
    .bind(stream.0)
    .bind(mark.id.0)
    .bind(mark.after.iter().map(|id| id.0).collect::<Vec<Uuid>>())
    .execute(&mut **tx)
    .await
    .map_err(store_error)?;
    if noted.rows_affected() > 0 {
        return Ok(None);
    }
    let row = query("SELECT last_push FROM sync.streams WHERE tenant_id = $1 AND stream = $2")
        .bind(tenant.0)
        .bind(stream.0)
        .fetch_one(&mut **tx)
        .await
        .map_err(store_error)?;
    Ok(Some(PushId(row.try_get(0).map_err(store_error)?)))
}

/// Receipts of a stream, and those echoed to it, that were settled after a snapshot; without one, the
/// unseen, and what conflicts are about: a repeated `seen` may speak of what such a receipt said before
/// a decision changed it. Oldest first, by the server's time and the id.
pub(super) async fn settled(
    tx: &mut Tx,
    tenant: TenantId,
    stream: StreamId,
    since: Option<&str>,
    after: Option<&SettledKey>,
    limit: usize,
) -> Result<Vec<(SettledKey, StoredReceipt)>, StoreError> {
    let changed = |table: &str, unseen: &str| match since {
        None => {
            format!("({unseen} OR r.body LIKE '%\"conflict\":%') AND $3::pg_snapshot IS NULL")
        }
        Some(_) => format!(
            "{table}.stamp >= pg_snapshot_xmin($3::pg_snapshot) \
             AND NOT pg_visible_in_snapshot({table}.stamp, $3::pg_snapshot)"
        ),
    };
    let after = after.map(|key| Ok((key.0, parse_id(&key.1)?))).transpose()?;
    let rows = query(format!(
        "SELECT s.settled_at_us, s.id, s.body FROM ( \
           SELECT r.settled_at_us, r.id, r.body FROM sync.receipts r \
             WHERE r.tenant_id = $1 AND r.stream = $2 AND {} \
           UNION ALL SELECT r.settled_at_us, r.id, r.body FROM sync.receipt_echoes e \
             JOIN sync.receipts r ON r.tenant_id = e.tenant_id AND r.id = e.receipt \
             WHERE e.tenant_id = $1 AND e.stream = $2 AND {}) s \
         WHERE ($4::bigint IS NULL OR (s.settled_at_us, s.id) > ($4::bigint, $5::uuid)) \
         ORDER BY s.settled_at_us, s.id LIMIT $6",
        changed("r", &format!("NOT r.seen AND (r.rewritten OR r.id NOT IN {MARKED})")),
        changed("e", "NOT e.seen")
    ))
    .bind(tenant.0)
    .bind(stream.0)
    .bind(since.map(str::to_owned))
    .bind(after.map(|key| key.0))
    .bind(after.map(|key| key.1))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(&mut **tx)
    .await
    .map_err(store_error)?;
    rows.iter()
        .map(|row| {
            let id: Uuid = row.try_get(1).map_err(store_error)?;
            let key = SettledKey(row.try_get(0).map_err(store_error)?, id.to_string());
            Ok((key, read(row, 2)?))
        })
        .collect()
}

fn parse_id(text: &str) -> Result<Uuid, StoreError> {
    text.parse().map_err(|_| StoreError::Internal("a receipt's key of another store".to_owned()))
}

pub(super) async fn author_of(
    tx: &mut Tx,
    tenant: TenantId,
    stream: StreamId,
) -> Result<Option<Authorship>, StoreError> {
    let row = query(
        "SELECT body FROM sync.receipts WHERE tenant_id = $1 AND stream = $2 \
         ORDER BY stamp DESC LIMIT 1",
    )
    .bind(tenant.0)
    .bind(stream.0)
    .fetch_optional(&mut **tx)
    .await
    .map_err(store_error)?;
    row.map(|row| read(&row, 0).map(|stored: StoredReceipt| stored.by)).transpose()
}

pub(super) async fn grant(
    tx: &mut Tx,
    tenant: TenantId,
    user: UserId,
    scope: &Scope,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO sync.grants AS g (tenant_id, user_id, scope) VALUES ($1, $2, $3) \
         ON CONFLICT (tenant_id, user_id, scope) DO UPDATE SET gone = false WHERE g.gone",
    )
    .bind(tenant.0)
    .bind(user.0)
    .bind(scope.as_str().to_owned())
    .execute(&mut **tx)
    .await
    .map_err(store_error)?;
    Ok(())
}

pub(super) async fn open_conflicts(
    tx: &mut Tx,
    tenant: TenantId,
    collection: &str,
    records: &[RecordId],
) -> Result<Vec<Conflict>, StoreError> {
    let rows = query(
        "SELECT body FROM sync.conflicts WHERE tenant_id = $1 AND collection = $2 \
         AND record_id = ANY($3) AND status IN ('open', 'claimed') \
         ORDER BY opened_at_us, id FOR UPDATE",
    )
    .bind(tenant.0)
    .bind(collection.to_owned())
    .bind(records.iter().map(|id| id.0).collect::<Vec<Uuid>>())
    .fetch_all(&mut **tx)
    .await
    .map_err(store_error)?;
    rows.iter().map(|row| read(row, 0)).collect()
}

pub(super) async fn lock_conflict(
    tx: &mut Tx,
    tenant: TenantId,
    id: ConflictId,
) -> Result<Option<Conflict>, StoreError> {
    let row = query("SELECT body FROM sync.conflicts WHERE tenant_id = $1 AND id = $2 FOR UPDATE")
        .bind(tenant.0)
        .bind(id.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(store_error)?;
    row.map(|row| read(&row, 0)).transpose()
}

pub(super) async fn save_conflict(
    tx: &mut Tx,
    tenant: TenantId,
    conflict: &Conflict,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO sync.conflicts (tenant_id, id, collection, record_id, status, severity, \
         opened_at_us, revision, body, scopes, parent_collection, parent_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (tenant_id, id) DO UPDATE SET status = EXCLUDED.status, \
         severity = EXCLUDED.severity, opened_at_us = EXCLUDED.opened_at_us, \
         revision = EXCLUDED.revision, body = EXCLUDED.body, scopes = EXCLUDED.scopes, \
         parent_collection = EXCLUDED.parent_collection, parent_id = EXCLUDED.parent_id",
    )
    .bind(tenant.0)
    .bind(conflict.id.0)
    .bind(conflict.collection.clone())
    .bind(conflict.record.0)
    .bind(word(&conflict.status)?)
    .bind(word(&conflict.severity)?)
    .bind(conflict.opened_at_us)
    .bind(conflict.revision)
    .bind(text(conflict)?)
    .bind(conflict.scopes.iter().map(Scope::to_string).collect::<Vec<String>>())
    .bind(conflict.belongs_to.as_ref().map(|parent| parent.collection.clone()))
    .bind(conflict.belongs_to.as_ref().map(|parent| parent.record.0))
    .execute(&mut **tx)
    .await
    .map_err(store_error)?;
    Ok(())
}

/// Conflicts, oldest first. A row is in the scopes that it is in now; a deleted one in those that
/// it was in when it was deleted; what is not there in those that it would be in, or that its parent is in. (Which of
/// these counts is for the caller to see.)
pub(super) async fn conflicts(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &ConflictFilter,
) -> Result<Vec<Conflict>, StoreError> {
    let status = filter.status.iter().map(word).collect::<Result<Vec<String>, _>>()?;
    let severity = filter.severity.as_ref().map(word).transpose()?;
    let scopes: Vec<String> = filter.scopes.iter().map(Scope::to_string).collect();
    let rows = query(
        "SELECT c.body FROM sync.conflicts c WHERE c.tenant_id = $1 \
         AND (cardinality($2::text[]) = 0 OR c.status = ANY($2::text[])) \
         AND ($3::text IS NULL OR c.severity = $3::text) \
         AND c.collection = ANY($4::text[]) \
         AND ($5::uuid IS NULL OR c.id = $5::uuid) \
         AND ($6::bigint IS NULL OR c.opened_at_us >= $6::bigint) \
         AND ($7::bigint IS NULL OR c.opened_at_us < $7::bigint) \
         AND ($8::bigint IS NULL OR (c.opened_at_us, c.id) > ($8::bigint, $9::uuid)) \
         AND (c.scopes && $10::text[] \
           OR (c.parent_id IS NOT NULL AND EXISTS (SELECT FROM sync.memberships m \
             WHERE m.tenant_id = $1 AND m.collection = c.parent_collection \
             AND m.record_id = c.parent_id AND m.scope = ANY($10::text[]) AND NOT m.gone)) \
           OR EXISTS (SELECT FROM sync.memberships m JOIN sync.rows r \
           ON r.tenant_id = m.tenant_id AND r.collection = m.collection AND r.record_id = m.record_id \
           WHERE m.tenant_id = $1 AND m.collection = c.collection AND m.record_id = c.record_id \
           AND m.scope = ANY($10::text[]) \
           AND (NOT m.gone OR (r.deleted_v IS NOT NULL AND m.stamp = r.stamp)))) \
         ORDER BY c.opened_at_us, c.id LIMIT $11",
    )
    .bind(tenant.0)
    .bind(status)
    .bind(severity)
    .bind(filter.collections.clone())
    .bind(filter.id.map(|id| id.0))
    .bind(filter.opened_after_us)
    .bind(filter.opened_before_us)
    .bind(filter.after.map(|after| after.0))
    .bind(filter.after.map(|after| after.1.0))
    .bind(scopes)
    .bind(i64::try_from(filter.limit).unwrap_or(i64::MAX))
    .fetch_all(&mut **tx)
    .await
    .map_err(store_error)?;
    rows.iter().map(|row| read(row, 0)).collect()
}

pub(super) async fn audit(
    tx: &mut Tx,
    tenant: TenantId,
    entry: &AuditEntry,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO sync.audit (tenant_id, at_us, user_id, action, conflict_id, detail) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant.0)
    .bind(entry.at_us)
    .bind(entry.user.map(|id| id.0))
    .bind(entry.action.clone())
    .bind(entry.conflict.map(|id| id.0))
    .bind(text(&entry.detail)?)
    .execute(&mut **tx)
    .await
    .map_err(store_error)?;
    Ok(())
}

pub(super) async fn audit_trail(
    tx: &mut Tx,
    tenant: TenantId,
    conflict: ConflictId,
) -> Result<Vec<AuditEntry>, StoreError> {
    let rows = query(
        "SELECT at_us, user_id, action, conflict_id, detail FROM sync.audit \
         WHERE tenant_id = $1 AND conflict_id = $2 ORDER BY seq",
    )
    .bind(tenant.0)
    .bind(conflict.0)
    .fetch_all(&mut **tx)
    .await
    .map_err(store_error)?;
    rows.iter()
        .map(|row| {
            Ok(AuditEntry {
                at_us: row.try_get(0).map_err(store_error)?,
                user: row.try_get::<Option<Uuid>, _>(1).map_err(store_error)?.map(UserId),
                action: row.try_get(2).map_err(store_error)?,
                conflict: row.try_get::<Option<Uuid>, _>(3).map_err(store_error)?.map(ConflictId),
                detail: read(row, 4)?,
            })
        })
        .collect()
}

fn read<T: DeserializeOwned>(row: &PgRow, index: usize) -> Result<T, StoreError> {
    let text: String = row.try_get(index).map_err(store_error)?;
    serde_json::from_str(&text).map_err(|e| StoreError::Internal(format!("a stored document: {e}")))
}

fn text<T: Serialize>(document: &T) -> Result<String, StoreError> {
    serde_json::to_string(document).map_err(|e| StoreError::Internal(e.to_string()))
}

/// The word by which an enum goes in JSON.
fn word<T: Serialize>(value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(StoreError::Internal("not a word".to_owned())),
    }
}
