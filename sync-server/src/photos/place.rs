//! Whether this is the place where a company's photos are.
//!
//! A wrong `--photos`, or a disk that was not mounted, looks like a place where everything was lost. So the
//! place has a marker, an object `campo.json` with an id, which is written when the first upload begins
//! there; and nothing is concluded about a company of which there is nothing at all.

use futures::TryStreamExt as _;
use object_store::path::Path;
use serde_json::json;
use sync_protocol::TenantId;

use super::ObjectError;
use super::compare::CompareError;
use super::objects::Objects;
use crate::store::Store;

/// Name of the marker.
const MARKER: &str = "campo.json";

/// Whether records say that photos of the company are here.
///
/// # Errors
/// Those of the database.
async fn says_stored(store: &dyn Store, tenant: TenantId) -> Result<bool, CompareError> {
    let mut tx = store.read(tenant).await?;
    for collection in store.schema().collections.values().filter(|found| found.photos) {
        if tx.photo_bytes(collection).await? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the place has a marker.
async fn is_marked(objects: &Objects) -> Result<bool, ObjectError> {
    Ok(objects.length(&Path::from(MARKER)).await?.is_some())
}

/// Whether there is any photo of the company.
async fn has_any(objects: &Objects, tenant: TenantId) -> Result<bool, ObjectError> {
    let folder = Path::from_iter(["photos", &tenant.to_string()]);
    Ok(objects.list(&folder).try_next().await?.is_some())
}

/// Whether what is missing here of a company was lost, and is not only somewhere else.
///
/// # Errors
/// Those of the object store.
pub async fn is_of(objects: &Objects, tenant: TenantId) -> Result<bool, ObjectError> {
    Ok(is_marked(objects).await? && has_any(objects, tenant).await?)
}

/// Marks the place, unless it was marked. Answers whether it did.
///
/// # Errors
/// Those of the object store.
pub async fn mark(objects: &Objects) -> Result<bool, ObjectError> {
    let marker = json!({ "campo": "photos", "id": uuid::Uuid::new_v4() });
    match objects.create(&Path::from(MARKER), marker.to_string().into()).await {
        Ok(()) => Ok(true),
        Err(ObjectError::Exists) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Marks the place for who begins an upload, if it is theirs. Answers whether it is marked then.
///
/// # Errors
/// Those of the stores.
pub async fn claim(
    objects: &Objects,
    store: &dyn Store,
    tenant: TenantId,
) -> Result<bool, CompareError> {
    if is_marked(objects).await? {
        return Ok(true);
    }
    if !has_any(objects, tenant).await? && says_stored(store, tenant).await? {
        tracing::error!(
            %tenant,
            "records say that photos are stored, and there is none of them here; is --photos right?"
        );
        return Ok(false);
    }
    mark(objects).await?;
    Ok(true)
}

/// Why nothing should be concluded from what is missing here of a company; none if it may be.
///
/// # Errors
/// Those of the stores.
pub async fn doubt(
    objects: &Objects,
    store: &dyn Store,
    tenant: TenantId,
) -> Result<Option<&'static str>, CompareError> {
    if !says_stored(store, tenant).await? {
        return Ok(None);
    }
    if !has_any(objects, tenant).await? {
        return Ok(Some("records say that photos are stored, and there is not one of them here"));
    }
    // A place from before there were markers.
    mark(objects).await?;
    Ok(None)
}
