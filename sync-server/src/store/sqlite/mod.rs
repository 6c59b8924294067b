//! The embedded SQLite store.
//!
//! **Files.** `catalog.db` lists the tenants and holds the signing key; `tenants/<uuid>.db` holds
//! everything of one tenant, so that no statement can reach another's rows. All files are WAL with
//! `synchronous=FULL`: what was confirmed survives a power cut. Directories are 0700, files 0600.
//! Of the tenants' files a bounded number is open ([`tenants`]).
//!
//! **Writing.** A tenant has one connection that writes. A [`WriteTx`](super::WriteTx) holds it
//! from `BEGIN IMMEDIATE` to `COMMIT`; others wait for it in order, for some seconds, and are then
//! told that the store is busy. So every lock that the interface speaks of (device, rows,
//! conflicts) is held by holding the transaction.
//!
//! **Stamps.** Each transaction that changes something is a commit with a number, one more than
//! the last; rows, memberships, grants and receipts that it writes are stamped with that number
//! ([`rows`] writes them). A read transaction takes the newest number as its position. As there is
//! one writer, everything stamped up to it is visible in the snapshot and nothing later is.
//!
//! **History.** Each commit also leaves a random *witness* in `sync_history`. A
//! [`Position`](super::Position) carries the file's incarnation and its commit's witness; it is
//! known only if the history has just that witness at that commit. So a file that was restored
//! from a backup does not know positions of the commits that it lost, not even after it has made
//! as many new ones. Positions that both histories share stay good. What this cannot notice: a
//! file put back together with the positions of the same moment, which is no loss, and positions
//! older than the [`HISTORY_COMMITS`](write::HISTORY_COMMITS) newest commits, which count as
//! unknown: their devices compare digests.
//!
//! Deleting a row that others refer to is refused (foreign key); nothing cascades.

mod accounts;
mod backup;
mod columns;
mod conflicts;
mod connection;
mod digests;
mod error;
mod follow;
mod load;
mod memberships;
mod migrate;
mod moves;
mod page;
mod photos;
mod pictures;
mod position;
mod read;
mod receipts;
mod referring;
mod rows;
mod tables;
mod tenants;
mod tidy;
mod write;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use sync_protocol::schema::Schema;
use sync_protocol::{StreamId, TenantId};

pub use backup::{Backup, backup};

use super::{ReadTx, Retention, Store, StoreError, Tidied, WriteTx};
use crate::random::{SharedRandom, SystemRandom};
use tenants::Tenants;

/// Tenants' files in a directory. Cloning is cheap and shares the connections.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    schema: Arc<Schema>,
    tenants: Arc<Tenants>,
    tidied: Arc<tokio::sync::Mutex<tidy::Round>>,
}

impl SqliteStore {
    /// Opens the directory, which is made if it is not there, and brings the catalogue up to date.
    /// A tenant's file is brought up to date when it is opened first; see [`Self::migrate`].
    ///
    /// # Errors
    /// [`StoreError::Storage`] if the files cannot be made or read, [`StoreError::Setup`] if they
    /// come from a newer version.
    pub async fn open(data_dir: &Path, schema: Arc<Schema>) -> Result<Self, StoreError> {
        Self::open_with(data_dir, schema, Arc::new(SystemRandom)).await
    }

    /// As [`Self::open`], with another source of randomness.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(
        data_dir: &Path,
        schema: Arc<Schema>,
        random: SharedRandom,
    ) -> Result<Self, StoreError> {
        let tenants = Tenants::open(data_dir, schema.clone(), random).await?;
        Ok(Self { schema, tenants: Arc::new(tenants), tidied: Arc::default() })
    }

    /// Brings all tenants' files up to date with the schema, and so finds out whether they fit it.
    ///
    /// # Errors
    /// [`StoreError::Setup`] tells what does not fit, and the remedy.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        for tenant in self.tenants.list().await? {
            self.tenants.get(tenant).await?;
        }
        Ok(())
    }

    /// Closes all files. Transactions that are still open are rolled back.
    pub async fn close(&self) {
        self.tenants.close().await;
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    async fn write(
        &self,
        tenant: TenantId,
        writer: StreamId,
    ) -> Result<Box<dyn WriteTx>, StoreError> {
        let tenant = self.tenants.get(tenant).await?;
        Ok(Box::new(write::SqliteWrite::begin(tenant, writer).await?))
    }

    async fn read(&self, tenant: TenantId) -> Result<Box<dyn ReadTx>, StoreError> {
        let tenant = self.tenants.get(tenant).await?;
        Ok(Box::new(read::SqliteRead::begin(tenant).await?))
    }

    async fn tidy(&self, retention: Retention) -> Result<Tidied, StoreError> {
        tidy::tidy(&self.tenants, &self.tidied, retention).await
    }
}
