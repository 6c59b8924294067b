//! A snapshot: `BEGIN`, one look at the newest commit, and everything after it sees just that.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use sync_protocol::schema::{Collection, Schema};
use sync_protocol::wire::pull::ScopeDigest;
use sync_protocol::wire::receipt::Receipt;
use sync_protocol::wire::review::{Authorship, Conflict};
use sync_protocol::{ConflictId, ReceiptId, RecordId, RowVersion, Scope, StreamId, UserId};

use super::connection::Connection;
use super::error::failed;
use super::tenants::TenantFile;
use super::{accounts, conflicts, digests, load, page, position, receipts};
use crate::store::{
    AuditEntry, BackfillQuery, ConflictFilter, DeltaQuery, Grants, PageRows, Position, ReadTx,
    RefetchQuery, SettledKey, StoreError, StoredReceipt, StoredRow,
};

/// A transaction that reads. Its connection is rolled back when it is dropped.
pub(super) struct SqliteRead {
    tenant: Arc<TenantFile>,
    pub connection: Connection,
    position: Position,
}

impl SqliteRead {
    pub async fn begin(tenant: Arc<TenantFile>) -> Result<Self, StoreError> {
        let mut connection = tenant.readers.acquire().await.map_err(failed)?;
        sqlx::query("BEGIN").execute(&mut *connection).await.map_err(failed)?;
        // The first statement that reads fixes the snapshot.
        let (commit, witness) = position::newest(&mut connection).await?;
        let position = position::position(&tenant.incarnation, commit, &witness);
        Ok(Self { tenant, connection, position })
    }
}

#[async_trait]
impl ReadTx for SqliteRead {
    fn position(&self) -> &Position {
        &self.position
    }

    async fn knows(&mut self, position: &Position) -> Result<bool, StoreError> {
        position::knows(&mut self.connection, &self.tenant.incarnation, position).await
    }

    async fn grants(
        &mut self,
        user: UserId,
        since: Option<&Position>,
    ) -> Result<Grants, StoreError> {
        accounts::grants(&mut self.connection, user, since.map(position::since)).await
    }

    async fn delta(&mut self, query: DeltaQuery<'_>) -> Result<PageRows, StoreError> {
        page::delta(&mut self.connection, &self.tenant, query).await
    }

    async fn backfill(&mut self, query: BackfillQuery<'_>) -> Result<PageRows, StoreError> {
        page::backfill(&mut self.connection, &self.tenant, query).await
    }

    async fn backfill_remaining(&mut self, query: BackfillQuery<'_>) -> Result<u64, StoreError> {
        page::backfill_remaining(&mut self.connection, &self.tenant, query).await
    }

    async fn refetch(&mut self, query: RefetchQuery<'_>) -> Result<PageRows, StoreError> {
        page::refetch(&mut self.connection, &self.tenant, query).await
    }

    async fn digests(
        &mut self,
        scopes: &[Scope],
        visible: &Schema,
    ) -> Result<Vec<ScopeDigest>, StoreError> {
        digests::of_scopes(&mut self.connection, scopes, visible).await
    }

    async fn members(
        &mut self,
        scope: &Scope,
        collection: &Collection,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, RowVersion)>, StoreError> {
        digests::members(&mut self.connection, &self.tenant, scope, collection, after, limit).await
    }

    async fn settled(
        &mut self,
        stream: StreamId,
        since: Option<&Position>,
        after: Option<&SettledKey>,
        limit: usize,
    ) -> Result<Vec<(SettledKey, Receipt)>, StoreError> {
        let since = since.map(position::since);
        receipts::settled(&mut self.connection, stream, since, after, limit).await
    }

    async fn author_of(&mut self, stream: StreamId) -> Result<Option<Authorship>, StoreError> {
        receipts::author_of(&mut self.connection, stream).await
    }

    async fn receipt(&mut self, id: ReceiptId) -> Result<Option<StoredReceipt>, StoreError> {
        Ok(receipts::by_ids(&mut self.connection, &[id]).await?.pop())
    }

    async fn rows(
        &mut self,
        collection: &Collection,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, StoredRow>, StoreError> {
        let Some(table) = self.tenant.tables.get(&collection.name) else {
            return Ok(BTreeMap::new());
        };
        let number = self.tenant.collection_numbers[table.rank];
        load::rows(&mut self.connection, table, number, ids).await
    }

    async fn conflicts(&mut self, filter: &ConflictFilter) -> Result<Vec<Conflict>, StoreError> {
        conflicts::list(&mut self.connection, filter).await
    }

    async fn audit_trail(&mut self, conflict: ConflictId) -> Result<Vec<AuditEntry>, StoreError> {
        conflicts::audit_trail(&mut self.connection, conflict).await
    }
}
