//! A transaction that writes: its life from `BEGIN IMMEDIATE` to `COMMIT`.
//!
//! After any error nothing but a rollback is possible: a statement of several may have taken
//! effect, and on a full disk SQLite has ended the transaction by itself, so that further
//! statements would each commit alone. `failed` remembers it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use sync_protocol::fault::{self, Point};
use sync_protocol::schema::Collection;
use sync_protocol::wire::push::PushMark;
use sync_protocol::wire::review::{Authorship, Conflict};
use sync_protocol::{
    ConflictId, PushId, ReceiptId, RecordId, RowVersion, Scope, StreamId, UserId, Value,
};

use super::connection::Connection;
use super::error::{failed, no_randomness};
use super::memberships::HeadChanges;
use super::tables::Table;
use super::tenants::TenantFile;
use super::{accounts, conflicts, load, pictures, position, receipts, referring};
use crate::clock::{Clock as _, SystemClock};
use crate::store::{AuditEntry, RowWrite, StoreError, StoredReceipt, StoredRow, WriteTx};

/// How many commits keep their witness: older positions count as unknown. About 30 bytes each.
pub(super) const HISTORY_COMMITS: i64 = 1_000_000;
/// Every so many commits the history is shortened.
const SHORTEN_EVERY_COMMITS: i64 = 1_024;

/// A transaction that holds the tenant's one writing connection.
pub(super) struct SqliteWrite {
    pub tenant: Arc<TenantFile>,
    pub connection: Connection,
    pub writer: StreamId,
    /// The server's time of the changes, in microseconds since 1970.
    pub received_us: i64,
    /// The number that this transaction's commit will have, and the stamp of all it writes.
    pub commit_no: i64,
    changed: bool,
    failed: bool,
    /// Rows as they are now, by rank and id: read once, as nobody else writes.
    pub rows: HashMap<(usize, RecordId), StoredRow>,
    pub heads: HeadChanges,
    heads_at_savepoint: Option<HeadChanges>,
}

impl SqliteWrite {
    pub async fn begin(tenant: Arc<TenantFile>, writer: StreamId) -> Result<Self, StoreError> {
        let mut connection = tenant.writer.acquire().await.map_err(failed)?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.map_err(failed)?;
        let (newest, _) = position::newest(&mut connection).await?;
        Ok(Self {
            tenant,
            connection,
            writer,
            received_us: SystemClock.now_us(),
            commit_no: newest + 1,
            changed: false,
            failed: false,
            rows: HashMap::new(),
            heads: HeadChanges::default(),
            heads_at_savepoint: None,
        })
    }

    /// The connection, for a statement that changes something.
    pub fn changing(&mut self) -> &mut SqliteConnection {
        self.changed = true;
        &mut self.connection
    }

    /// The table of a collection, and its number in this file.
    pub fn table(tenant: &TenantFile, collection: &Collection) -> Result<(usize, i64), StoreError> {
        let table: &Table = tenant.tables.get(&collection.name).ok_or_else(|| {
            StoreError::Internal(format!("no collection `{}` in the store", collection.name))
        })?;
        Ok((table.rank, tenant.collection_numbers[table.rank]))
    }

    fn usable(&self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Internal(
                "a statement of the transaction failed: it can only be rolled back".to_owned(),
            ));
        }
        Ok(())
    }

    /// Remembers a failure.
    fn noted<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.failed |= result.is_err();
        result
    }

    /// Reads those of the rows that were not read before.
    pub async fn fill(
        &mut self,
        rank: usize,
        ids: impl IntoIterator<Item = &RecordId>,
    ) -> Result<(), StoreError> {
        let missing: BTreeSet<RecordId> =
            ids.into_iter().filter(|id| !self.rows.contains_key(&(rank, **id))).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let table = &self.tenant.tables.tables[rank];
        let number = self.tenant.collection_numbers[rank];
        let found = load::rows(&mut self.connection, table, number, &missing).await?;
        self.rows.extend(found.into_iter().map(|(id, row)| ((rank, id), row)));
        Ok(())
    }

    async fn read_rows(
        &mut self,
        collection: &Collection,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, StoredRow>, StoreError> {
        let (rank, _) = Self::table(&self.tenant, collection)?;
        self.fill(rank, ids).await?;
        let found = ids.iter().filter_map(|id| Some((*id, self.rows.get(&(rank, *id))?.clone())));
        Ok(found.collect())
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), StoreError> {
        sqlx::query(sql).execute(&mut *self.connection).await.map(|_| ()).map_err(failed)
    }

    /// Writes what every commit writes, and commits.
    pub async fn finish(&mut self) -> Result<(), StoreError> {
        self.usable()?;
        if !self.changed {
            return self.execute("ROLLBACK").await;
        }
        self.heads.save(&mut self.connection).await?;
        let mut witness = [0u8; 8];
        self.tenant.random.fill(&mut witness).map_err(no_randomness)?;
        sqlx::query("INSERT INTO sync_history (commit_no, witness) VALUES (?, ?)")
            .bind(self.commit_no)
            .bind(witness.to_vec())
            .execute(&mut *self.connection)
            .await
            .map_err(failed)?;
        if self.commit_no % SHORTEN_EVERY_COMMITS == 0 {
            sqlx::query("DELETE FROM sync_history WHERE commit_no <= ?")
                .bind(self.commit_no - HISTORY_COMMITS)
                .execute(&mut *self.connection)
                .await
                .map_err(failed)?;
        }
        fault::reached(Point::ServerBeforeCommit);
        self.execute("COMMIT").await?;
        fault::reached(Point::ServerAfterCommit);
        Ok(())
    }
}

#[async_trait]
impl WriteTx for SqliteWrite {
    fn received_at(&mut self, now_us: i64) {
        self.received_us = now_us;
    }

    async fn write_as(&mut self, writer: StreamId) -> Result<(), StoreError> {
        self.usable()?;
        self.writer = writer;
        Ok(())
    }

    async fn lock_stream(&mut self, _stream: StreamId) -> Result<(), StoreError> {
        // There is no other transaction that writes for this tenant.
        self.usable()
    }

    async fn wait_for_locks(&mut self, _at_most: Duration) -> Result<(), StoreError> {
        // Holding the transaction is holding every lock.
        self.usable()
    }

    async fn follow(
        &mut self,
        stream: StreamId,
        mark: &PushMark,
    ) -> Result<Option<PushId>, StoreError> {
        self.usable()?;
        let result = receipts::follow(self.changing(), stream, mark).await;
        self.noted(result)
    }

    async fn scopes_of(&mut self, user: UserId) -> Result<BTreeSet<Scope>, StoreError> {
        self.usable()?;
        let result = accounts::scopes_of(&mut self.connection, user, true).await;
        self.noted(result)
    }

    async fn lost_scopes(&mut self, user: UserId) -> Result<BTreeSet<Scope>, StoreError> {
        self.usable()?;
        let result = accounts::scopes_of(&mut self.connection, user, false).await;
        self.noted(result)
    }

    async fn once_held(
        &mut self,
        user: UserId,
        collection: &Collection,
        ids: &[RecordId],
    ) -> Result<BTreeSet<RecordId>, StoreError> {
        self.usable()?;
        let Some(table) = self.tenant.tables.get(&collection.name) else {
            return Ok(BTreeSet::new());
        };
        let number = self.tenant.collection_numbers[table.rank];
        let result = super::memberships::once_held(&mut self.connection, user, number, ids).await;
        self.noted(result)
    }

    async fn receipts(&mut self, ids: &[ReceiptId]) -> Result<Vec<StoredReceipt>, StoreError> {
        self.usable()?;
        let result = receipts::by_ids(&mut self.connection, ids).await;
        self.noted(result)
    }

    async fn lock_receipts(&mut self, ids: &[ReceiptId]) -> Result<Vec<StoredReceipt>, StoreError> {
        // Nobody else writes meanwhile.
        self.receipts(ids).await
    }

    async fn lock_rows(
        &mut self,
        collection: &Collection,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, StoredRow>, StoreError> {
        self.rows(collection, ids).await
    }

    async fn rows(
        &mut self,
        collection: &Collection,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, StoredRow>, StoreError> {
        self.usable()?;
        let result = self.read_rows(collection, ids).await;
        self.noted(result)
    }

    async fn grant(&mut self, user: UserId, scope: &Scope) -> Result<(), StoreError> {
        self.usable()?;
        let result = accounts::set_grant(self, user, scope, true).await;
        self.noted(result)
    }

    async fn author_of(&mut self, stream: StreamId) -> Result<Option<Authorship>, StoreError> {
        self.usable()?;
        let result = receipts::author_of(&mut self.connection, stream).await;
        self.noted(result)
    }

    async fn find_by_natural_key(
        &mut self,
        collection: &Collection,
        keys: &[Vec<Value>],
    ) -> Result<Vec<Option<RecordId>>, StoreError> {
        self.usable()?;
        let result = self.natural_keys(collection, keys).await;
        self.noted(result)
    }

    async fn known_pictures(
        &mut self,
        photos: &[&Collection],
        hashes: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, StoreError> {
        self.usable()?;
        let tenant = self.tenant.clone();
        let tables: Vec<(&Table, i64)> = photos
            .iter()
            .filter_map(|collection| tenant.tables.get(&collection.name))
            .map(|table| (table, tenant.collection_numbers[table.rank]))
            .collect();
        let result = pictures::known(&mut self.connection, &tables, hashes).await;
        self.noted(result)
    }

    async fn referring(
        &mut self,
        collection: &Collection,
        field: &str,
        to: &[RecordId],
    ) -> Result<Vec<RecordId>, StoreError> {
        self.usable()?;
        let result = referring::referring(&mut self.connection, collection, field, to).await;
        self.noted(result)
    }

    async fn write_rows(
        &mut self,
        collection: &Collection,
        writes: &[RowWrite],
    ) -> Result<Vec<RowVersion>, StoreError> {
        self.usable()?;
        let result = self.write_and_follow(collection, writes).await;
        self.noted(result)
    }

    async fn savepoint(&mut self) -> Result<(), StoreError> {
        self.usable()?;
        self.heads_at_savepoint = Some(self.heads.clone());
        let result = self.execute("SAVEPOINT campo").await;
        self.noted(result)
    }

    async fn release_savepoint(&mut self) -> Result<(), StoreError> {
        self.usable()?;
        self.heads_at_savepoint = None;
        let result = self.execute("RELEASE campo").await;
        self.noted(result)
    }

    async fn rollback_to_savepoint(&mut self) -> Result<(), StoreError> {
        let Some(heads) = self.heads_at_savepoint.take() else {
            return Err(StoreError::Internal("there is no savepoint".to_owned()));
        };
        self.heads = heads;
        self.rows.clear();
        // Fails, and leaves the transaction unusable, where SQLite has ended it by itself.
        self.failed = true;
        self.execute("ROLLBACK TO campo").await?;
        self.execute("RELEASE campo").await?;
        self.failed = false;
        Ok(())
    }

    async fn save_receipts(&mut self, receipts: &[StoredReceipt]) -> Result<(), StoreError> {
        self.usable()?;
        let commit = self.commit_no;
        let result = receipts::save(self.changing(), commit, receipts).await;
        self.noted(result)
    }

    async fn echo_receipts(
        &mut self,
        stream: StreamId,
        ids: &[ReceiptId],
    ) -> Result<(), StoreError> {
        self.usable()?;
        let commit = self.commit_no;
        let result = receipts::echo(self.changing(), commit, stream, ids).await;
        self.noted(result)
    }

    async fn mark_seen(&mut self, stream: StreamId, ids: &[ReceiptId]) -> Result<(), StoreError> {
        self.usable()?;
        let result = receipts::mark_seen(self.changing(), stream, ids).await;
        self.noted(result)
    }

    async fn open_conflicts(
        &mut self,
        collection: &str,
        records: &[RecordId],
    ) -> Result<Vec<Conflict>, StoreError> {
        self.usable()?;
        let result = conflicts::open_of(&mut self.connection, collection, records).await;
        self.noted(result)
    }

    async fn lock_conflict(&mut self, id: ConflictId) -> Result<Option<Conflict>, StoreError> {
        self.usable()?;
        let result = conflicts::by_id(&mut self.connection, id).await;
        self.noted(result)
    }

    async fn save_conflict(&mut self, conflict: &Conflict) -> Result<(), StoreError> {
        self.usable()?;
        let result = conflicts::save(self.changing(), conflict).await;
        self.noted(result)
    }

    async fn audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.usable()?;
        let result = conflicts::audit(self.changing(), entry).await;
        self.noted(result)
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        self.finish().await
    }
}
