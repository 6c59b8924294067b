//! Housekeeping: bytes that nobody needs any more.
//!
//! | what | when |
//! |---|---|
//! | uploads | 7 days after somebody last sent something |
//! | what a killed server was writing (`…#1`, folders only; no listing shows it) | a day after |
//! | objects of deleted records | when the tombstone has lost its content, 90 days after the deletion |
//!
//! An object is never removed because there is *no* record: an older database that was put back knows
//! nothing of newer photos, and their devices may have given up their copies since.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt as _;
use object_store::path::Path;
use sync_protocol::{RecordId, TenantId};
use tokio_util::sync::CancellationToken;

use super::compare::CompareError;
use super::key::{PhotoKey, UploadKey, Variant};
use super::objects::Objects;
use super::record::Expected;
use super::upload::{KEPT_US, Parts};
use crate::store::{Store, StoreError};

/// How long what was being written is left alone.
const UNFINISHED_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Records that are looked up at once.
const BATCH_RECORDS: usize = 500;

/// Removes uploads that nobody has touched for long; answers how many.
///
/// # Errors
/// Those of the object store.
pub async fn uploads(
    objects: &Objects,
    now_us: i64,
    stopping: &CancellationToken,
) -> Result<u64, CompareError> {
    let mut touched: HashMap<UploadKey, i64> = HashMap::new();
    let mut listed = objects.list(&Path::from("uploads"));
    while let Some(found) = listed.try_next().await? {
        if let Some((key, _)) = UploadKey::of_object(&found.path) {
            let last = touched.entry(key).or_insert(found.written_us);
            *last = (*last).max(found.written_us);
        }
    }
    let old = |us: i64| us + KEPT_US < now_us;
    let mut removed = 0;
    for key in touched.into_iter().filter(|(_, last)| old(*last)).map(|(key, _)| key) {
        if stopping.is_cancelled() {
            break;
        }
        // Somebody may have come back since the listing.
        if Parts::read(objects, &key).await?.is_none_or(|parts| old(parts.touched_us)) {
            objects.remove_upload(&key).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes what a server that was killed had begun to write into a folder, when it is a day old; answers how
/// many files. The object store writes each object under its name, `#` and a number before it renames it.
///
/// # Errors
/// Those of the file system.
pub fn leftovers(
    folder: &std::path::Path,
    now: SystemTime,
    stopping: &CancellationToken,
) -> std::io::Result<u64> {
    let mut folders: Vec<PathBuf> = ["photos", "uploads"].map(|top| folder.join(top)).to_vec();
    folders.retain(|folder| folder.is_dir());
    let mut removed = 0;
    while let Some(folder) = folders.pop() {
        if stopping.is_cancelled() {
            break;
        }
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            // An upload that has just ended.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if is_unfinished(&entry.file_name().to_string_lossy())
                && let Ok(written) = entry.metadata().and_then(|found| found.modified())
                && now.duration_since(written).is_ok_and(|age| age > UNFINISHED_KEPT)
            {
                std::fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn is_unfinished(name: &str) -> bool {
    let digits = name.rsplit_once('#').map(|(_, digits)| digits);
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Removes the objects of records that were deleted long ago; answers of how many records.
///
/// # Errors
/// Those of the stores.
pub async fn deleted(
    objects: &Objects,
    store: &dyn Store,
    stopping: &CancellationToken,
) -> Result<u64, CompareError> {
    let mut listed = objects.list(&Path::from("photos"));
    let mut batches: BTreeMap<(TenantId, String), Vec<RecordId>> = BTreeMap::new();
    let mut removed = 0;
    while let Some(found) = listed.try_next().await? {
        if stopping.is_cancelled() {
            return Ok(removed);
        }
        let Some(key) = PhotoKey::of_object(&found.path) else { continue };
        let batch = batches.entry((key.tenant, key.collection)).or_default();
        if batch.last() != Some(&key.record) {
            batch.push(key.record);
        }
        if batches.values().map(Vec::len).sum::<usize>() >= BATCH_RECORDS {
            removed += remove_forgotten(objects, store, std::mem::take(&mut batches)).await?;
        }
    }
    Ok(removed + remove_forgotten(objects, store, batches).await?)
}

async fn remove_forgotten(
    objects: &Objects,
    store: &dyn Store,
    batches: BTreeMap<(TenantId, String), Vec<RecordId>>,
) -> Result<u64, CompareError> {
    let mut removed = 0;
    for ((tenant, collection), records) in batches {
        let Some(known) = store.schema().collection(&collection) else { continue };
        let rows = match store.read(tenant).await {
            Ok(mut tx) => tx.rows(known, &records).await?,
            // A company that this database does not know: see the module's documentation.
            Err(StoreError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let forgotten = rows.into_iter().filter(|(_, row)| {
            row.meta.deleted.is_some() && Expected::of(&row.fields, Variant::Photo).is_none()
        });
        for (record, _) in forgotten {
            for variant in Variant::ALL {
                let key = PhotoKey { tenant, collection: collection.clone(), record, variant };
                objects.remove(&key.object()).await?;
            }
            removed += 1;
        }
    }
    Ok(removed)
}
