//! Housekeeping: bytes that nobody needs any more.
//!
//! | what | when |
//! |---|---|
//! | uploads | 7 days after somebody last sent something |
//! | objects of deleted records | when the tombstone has lost its content, 90 days after the deletion |
//!
//! An object is never removed because there is *no* record: an older database that was put back knows
//! nothing of newer photos, and their devices may have given up their copies since.

use std::collections::{BTreeMap, HashMap};

use futures::TryStreamExt as _;
use object_store::path::Path;
use sync_protocol::{RecordId, TenantId};
use tokio_util::sync::CancellationToken;

use super::compare::CompareError;
use super::key::{PhotoKey, Variant};
use super::objects::Objects;
use super::record::Expected;
use super::upload::{KEPT_US, Parts};
use crate::store::{Store, StoreError};

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
    let mut touched: HashMap<PhotoKey, i64> = HashMap::new();
    let mut listed = objects.list(&Path::from("uploads"));
    while let Some(found) = listed.try_next().await? {
        if let Some((key, _)) = PhotoKey::of_upload(&found.path) {
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
