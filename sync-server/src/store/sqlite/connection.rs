//! Opening files: pragmas, permissions, and pools.
//!
//! Transactions are begun and ended by statements of our own on a pooled connection, and a
//! connection that comes back is always rolled back. So a transaction that was dropped half done
//! leaves nothing behind, and neither does one that SQLite itself rolled back (on a full disk).

use std::path::Path;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Sqlite, SqlitePool};

use super::error::failed;
use crate::store::StoreError;

/// How long a transaction waits for another one, in seconds; then it is told that the store is busy.
const WAIT_S_MAX: u64 = 10;
/// A connection that nobody used for so long is closed, in seconds.
const IDLE_S_MAX: u64 = 300;
/// Prepared statements kept per connection: a few for each collection.
const STATEMENTS_MAX: usize = 512;

/// A connection out of a pool.
pub(super) type Connection = PoolConnection<Sqlite>;

/// What a pool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The one connection that writes.
    Writer,
    /// So many connections that only read.
    Readers(u32),
}

/// Makes an empty file that only its owner may read, and its directory alike. SQLite gives the
/// files beside it (`-wal`, `-shm`) the same permissions.
pub(super) fn create_private_file(path: &Path) -> Result<(), StoreError> {
    let storage = |error: std::io::Error| {
        StoreError::Storage(format!("{} cannot be made: {error}", path.display()))
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ()).map_err(storage)
}

/// Makes a directory that only its owner may enter, if it is not there.
pub(super) fn create_private_directory(path: &Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|error| StoreError::Storage(format!("{} cannot be made: {error}", path.display())))
}

/// How a file is opened. It must exist.
fn options(path: &Path, role: Role) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(WAIT_S_MAX))
        .statement_cache_capacity(STATEMENTS_MAX)
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging();
    match role {
        Role::Writer => options,
        Role::Readers(_) => options.pragma("query_only", "ON"),
    }
}

/// A pool on a file. Nothing is opened before it is asked for a connection.
pub(super) fn pool(path: &Path, role: Role) -> SqlitePool {
    let connections = match role {
        Role::Writer => 1,
        Role::Readers(most) => most,
    };
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(WAIT_S_MAX))
        .idle_timeout(Duration::from_secs(IDLE_S_MAX))
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_release(|connection, _| {
            Box::pin(async move {
                // Fails where no transaction is open, as after a commit.
                let _ = sqlx::query("ROLLBACK").execute(connection).await;
                Ok(true)
            })
        })
        .connect_lazy_with(options(path, role))
}

/// Opens a connection outside of a pool, for migrations.
pub(super) async fn connect(path: &Path) -> Result<SqliteConnection, StoreError> {
    options(path, Role::Writer).connect().await.map_err(failed)
}
