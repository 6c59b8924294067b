//! The catalogue, and the tenants' files that are open.
//!
//! At most [`OPEN_TENANTS_MAX`] files are kept open; beyond that the one that was used longest ago
//! and is in no transaction is closed. Opening one again costs some milliseconds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::{Row, SqlitePool};
use sync_protocol::TenantId;
use sync_protocol::schema::Schema;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::connection::{Role, create_private_directory, create_private_file, pool};
use super::error::{damaged, failed, no_randomness};
use super::migrate;
use super::tables::Tables;
use crate::random::SharedRandom;
use crate::store::StoreError;
use crate::store::accounts::Tenant;
use crate::store::error::ConstraintKind;

/// Most tenants whose files are open. Each has up to 1 + [`READERS_MAX`] connections, and each of
/// these up to three files.
const OPEN_TENANTS_MAX: usize = 64;
/// Most transactions that read one tenant at the same time.
const READERS_MAX: u32 = 6;

/// One tenant's open file.
#[derive(Debug)]
pub(super) struct TenantFile {
    pub writer: SqlitePool,
    pub readers: SqlitePool,
    pub tables: Arc<Tables>,
    /// Source of witnesses.
    pub random: SharedRandom,
    /// The file's incarnation.
    pub incarnation: String,
    /// The numbers of the collections in this file, by rank.
    pub collection_numbers: Vec<i64>,
}

/// All tenants of a data directory.
#[derive(Debug)]
pub(super) struct Tenants {
    directory: PathBuf,
    schema: Arc<Schema>,
    tables: Arc<Tables>,
    pub catalog: SqlitePool,
    pub random: SharedRandom,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    files: HashMap<TenantId, (Arc<TenantFile>, u64)>,
    /// Counts uses: the smallest number was used longest ago.
    uses: u64,
}

impl Tenants {
    pub async fn open(
        data_dir: &Path,
        schema: Arc<Schema>,
        random: SharedRandom,
    ) -> Result<Self, StoreError> {
        create_private_directory(&data_dir.join("tenants"))?;
        let path = data_dir.join("catalog.db");
        if !path.exists() {
            create_private_file(&path)?;
        }
        migrate::catalog(&path).await?;
        Ok(Self {
            directory: data_dir.to_owned(),
            tables: Arc::new(Tables::new(&schema)),
            schema,
            catalog: pool(&path, Role::Writer),
            random,
            open: Mutex::default(),
        })
    }

    fn path(&self, tenant: TenantId) -> PathBuf {
        self.directory.join("tenants").join(format!("{tenant}.db"))
    }

    /// Makes a tenant: first its file, then its line in the catalogue. A crash between the two
    /// leaves a file that nothing names.
    pub async fn create(&self, slug: &str, name: &str) -> Result<TenantId, StoreError> {
        let tenant = TenantId(self.random.uuid().map_err(no_randomness)?);
        let path = self.path(tenant);
        create_private_file(&path)?;
        let made = match migrate::tenant(&path, &self.schema, &*self.random).await {
            Ok(()) => sqlx::query("INSERT INTO tenants (id, slug, name) VALUES (?, ?, ?)")
                .bind(tenant.0)
                .bind(slug.to_owned())
                .bind(name.to_owned())
                .execute(&self.catalog)
                .await
                .map_err(failed),
            Err(error) => Err(error),
        };
        match made {
            Ok(_) => Ok(tenant),
            Err(error) => {
                for suffix in ["", "-wal", "-shm"] {
                    let mut path = path.clone().into_os_string();
                    path.push(suffix);
                    let _ = std::fs::remove_file(path);
                }
                Err(match error {
                    StoreError::Constraint { kind: ConstraintKind::Unique, .. } => {
                        StoreError::Exists(format!("the tenant `{slug}`"))
                    }
                    other => other,
                })
            }
        }
    }

    pub async fn list(&self) -> Result<Vec<TenantId>, StoreError> {
        sqlx::query_scalar::<_, Uuid>("SELECT id FROM tenants ORDER BY id")
            .fetch_all(&self.catalog)
            .await
            .map(|ids| ids.into_iter().map(TenantId).collect())
            .map_err(failed)
    }

    pub async fn by_slug(&self, slug: &str) -> Result<Option<Tenant>, StoreError> {
        let row = sqlx::query("SELECT id, slug, name FROM tenants WHERE slug = ?")
            .bind(slug.to_owned())
            .fetch_optional(&self.catalog)
            .await
            .map_err(failed)?;
        row.map(tenant).transpose()
    }

    pub async fn by_id(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        let row = sqlx::query("SELECT id, slug, name FROM tenants WHERE id = ?")
            .bind(id.0)
            .fetch_optional(&self.catalog)
            .await
            .map_err(failed)?;
        row.map(tenant).transpose()
    }

    /// Tenants whose files are open.
    pub async fn in_use(&self) -> Vec<TenantId> {
        self.open.lock().await.files.keys().copied().collect()
    }

    /// A tenant's file, opened if it is not.
    pub async fn get(&self, tenant: TenantId) -> Result<Arc<TenantFile>, StoreError> {
        let mut open = self.open.lock().await;
        open.uses += 1;
        let uses = open.uses;
        if let Some((file, used)) = open.files.get_mut(&tenant) {
            *used = uses;
            return Ok(file.clone());
        }
        if self.by_id(tenant).await?.is_none() {
            return Err(StoreError::NotFound(format!("the tenant {tenant}")));
        }
        // The lock is held while the file is opened: nobody else migrates it meanwhile.
        let file = Arc::new(self.open_file(tenant).await?);
        open.files.insert(tenant, (file.clone(), uses));
        if open.files.len() > OPEN_TENANTS_MAX {
            let idle = open
                .files
                .iter()
                .filter(|(_, (file, _))| Arc::strong_count(file) == 1)
                .min_by_key(|(_, (_, used))| *used)
                .map(|(id, _)| *id);
            if let Some((file, _)) = idle.and_then(|id| open.files.remove(&id)) {
                file.close().await;
            }
        }
        Ok(file)
    }

    async fn open_file(&self, tenant: TenantId) -> Result<TenantFile, StoreError> {
        let path = self.path(tenant);
        if !path.exists() {
            return Err(StoreError::Storage(format!(
                "{} is missing: restore it from a backup",
                path.display()
            )));
        }
        migrate::tenant(&path, &self.schema, &*self.random).await?;
        let writer = pool(&path, Role::Writer);
        let incarnation =
            sqlx::query_scalar("SELECT value FROM sync_meta WHERE key = 'incarnation'")
                .fetch_one(&writer)
                .await
                .map_err(failed)?;
        let numbers: HashMap<String, i64> =
            sqlx::query_as::<_, (String, i64)>("SELECT name, id FROM sync_collections")
                .fetch_all(&writer)
                .await
                .map_err(failed)?
                .into_iter()
                .collect();
        let collection_numbers = self
            .tables
            .tables
            .iter()
            .map(|table| {
                let name = &table.collection.name;
                numbers.get(name).copied().ok_or_else(|| damaged(format!("no number of {name}")))
            })
            .collect::<Result<_, _>>()?;
        Ok(TenantFile {
            writer,
            readers: pool(&path, Role::Readers(READERS_MAX)),
            tables: self.tables.clone(),
            random: self.random.clone(),
            incarnation,
            collection_numbers,
        })
    }

    pub async fn close(&self) {
        let files: Vec<_> = self.open.lock().await.files.drain().collect();
        for (_, (file, _)) in files {
            file.close().await;
        }
        self.catalog.close().await;
    }
}

impl TenantFile {
    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn tenant(row: sqlx::sqlite::SqliteRow) -> Result<Tenant, StoreError> {
    Ok(Tenant {
        id: TenantId(row.try_get(0).map_err(failed)?),
        slug: row.try_get(1).map_err(failed)?,
        name: row.try_get(2).map_err(failed)?,
    })
}
