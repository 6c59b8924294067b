//! Copies of a data directory, made while a server works with it.
//!
//! ```text
//!  catalog.db ─ VACUUM INTO ─► .NAME.partial/catalog.db       each copy: to the disk, then checked
//!  each tenant that the copy lists ─► .NAME.partial/tenants/  (integrity_check, foreign_key_check)
//!                                     └─► renamed to NAME     only when all of it is good
//! ```
//!
//! `VACUUM INTO` reads one snapshot and makes nobody wait. The catalogue comes first, so that every
//! tenant that it lists has a file. Two tenants' copies are of different moments, which is no
//! matter: nothing refers from one to the other.
//!
//! To restore, stop the server and put the directory (or one tenant's file, without the `-wal` and
//! `-shm` beside the old one) in place. Devices that have seen what the copy lacks notice by the
//! history's witnesses, begin anew and send again what was lost.

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use uuid::Uuid;

use super::connection::{connect, create_private_directory, create_private_file};
use super::error::failed;
use crate::store::StoreError;

/// A copy that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Where it is.
    pub directory: PathBuf,
    /// How many tenants it holds.
    pub tenants: usize,
    /// How large it is, in bytes.
    pub bytes: u64,
}

/// Copies all files of a data directory to `<to>/<name>`.
///
/// # Errors
/// [`StoreError::Exists`] where there is one of that name, [`StoreError::Storage`] where files
/// cannot be read or written, or a copy is damaged. Then nothing is left of it.
pub async fn backup(data_dir: &Path, to: &Path, name: &str) -> Result<Backup, StoreError> {
    if !data_dir.join("catalog.db").exists() {
        return Err(StoreError::Storage(format!(
            "{} holds no catalog.db: name the server's data directory with --data",
            data_dir.display()
        )));
    }
    let directory = to.join(name);
    if directory.exists() {
        return Err(StoreError::Exists(directory.display().to_string()));
    }
    let partial = to.join(format!(".{name}.partial"));
    create_private_directory(&partial.join("tenants"))?;
    let copied = copy_all(data_dir, &partial).await;
    let named = copied.and_then(|(tenants, bytes)| {
        let storage = |error: std::io::Error| cannot_write(&directory, &error);
        std::fs::rename(&partial, &directory).map_err(storage)?;
        to_disk(to)?;
        Ok(Backup { directory, tenants, bytes })
    });
    if named.is_err() {
        let _ = std::fs::remove_dir_all(&partial);
    }
    named
}

async fn copy_all(data_dir: &Path, partial: &Path) -> Result<(usize, u64), StoreError> {
    let catalog = partial.join("catalog.db");
    let mut bytes = copy(&data_dir.join("catalog.db"), &catalog).await?;
    let mut connection = open_copy(&catalog).await?;
    let tenants = sqlx::query_scalar::<_, Uuid>("SELECT id FROM tenants ORDER BY id")
        .fetch_all(&mut connection)
        .await
        .map_err(failed)?;
    connection.close().await.map_err(failed)?;
    for tenant in &tenants {
        let file = Path::new("tenants").join(format!("{tenant}.db"));
        bytes += copy(&data_dir.join(&file), &partial.join(&file)).await?;
    }
    to_disk(&partial.join("tenants"))?;
    to_disk(partial)?;
    Ok((tenants.len(), bytes))
}

/// Copies one file and checks the copy; answers its size in bytes.
async fn copy(from: &Path, to: &Path) -> Result<u64, StoreError> {
    let named = |error: StoreError| {
        StoreError::Storage(format!("{} cannot be copied: {error}", from.display()))
    };
    if !from.exists() {
        return Err(StoreError::Storage(format!("{} is missing", from.display())));
    }
    create_private_file(to)?;
    let mut connection = connect(from).await.map_err(named)?;
    let copied = sqlx::query("VACUUM INTO ?")
        .bind(to.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await
        .map_err(failed);
    connection.close().await.map_err(failed)?;
    copied.map_err(named)?;
    to_disk(to)?;
    check(to).await.map_err(named)?;
    std::fs::metadata(to).map(|file| file.len()).map_err(|error| cannot_write(to, &error))
}

async fn check(copy: &Path) -> Result<(), StoreError> {
    let mut connection = open_copy(copy).await?;
    let found: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
    let broken = sqlx::query("PRAGMA foreign_key_check").fetch_optional(&mut connection).await;
    let broken = broken.map_err(failed)?.is_some();
    connection.close().await.map_err(failed)?;
    if found != "ok" {
        return Err(StoreError::Storage(format!("it is damaged: {found}")));
    }
    if broken {
        return Err(StoreError::Storage("it holds rows whose references are missing".to_owned()));
    }
    Ok(())
}

/// Opens a copy without making files beside it.
async fn open_copy(path: &Path) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .read_only(true)
        .immutable(true)
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging();
    options.connect().await.map_err(failed)
}

fn to_disk(path: &Path) -> Result<(), StoreError> {
    let synced = std::fs::File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Storage(format!("{} cannot be written: {error}", path.display()))
}
