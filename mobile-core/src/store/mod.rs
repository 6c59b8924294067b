//! One SQLite database per person of a tenant: `<dir>/<tenant>/<user>.db`.
//!
//! WAL with `synchronous=FULL`: what a function here returned is on the disk. One connection
//! writes, behind a mutex that is held for one SQLite transaction and never while waiting for a
//! network; another one only reads, for the app's own SQL. Everything that belongs together is
//! written in one transaction by [`Store::write`]; where that fails, nothing has changed.
//!
//! A database that cannot be opened is never replaced: the error says why, and only
//! [`aside::set_aside`] (an explicit act of the user) renames one, if it is damaged.

pub mod anew;
pub mod aside;
pub mod checksum;
pub mod meta;
pub mod private;
pub mod registry;
pub mod rows;
pub mod scopes;
pub mod tables;
pub mod wipe;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use sync_protocol::fault::{self, Point};
use sync_protocol::schema::Schema;
use tokio::sync::watch;

use crate::CoreError;
use crate::photos::files::PhotoFiles;
use crate::photos::sweep;
use crate::verify::mend;

/// Marks the file as ours in SQLite's header (`PRAGMA application_id`), "Camp".
const APPLICATION_ID: i32 = 0x4361_6d70;
/// How long a writer waits for another process (a second command line, say).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The bookkeeping's migrations, applied in order; `PRAGMA user_version` counts them.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_bookkeeping.sql"),
    include_str!("../../migrations/0002_pushes.sql"),
    include_str!("../../migrations/0003_withdrawals.sql"),
    include_str!("../../migrations/0004_permissions.sql"),
    include_str!("../../migrations/0005_push_marks.sql"),
    include_str!("../../migrations/0006_settled_content.sql"),
    include_str!("../../migrations/0007_verification.sql"),
    include_str!("../../migrations/0008_photos.sql"),
    include_str!("../../migrations/0009_waiting.sql"),
];

/// An open database.
pub struct Store {
    path: PathBuf,
    photos: PhotoFiles,
    /// Closed before the writer: whoever closes last writes the log into the file, which this cannot.
    reader: Mutex<Connection>,
    writer: Mutex<Connection>,
    schema: RwLock<KnownSchema>,
    touched: Arc<Mutex<BTreeSet<String>>>,
    /// SQLite's count of what others committed, as of the last look.
    others: AtomicI64,
    changes: watch::Sender<Changes>,
}

/// A schema, by its hash as the server knows it.
#[derive(Default)]
struct KnownSchema {
    hash: Option<String>,
    schema: Arc<Schema>,
}

/// Which tables changed with the last commit, and how many commits changed any.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Counts commits that changed something.
    pub commit: u64,
    /// Number of the last commit that changed each table.
    pub tables: std::collections::BTreeMap<String, u64>,
}

impl Store {
    /// Opens the database, making it or bringing its bookkeeping up to date where needed.
    ///
    /// # Errors
    /// [`CoreError::DatabaseCorrupt`], [`CoreError::DatabaseLocked`], [`CoreError::DiskFull`] and
    /// [`CoreError::DatabaseTooNew`] leave the file as it was.
    pub fn open(path: &Path) -> Result<Self, CoreError> {
        Self::open_file(path).map_err(|error| at(path, error))
    }

    fn open_file(path: &Path) -> Result<Self, CoreError> {
        if let Some(folder) = path.parent() {
            private::close_folder(folder).map_err(|cause| file_error(folder, &cause))?;
        }
        let mut writer = Connection::open(path)?;
        writer.busy_timeout(BUSY_TIMEOUT)?;
        writer.set_prepared_statement_cache_capacity(256);
        writer.pragma_update(None, "journal_mode", "WAL")?;
        writer.pragma_update(None, "synchronous", "FULL")?;
        migrate(&mut writer)?;
        tables::add_checksums(&mut writer)?;
        let reader = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        reader.busy_timeout(BUSY_TIMEOUT)?;
        reader.pragma_update(None, "query_only", true)?;
        crate::query::restrict(&reader)?;
        let touched = Arc::new(Mutex::new(BTreeSet::new()));
        let hook_touched = Arc::clone(&touched);
        writer.update_hook(Some(move |_, _: &str, table: &str, _| {
            let mut touched: MutexGuard<'_, BTreeSet<String>> = lock(&hook_touched);
            if !touched.contains(table) {
                touched.insert(table.to_owned());
            }
        }))?;
        let store = Self {
            path: path.to_owned(),
            photos: PhotoFiles::beside(path),
            reader: Mutex::new(reader),
            writer: Mutex::new(writer),
            schema: RwLock::default(),
            touched,
            others: AtomicI64::new(0),
            changes: watch::channel(Changes::default()).0,
        };
        store.read(|db| {
            store.others.store(data_version(db)?, Ordering::Relaxed);
            Ok(())
        })?;
        if let Err(CoreError::Stored(_)) = store.read(|db| store.schema_in(db)) {
            store.write(|db| mend::all(db))?;
        }
        store.read(|db| store.schema_in(db))?;
        sweep::settle(&store)?;
        Ok(store)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files of photos beside it.
    #[must_use]
    pub fn photos(&self) -> &PhotoFiles {
        &self.photos
    }

    /// The collections that this person may see, as this process saw them last. What checks or writes asks
    /// [`Store::schema_in`] instead.
    #[must_use]
    pub fn schema(&self) -> Arc<Schema> {
        Arc::clone(&self.schema.read().unwrap_or_else(PoisonError::into_inner).schema)
    }

    /// The collections that this person may see, as of the transaction that `db` is in: a page or another
    /// process may have brought others while it waited to begin.
    ///
    /// # Errors
    /// Those of SQLite, and [`CoreError::Stored`].
    pub fn schema_in(&self, db: &Connection) -> Result<Arc<Schema>, CoreError> {
        let hash = meta::get(db, meta::name::SCHEMA_HASH)?;
        {
            let known = self.schema.read().unwrap_or_else(PoisonError::into_inner);
            if known.hash == hash {
                return Ok(Arc::clone(&known.schema));
            }
        }
        let schema = Arc::new(meta::schema(db)?);
        // One that is lost comes again, under the same hash.
        let hash = hash.filter(|_| !schema.collections.is_empty());
        let known = KnownSchema { hash, schema: Arc::clone(&schema) };
        *self.schema.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(schema)
    }

    /// Runs one SQLite transaction, committed when `f` succeeds and undone when it does not.
    ///
    /// # Errors
    /// Those of `f` and of SQLite; nothing has changed then.
    pub fn write<T>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, CoreError>,
    ) -> Result<T, CoreError> {
        let mut writer = lock(&self.writer);
        lock(&self.touched).clear();
        let result = write_in(&mut writer, f).map_err(|error| at(&self.path, error))?;
        fault::reached(Point::DeviceAfterCommit);
        // Taken under the writer's lock: the next writer begins with an empty set.
        let touched = std::mem::take(&mut *lock(&self.touched));
        drop(writer);
        self.notify(touched);
        Ok(result)
    }

    /// Keeps other writers, of other processes too, from beginning while `f` runs. It may change nothing here.
    ///
    /// # Errors
    /// Those of `f` and of SQLite.
    pub fn locked<T>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T, CoreError>,
    ) -> Result<T, CoreError> {
        let mut writer = lock(&self.writer);
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = f(&transaction)?;
        transaction.rollback()?;
        Ok(result)
    }

    /// As [`Store::write`], for a transaction that may bring another schema.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_schema<T>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, CoreError>,
    ) -> Result<T, CoreError> {
        let result = self.write(|db| {
            let before = self.schema_in(db).unwrap_or_default();
            let result = f(db)?;
            let after = meta::schema(db)?;
            // No hook tells of tables that are made, altered or dropped.
            let names = before.collections.keys().chain(after.collections.keys());
            lock(&self.touched).extend(names.cloned());
            Ok(result)
        })?;
        self.read(|db| self.schema_in(db))?;
        Ok(result)
    }

    /// Looks whether another process has committed anything, and then tells that every table may have
    /// changed. Never waits: whoever writes now in this process looks afterwards.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn notice_others(&self) -> Result<(), CoreError> {
        let writer = match self.writer.try_lock() {
            Ok(writer) => writer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        let count = data_version(&writer)?;
        if self.others.swap(count, Ordering::Relaxed) == count {
            return Ok(());
        }
        let before = self.schema();
        let after = self.schema_in(&writer)?;
        drop(writer);
        let names = before.collections.keys().chain(after.collections.keys());
        self.notify(names.cloned().collect());
        Ok(())
    }

    /// Reads on the writing connection, so that it sees the last commit.
    ///
    /// # Errors
    /// Those of `f` and of SQLite.
    pub fn read<T>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T, CoreError>,
    ) -> Result<T, CoreError> {
        f(&lock(&self.writer)).map_err(|error| at(&self.path, error))
    }

    /// Runs the app's own SQL on the connection that cannot write.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn query<T>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T, CoreError>,
    ) -> Result<T, CoreError> {
        f(&lock(&self.reader)).map_err(|error| at(&self.path, error))
    }

    /// Tells which tables change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Changes> {
        self.changes.subscribe()
    }

    fn notify(&self, touched: BTreeSet<String>) {
        if touched.is_empty() {
            return;
        }
        self.changes.send_modify(|changes| {
            changes.commit += 1;
            for table in touched {
                changes.tables.insert(table, changes.commit);
            }
        });
    }
}

fn write_in<T>(
    writer: &mut Connection,
    f: impl FnOnce(&Transaction<'_>) -> Result<T, CoreError>,
) -> Result<T, CoreError> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let result = f(&transaction)?;
    fault::reached(Point::DeviceBeforeCommit);
    transaction.commit()?;
    Ok(result)
}

/// Changes with what other connections commit, and not with what this one does.
fn data_version(db: &Connection) -> Result<i64, CoreError> {
    Ok(db.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
}

/// Says which file is damaged.
fn at(path: &Path, error: CoreError) -> CoreError {
    match error {
        CoreError::DatabaseCorrupt { cause, .. } => {
            CoreError::DatabaseCorrupt { path: path.display().to_string(), cause }
        }
        other => other,
    }
}

/// Takes a lock also after a panic elsewhere: SQLite has undone what was not committed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn migrate(writer: &mut Connection) -> Result<(), CoreError> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(CoreError::DatabaseTooNew { found, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    if found < known {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", known)?;
    }
    transaction.commit()?;
    Ok(())
}

pub(crate) fn file_error(path: &Path, cause: &std::io::Error) -> CoreError {
    if cause.kind() == std::io::ErrorKind::StorageFull {
        return CoreError::DiskFull;
    }
    CoreError::File { path: path.display().to_string(), cause: cause.to_string() }
}
