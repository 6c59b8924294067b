//! A transaction that writes: READ COMMITTED, so that each statement sees what was committed while
//! it waited for locks.
//!
//! Rows are locked in key order, base row before its bookkeeping entry, which is the order in which
//! plain SQL and the capture triggers take the same two locks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use sync_protocol::merge::{Change, Restoration, RowMeta};
use sync_protocol::schema::Collection;
use sync_protocol::wire::push::PushMark;
use sync_protocol::wire::review::{Authorship, Conflict};
use sync_protocol::{
    ConflictId, Fields, PushId, ReceiptId, RecordId, RowVersion, Scope, StreamId, TenantId, UserId,
    Value,
};
use uuid::Uuid;

use super::ddl::table;
use super::error::store_error;
use super::quote::ident;
use super::{decode, pictures, query, records, referring, write_rows};
use crate::store::{AuditEntry, RowWrite, StoreError, StoredReceipt, StoredRow, WriteTx};

/// See the module's documentation.
pub(super) struct PgWrite {
    pub tx: Transaction<'static, Postgres>,
    pub tenant: TenantId,
    /// The server's time of the changes, in microseconds since 1970.
    pub received_us: i64,
}

/// How rows are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// Until the end of the transaction.
    Write,
    /// Not at all.
    None,
}

impl PgWrite {
    async fn grants_of(&mut self, user: UserId, gone: bool) -> Result<BTreeSet<Scope>, StoreError> {
        let rows = query(
            "SELECT scope FROM sync.grants WHERE tenant_id = $1 AND user_id = $2 AND gone = $3",
        )
        .bind(self.tenant.0)
        .bind(user.0)
        .bind(gone)
        .fetch_all(&mut *self.tx)
        .await
        .map_err(store_error)?;
        rows.iter().map(|row| scope(row, 0)).collect()
    }
}

#[async_trait]
impl WriteTx for PgWrite {
    fn received_at(&mut self, now_us: i64) {
        self.received_us = now_us;
    }

    async fn write_as(&mut self, writer: StreamId) -> Result<(), StoreError> {
        query("SELECT set_config('campo.stream', $1, true)")
            .bind(super::stream_setting(writer))
            .execute(&mut *self.tx)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn lock_stream(&mut self, stream: StreamId) -> Result<(), StoreError> {
        query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(format!("campo stream {} {stream}", self.tenant))
            .execute(&mut *self.tx)
            .await
            .map_err(|error| match store_error(error) {
                // No row is in the way, but another push of the same stream.
                StoreError::Locked(message) => StoreError::Busy(message),
                other => other,
            })?;
        Ok(())
    }

    async fn wait_for_locks(&mut self, at_most: Duration) -> Result<(), StoreError> {
        // 0 would mean for ever.
        query("SELECT set_config('lock_timeout', $1, true)")
            .bind(format!("{}ms", at_most.as_millis().max(1)))
            .execute(&mut *self.tx)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn follow(
        &mut self,
        stream: StreamId,
        mark: &PushMark,
    ) -> Result<Option<PushId>, StoreError> {
        records::follow(&mut self.tx, self.tenant, stream, mark).await
    }

    async fn scopes_of(&mut self, user: UserId) -> Result<BTreeSet<Scope>, StoreError> {
        self.grants_of(user, false).await
    }

    async fn lost_scopes(&mut self, user: UserId) -> Result<BTreeSet<Scope>, StoreError> {
        self.grants_of(user, true).await
    }

    async fn once_held(
        &mut self,
        user: UserId,
        collection: &Collection,
        ids: &[RecordId],
    ) -> Result<BTreeSet<RecordId>, StoreError> {
        let rows = query(
            "SELECT DISTINCT m.record_id FROM sync.memberships m \
             JOIN sync.grants g ON g.tenant_id = m.tenant_id AND g.scope = m.scope \
             WHERE m.tenant_id = $1 AND m.collection = $2 AND m.record_id = ANY($3) \
               AND g.tenant_id = $1 AND g.user_id = $4",
        )
        .bind(self.tenant.0)
        .bind(collection.name.clone())
        .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
        .bind(user.0)
        .fetch_all(&mut *self.tx)
        .await
        .map_err(store_error)?;
        rows.iter().map(|row| row.try_get(0).map(RecordId).map_err(store_error)).collect()
    }

    async fn receipts(&mut self, ids: &[ReceiptId]) -> Result<Vec<StoredReceipt>, StoreError> {
        records::receipts(&mut self.tx, self.tenant, ids, Lock::None).await
    }

    async fn lock_receipts(&mut self, ids: &[ReceiptId]) -> Result<Vec<StoredReceipt>, StoreError> {
        records::receipts(&mut self.tx, self.tenant, ids, Lock::Write).await
    }

    async fn lock_rows(
        &mut self,
        collection: &Collection,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, StoredRow>, StoreError> {
        rows(&mut self.tx, self.tenant, collection, ids, Lock::Write).await
    }

    async fn rows(
        &mut self,
        collection: &Collection,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, StoredRow>, StoreError> {
        rows(&mut self.tx, self.tenant, collection, ids, Lock::None).await
    }

    async fn grant(&mut self, user: UserId, scope: &Scope) -> Result<(), StoreError> {
        records::grant(&mut self.tx, self.tenant, user, scope).await
    }

    async fn author_of(&mut self, stream: StreamId) -> Result<Option<Authorship>, StoreError> {
        records::author_of(&mut self.tx, self.tenant, stream).await
    }

    async fn find_by_natural_key(
        &mut self,
        collection: &Collection,
        keys: &[Vec<Value>],
    ) -> Result<Vec<Option<RecordId>>, StoreError> {
        write_rows::find_by_natural_key(&mut self.tx, self.tenant, collection, keys).await
    }

    async fn known_pictures(
        &mut self,
        photos: &[&Collection],
        hashes: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, StoreError> {
        pictures::known(&mut self.tx, self.tenant, photos, hashes).await
    }

    async fn referring(
        &mut self,
        collection: &Collection,
        field: &str,
        to: &[RecordId],
    ) -> Result<Vec<RecordId>, StoreError> {
        referring::referring(&mut self.tx, self.tenant, collection, field, to).await
    }

    async fn write_rows(
        &mut self,
        collection: &Collection,
        writes: &[RowWrite],
    ) -> Result<Vec<RowVersion>, StoreError> {
        write_rows::write_rows(&mut self.tx, self.tenant, self.received_us, collection, writes)
            .await
    }

    async fn savepoint(&mut self) -> Result<(), StoreError> {
        self.run("SAVEPOINT campo").await
    }

    async fn release_savepoint(&mut self) -> Result<(), StoreError> {
        // What a deferred constraint would say at the commit, it says of this part alone.
        self.run("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED").await?;
        self.run("RELEASE SAVEPOINT campo").await
    }

    async fn rollback_to_savepoint(&mut self) -> Result<(), StoreError> {
        self.run("ROLLBACK TO SAVEPOINT campo; RELEASE SAVEPOINT campo").await
    }

    async fn save_receipts(&mut self, receipts: &[StoredReceipt]) -> Result<(), StoreError> {
        records::save_receipts(&mut self.tx, self.tenant, receipts).await
    }

    async fn echo_receipts(
        &mut self,
        stream: StreamId,
        ids: &[ReceiptId],
    ) -> Result<(), StoreError> {
        records::echo(&mut self.tx, self.tenant, stream, ids).await
    }

    async fn mark_seen(&mut self, stream: StreamId, ids: &[ReceiptId]) -> Result<(), StoreError> {
        records::mark_seen(&mut self.tx, self.tenant, stream, ids).await
    }

    async fn open_conflicts(
        &mut self,
        collection: &str,
        records: &[RecordId],
    ) -> Result<Vec<Conflict>, StoreError> {
        records::open_conflicts(&mut self.tx, self.tenant, collection, records).await
    }

    async fn lock_conflict(&mut self, id: ConflictId) -> Result<Option<Conflict>, StoreError> {
        records::lock_conflict(&mut self.tx, self.tenant, id).await
    }

    async fn save_conflict(&mut self, conflict: &Conflict) -> Result<(), StoreError> {
        records::save_conflict(&mut self.tx, self.tenant, conflict).await
    }

    async fn audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        records::audit(&mut self.tx, self.tenant, entry).await
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.tx.commit().await.map_err(store_error)
    }
}

impl PgWrite {
    async fn run(&mut self, sql: &'static str) -> Result<(), StoreError> {
        sqlx::raw_sql(sql).execute(&mut *self.tx).await.map_err(store_error)?;
        Ok(())
    }
}

/// Rows with their bookkeeping, deleted ones included. Locked, they are locked in key order.
pub(super) async fn rows(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
    collection: &Collection,
    ids: &[RecordId],
    lock: Lock,
) -> Result<BTreeMap<RecordId, StoredRow>, StoreError> {
    let wanted: BTreeSet<Uuid> = ids.iter().map(|id| id.0).collect();
    let mut found = live_rows(tx, tenant, collection, &wanted, lock).await?;
    let missing: Vec<Uuid> =
        wanted.into_iter().filter(|id| !found.contains_key(&RecordId(*id))).collect();
    if missing.is_empty() {
        return Ok(found);
    }
    let sql = format!(
        "SELECT record_id, version, born_w, born_t, born_u, fields, restored_v, restored_w, \
         deleted_v, deleted_w, deleted_t, deleted_u, tombstone FROM sync.rows \
         WHERE tenant_id = $1 AND collection = $2 AND record_id = ANY($3) ORDER BY record_id{}",
        if lock == Lock::Write { " FOR NO KEY UPDATE" } else { "" }
    );
    let deleted = query(sql)
        .bind(tenant.0)
        .bind(&collection.name)
        .bind(missing)
        .fetch_all(&mut **tx)
        .await
        .map_err(store_error)?;
    for row in &deleted {
        let Some(version) = row.try_get::<Option<i64>, _>(8).map_err(store_error)? else {
            return Err(StoreError::Busy("a row came while it was read".to_owned()));
        };
        let mut meta = meta(row)?;
        meta.deleted = Some(Change {
            version,
            writer: StreamId(row.try_get(9).map_err(store_error)?),
            at_us: row.try_get(10).map_err(store_error)?,
            uncertain: row.try_get(11).map_err(store_error)?,
        });
        let tombstone = decode::bytes(row, 12)?.map(decode::json).transpose()?.unwrap_or_default();
        let id = RecordId(row.try_get(0).map_err(store_error)?);
        found.insert(id, StoredRow { fields: tombstone_fields(collection, &tombstone), meta });
    }
    Ok(found)
}

async fn live_rows(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
    collection: &Collection,
    ids: &BTreeSet<Uuid>,
    lock: Lock,
) -> Result<BTreeMap<RecordId, StoredRow>, StoreError> {
    let columns: String =
        collection.fields.iter().map(|f| format!(", b.{}", ident(&f.name))).collect();
    // The ids stand on both sides of the join: on one only, the planner may read all entries of the
    // collection.
    let sql = format!(
        "SELECT b.id, r.version, r.born_w, r.born_t, r.born_u, r.fields, r.restored_v, \
         r.restored_w{columns} FROM {} b \
         JOIN sync.rows r ON r.tenant_id = b.tenant_id AND r.collection = $2 AND r.record_id = b.id \
         WHERE b.tenant_id = $1 AND b.id = ANY($3) AND r.tenant_id = $1 AND r.record_id = ANY($3) \
         ORDER BY b.id{}",
        table(collection),
        if lock == Lock::Write { " FOR NO KEY UPDATE OF b, r" } else { "" }
    );
    let rows = query(sql)
        .bind(tenant.0)
        .bind(&collection.name)
        .bind(ids.iter().copied().collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await
        .map_err(store_error)?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let mut fields = Fields::new();
        for (position, field) in collection.fields.iter().enumerate() {
            let value = decode::value(&field.kind, decode::bytes(row, 8 + position)?)?;
            fields.insert(field.name.clone(), value);
        }
        let id = RecordId(row.try_get(0).map_err(store_error)?);
        found.insert(id, StoredRow { fields, meta: meta(row)? });
    }
    Ok(found)
}

/// Version, insertion, fields and restoration, in columns 1 to 7.
fn meta(row: &PgRow) -> Result<RowMeta, StoreError> {
    let fields = decode::bytes(row, 5)?.map(decode::json).transpose()?.unwrap_or_default();
    let fields = serde_json::from_value(fields)
        .map_err(|e| StoreError::Internal(format!("sync.rows.fields: {e}")))?;
    let born = Change {
        version: 1,
        writer: StreamId(row.try_get(2).map_err(store_error)?),
        at_us: row.try_get(3).map_err(store_error)?,
        uncertain: row.try_get(4).map_err(store_error)?,
    };
    let restored: Option<RowVersion> = row.try_get(6).map_err(store_error)?;
    let restored = restored
        .map(|version| {
            let writer = StreamId(row.try_get(7).map_err(store_error)?);
            Ok::<_, StoreError>(Restoration { version, writer })
        })
        .transpose()?;
    let version = row.try_get(1).map_err(store_error)?;
    Ok(RowMeta { version, born, fields, deleted: None, restored })
}

/// The content of a tombstone. A field that was added since has its default.
pub(super) fn tombstone_fields(collection: &Collection, tombstone: &serde_json::Value) -> Fields {
    collection
        .fields
        .iter()
        .map(|field| {
            let kept = tombstone.get(&field.name).and_then(|json| field.limit(Some(json)));
            (field.name.clone(), kept.unwrap_or_else(|| field.default_value()))
        })
        .collect()
}

/// A scope in a text column.
pub(super) fn scope(row: &PgRow, index: usize) -> Result<Scope, StoreError> {
    let text: String = row.try_get(index).map_err(store_error)?;
    text.parse().map_err(|e| StoreError::Internal(format!("a stored scope: {e}")))
}
