//! One snapshot: a REPEATABLE READ READ ONLY transaction, and the position that it gives cursors.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::{PgPool, Postgres, Row, Transaction};
use sync_protocol::schema::{Collection, Schema};
use sync_protocol::wire::pull::ScopeDigest;
use sync_protocol::wire::receipt::Receipt;
use sync_protocol::wire::review::{Authorship, Conflict};
use sync_protocol::{
    ConflictId, ReceiptId, RecordId, RowVersion, Scope, StreamId, TenantId, UserId,
};

use super::begin::{self, Purpose};
use super::copy::CutCopies;
use super::error::store_error;
use super::write::{Lock, rows, scope};
use super::{digests, page, query, records};
use crate::store::page::GrantChange;
use crate::store::{
    AuditEntry, BackfillQuery, ConflictFilter, DeltaQuery, Grants, PageRows, Position, ReadTx,
    RefetchQuery, SettledKey, StoreError, StoredReceipt, StoredRow,
};

/// The epoch of the history, as SQL. The timeline is that of the WAL that is being written: the control
/// file lags behind a promotion.
pub(super) const EPOCH: &str = "(SELECT system_identifier::text FROM pg_control_system()) || '-' || \
    CASE WHEN pg_is_in_recovery() \
      THEN (SELECT to_hex(timeline_id) FROM pg_control_checkpoint()) \
      ELSE ltrim(left(pg_walfile_name(pg_current_wal_lsn()), 8), '0') END";

/// See the module's documentation.
pub(super) struct PgRead {
    pub tx: Transaction<'static, Postgres>,
    pub tenant: TenantId,
    cut: CutCopies,
    ahead: page::Ahead,
    position: Position,
}

/// Takes a snapshot and reads the newest witness that it sees.
pub(super) async fn begin(
    pool: &PgPool,
    cut: CutCopies,
    tenant: TenantId,
) -> Result<PgRead, StoreError> {
    let mut tx = begin::begin(pool, Purpose::Snapshot).await?;
    let row = query(format!(
        "SELECT set_config('app.current_tenant_id', $1, true), \
         set_config('statement_timeout', '60s', true), \
         {EPOCH}, w.value, w.snapshot::text \
         FROM (SELECT value, snapshot FROM sync.witnesses ORDER BY seq DESC LIMIT 1) w"
    ))
    .bind(tenant.to_string())
    .fetch_optional(&mut *tx)
    .await
    .map_err(store_error)?
    .ok_or_else(|| StoreError::Busy("the history holds no witness yet".to_owned()))?;
    let position = Position::Postgres {
        epoch: row.try_get(2).map_err(store_error)?,
        witness: row.try_get(3).map_err(store_error)?,
        snapshot: row.try_get(4).map_err(store_error)?,
    };
    Ok(PgRead { tx, tenant, cut, ahead: page::Ahead::default(), position })
}

/// The snapshot of a position that this store knows.
pub(super) fn snapshot_of(position: &Position) -> Result<&str, StoreError> {
    match position {
        Position::Postgres { snapshot, .. } => Ok(snapshot),
        Position::Sqlite { .. } => {
            Err(StoreError::Internal("a position of another kind of database".to_owned()))
        }
    }
}

#[async_trait]
impl ReadTx for PgRead {
    fn position(&self) -> &Position {
        &self.position
    }

    async fn knows(&mut self, position: &Position) -> Result<bool, StoreError> {
        let (
            Position::Postgres { epoch, witness, snapshot },
            Position::Postgres { epoch: present, .. },
        ) = (position, &self.position)
        else {
            return Ok(false);
        };
        if epoch != present {
            return Ok(false);
        }
        let found = query("SELECT 1 FROM sync.witnesses WHERE value = $1 AND snapshot::text = $2")
            .bind(witness.clone())
            .bind(snapshot.clone())
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(store_error)?;
        Ok(found.is_some())
    }

    async fn grants(
        &mut self,
        user: UserId,
        since: Option<&Position>,
    ) -> Result<Grants, StoreError> {
        let since = since.map(snapshot_of).transpose()?.map(str::to_owned);
        let rows = query(
            "SELECT scope, stamp::text, gone, \
             coalesce(NOT pg_visible_in_snapshot(stamp, $3::pg_snapshot), false) \
             FROM sync.grants WHERE tenant_id = $1 AND user_id = $2 ORDER BY scope",
        )
        .bind(self.tenant.0)
        .bind(user.0)
        .bind(since)
        .fetch_all(&mut *self.tx)
        .await
        .map_err(store_error)?;
        let mut grants = Grants::default();
        for row in &rows {
            let scope = scope(row, 0)?;
            let held = !row.try_get::<bool, _>(2).map_err(store_error)?;
            if row.try_get(3).map_err(store_error)? {
                let stamp = row.try_get(1).map_err(store_error)?;
                grants.changed.push(GrantChange { scope, stamp, held });
            } else if held {
                grants.held.push(scope);
            }
        }
        Ok(grants)
    }

    async fn delta(&mut self, query: DeltaQuery<'_>) -> Result<PageRows, StoreError> {
        page::delta(&mut self.tx, &mut self.ahead, self.tenant, query).await
    }

    async fn backfill(&mut self, query: BackfillQuery<'_>) -> Result<PageRows, StoreError> {
        page::backfill(&mut self.tx, &self.cut, self.tenant, query).await
    }

    async fn backfill_remaining(&mut self, query: BackfillQuery<'_>) -> Result<u64, StoreError> {
        page::backfill_remaining(&mut self.tx, self.tenant, query).await
    }

    async fn refetch(&mut self, query: RefetchQuery<'_>) -> Result<PageRows, StoreError> {
        page::refetch(&mut self.tx, self.tenant, query).await
    }

    async fn digests(
        &mut self,
        scopes: &[Scope],
        visible: &Schema,
    ) -> Result<Vec<ScopeDigest>, StoreError> {
        digests::of_scopes(&mut self.tx, self.tenant, scopes, visible).await
    }

    async fn members(
        &mut self,
        scope: &Scope,
        collection: &Collection,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, RowVersion)>, StoreError> {
        digests::members(&mut self.tx, self.tenant, scope, collection, after, limit).await
    }

    async fn settled(
        &mut self,
        stream: StreamId,
        since: Option<&Position>,
        after: Option<&SettledKey>,
        limit: usize,
    ) -> Result<Vec<(SettledKey, Receipt)>, StoreError> {
        let since = since.map(snapshot_of).transpose()?;
        let tx = &mut self.tx;
        let stored = records::settled(tx, self.tenant, stream, since, after, limit).await?;
        Ok(stored.into_iter().map(|(key, stored)| (key, stored.receipt)).collect())
    }

    async fn author_of(&mut self, stream: StreamId) -> Result<Option<Authorship>, StoreError> {
        records::author_of(&mut self.tx, self.tenant, stream).await
    }

    async fn receipt(&mut self, id: ReceiptId) -> Result<Option<StoredReceipt>, StoreError> {
        Ok(records::receipts(&mut self.tx, self.tenant, &[id], Lock::None).await?.pop())
    }

    async fn rows(
        &mut self,
        collection: &Collection,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, StoredRow>, StoreError> {
        rows(&mut self.tx, self.tenant, collection, ids, Lock::None).await
    }

    async fn conflicts(&mut self, filter: &ConflictFilter) -> Result<Vec<Conflict>, StoreError> {
        records::conflicts(&mut self.tx, self.tenant, filter).await
    }

    async fn audit_trail(&mut self, conflict: ConflictId) -> Result<Vec<AuditEntry>, StoreError> {
        records::audit_trail(&mut self.tx, self.tenant, conflict).await
    }
}
