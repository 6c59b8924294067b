//! Opening the store that a configuration names.

use std::path::Path;
use std::sync::Arc;

use sync_protocol::schema::Schema;

use crate::config::Database;
use crate::store::postgres::{self, PostgresStore};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};

/// An open database.
#[derive(Debug, Clone)]
pub enum OpenStore {
    /// PostgreSQL.
    Postgres(PostgresStore),
    /// SQLite.
    Sqlite(SqliteStore),
}

impl OpenStore {
    /// Opens a database. SQLite's files are made if they are not there; PostgreSQL needs
    /// `sync-server migrate` first, which only the tables' owner may do.
    ///
    /// # Errors
    /// [`StoreError::Setup`] where tables and schema do not fit, with the remedy.
    pub async fn open(database: &Database, schema: Arc<Schema>) -> Result<Self, StoreError> {
        Ok(match database {
            Database::Postgres(url) => Self::Postgres(PostgresStore::connect(url, schema).await?),
            Database::Sqlite(directory) => {
                Self::Sqlite(SqliteStore::open(directory, schema).await?)
            }
        })
    }

    /// Behind the interface of stores.
    #[must_use]
    pub fn shared(&self) -> Arc<dyn Store> {
        match self {
            Self::Postgres(store) => Arc::new(store.clone()),
            Self::Sqlite(store) => Arc::new(store.clone()),
        }
    }

    /// Closes all connections and files.
    pub async fn close(&self) {
        match self {
            Self::Postgres(store) => store.close().await,
            Self::Sqlite(store) => store.close().await,
        }
    }
}

/// Brings a database up to date with a schema, and answers what was done, as far as the store tells
/// it. On PostgreSQL the URL is the owner's.
///
/// # Errors
/// [`StoreError::Setup`] where that is not possible, with the remedy.
pub async fn migrate(database: &Database, schema: Arc<Schema>) -> Result<Vec<String>, StoreError> {
    match database {
        Database::Postgres(url) => postgres::migrate(url, &schema).await,
        Database::Sqlite(directory) => {
            let store = SqliteStore::open(directory, schema).await?;
            let migrated = store.migrate().await;
            store.close().await;
            migrated.map(|()| Vec::new())
        }
    }
}

/// Holds a data directory for one server. Two would keep counts and limits of their own, and take
/// turns at the files badly; commands of administrators are short and need no hold.
#[derive(Debug)]
pub struct DirectoryHold {
    _file: std::fs::File,
}

impl DirectoryHold {
    /// Takes the hold, which ends with the process however that ends.
    ///
    /// # Errors
    /// [`StoreError::Setup`] when another server has it; [`StoreError::Storage`] when the file
    /// cannot be made.
    pub fn take(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join("server.lock");
        let storage = |error: std::io::Error| {
            StoreError::Storage(format!("{} cannot be opened: {error}", path.display()))
        };
        std::fs::create_dir_all(directory).map_err(storage)?;
        let file = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(storage)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::Setup(format!(
                "another server works with {}; stop it, or give this one a directory of its own \
                 with --data",
                directory.display()
            ))),
            Err(std::fs::TryLockError::Error(error)) => Err(storage(error)),
        }
    }
}
