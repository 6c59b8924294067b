//! From a PostgreSQL database.
//!
//! The simulator is one thread with one runtime, and looks are calls that wait for nothing. So this
//! reader has a runtime of its own, with a thread that goes on between looks: what a look leaves behind, a transaction
//! that is dropped, is rolled back at once, and keeps no migration waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;
use sqlx::{PgPool, Row as _};
use sync_protocol::schema::{Collection, Schema};
use sync_protocol::{ReceiptId, RecordId, TenantId, UserId};
use sync_server::store::Store as _;
use sync_server::store::postgres::PostgresStore;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{Row, Snapshot, is_emptied, scopes_of};
use crate::postgres::Urls;

/// Reads snapshots.
pub struct Reader {
    runtime: Option<Runtime>,
    pool: PgPool,
    store: PostgresStore,
    tenant: TenantId,
    schema: Arc<Schema>,
    last: Arc<Snapshot>,
}

impl Reader {
    /// A reader of a company's part of this database.
    #[must_use]
    pub fn open(urls: &Urls, tenant: TenantId, schema: Arc<Schema>) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
        let (pool, store) = beside(|| {
            runtime.block_on(async {
                let pool = PgPool::connect(&urls.owner).await.expect("the database opens");
                let store = PostgresStore::connect(&urls.server, schema.clone()).await;
                (pool, store.expect("the store opens"))
            })
        });
        Self { runtime: Some(runtime), pool, store, tenant, schema, last: Arc::default() }
    }

    /// The server's present content.
    pub fn now(&mut self) -> Arc<Snapshot> {
        let next = beside(|| {
            let runtime = self.runtime.as_ref().expect("it is here until the end");
            runtime.block_on(self.read()).expect("the server's database can be read")
        });
        if next != *self.last {
            let commit = self.last.commit + 1;
            self.last = Arc::new(Snapshot { commit, ..next });
        }
        self.last.clone()
    }

    /// Hashes of all refresh tokens, with when they end.
    #[must_use]
    pub fn tokens(&self) -> BTreeMap<String, i64> {
        let read = async {
            let sql = "SELECT hash, expires_at_us FROM sync.refresh_tokens WHERE tenant_id = $1";
            let found = sqlx::query(sql).bind(self.tenant.0).fetch_all(&self.pool).await?;
            found.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
        };
        let found: sqlx::Result<_> =
            beside(|| self.runtime.as_ref().expect("it is here until the end").block_on(read));
        found.expect("the server's database can be read")
    }

    async fn read(&self) -> Result<Snapshot, Box<dyn std::error::Error + Send + Sync>> {
        let mut next = Snapshot { commit: self.last.commit, ..Snapshot::default() };
        let mut ids: BTreeMap<String, Vec<RecordId>> = BTreeMap::new();
        let mut emptied = BTreeSet::new();
        let sql =
            "SELECT collection, record_id, tombstone::text FROM sync.rows WHERE tenant_id = $1";
        for row in sqlx::query(sql).bind(self.tenant.0).fetch_all(&self.pool).await? {
            let (collection, record): (String, _) = (row.try_get(0)?, RecordId(row.try_get(1)?));
            let tombstone: Option<String> = row.try_get(2)?;
            let tombstone: Option<Json> =
                tombstone.map(|text| serde_json::from_str(&text)).transpose()?;
            if tombstone.as_ref().is_some_and(is_emptied) {
                emptied.insert((collection.clone(), record));
            }
            ids.entry(collection).or_default().push(record);
        }
        let mut tx = self.store.read(self.tenant).await?;
        for collection in self.schema.collections.values() {
            let Some(ids) = ids.get(&collection.name) else { continue };
            for (record, stored) in tx.rows(collection, ids).await? {
                let name = (collection.name.clone(), record);
                let row = self.row(collection, record, &stored)?;
                let row = Row { emptied: row.deleted && emptied.contains(&name), ..row };
                // Equal rows are the same: that is how others tell what changed.
                let known = self.last.rows.get(&name).filter(|known| ***known == row).cloned();
                next.rows.insert(name, known.unwrap_or_else(|| Arc::new(row)));
            }
        }
        drop(tx);
        let sql = "SELECT user_id, scope FROM sync.grants WHERE tenant_id = $1 AND NOT gone";
        for row in sqlx::query(sql).bind(self.tenant.0).fetch_all(&self.pool).await? {
            let scope: String = row.try_get(1)?;
            next.grants.entry(UserId(row.try_get(0)?)).or_default().insert(scope.parse()?);
        }
        let sql = "SELECT id, body FROM sync.receipts WHERE tenant_id = $1";
        for row in sqlx::query(sql).bind(self.tenant.0).fetch_all(&self.pool).await? {
            let id: Uuid = row.try_get(0)?;
            let body: Json = serde_json::from_str(row.try_get(1)?)?;
            let receipt = serde_json::from_value(body["receipt"].clone())?;
            next.receipts.insert(ReceiptId(id), Arc::new(receipt));
        }
        let sql = "SELECT body FROM sync.conflicts WHERE tenant_id = $1 ORDER BY id";
        for row in sqlx::query(sql).bind(self.tenant.0).fetch_all(&self.pool).await? {
            next.conflicts.push(Arc::new(serde_json::from_str(row.try_get(0)?)?));
        }
        Ok(next)
    }

    fn row(
        &self,
        collection: &Collection,
        record: RecordId,
        stored: &sync_server::store::StoredRow,
    ) -> Result<Row, serde_json::Error> {
        let fields = collection.fields.iter().map(|field| {
            let value = stored.fields.get(&field.name);
            (field.name.clone(), value.map_or(Json::Null, |value| value.to_json(&field.kind)))
        });
        let fields: BTreeMap<String, Json> = fields.collect();
        Ok(Row {
            version: stored.meta.version,
            deleted: stored.meta.deleted.is_some(),
            emptied: false,
            scopes: scopes_of(collection, record, &fields),
            fields,
            meta: serde_json::to_value(&stored.meta)?,
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits for something on a thread beside this one's runtime.
fn beside<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(f).join().expect("no look panics"))
}
