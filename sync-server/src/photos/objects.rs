//! The object store, reduced to the few things that photos need of it.
//!
//! What is asked of a store: an object is there whole or not at all, reading sees what was written
//! before, and *make it if it is not there* has one winner. Folders, memory, S3, MinIO and Google's store
//! do that; `tests/photos/conformance.rs` runs on all that can be had.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use sync_protocol::planted::{self, Bug};
use sync_protocol::problem::Problem;

use super::key::{PhotoKey, UploadKey, UploadName};

/// What can go wrong with objects.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// It is not there.
    #[error("the object is not there")]
    Missing,
    /// Somebody else has made it before.
    #[error("the object is there already")]
    Exists,
    /// The store fails, or cannot be reached.
    #[error("the object store failed: {0}")]
    Storage(String),
    /// The settings are wrong. The text says the remedy.
    #[error("{0}")]
    Setup(String),
}

impl From<object_store::Error> for ObjectError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::Missing,
            object_store::Error::AlreadyExists { .. }
            | object_store::Error::Precondition { .. } => Self::Exists,
            other => Self::Storage(other.to_string()),
        }
    }
}

impl From<ObjectError> for Problem {
    fn from(error: ObjectError) -> Self {
        tracing::error!(%error, "the object store failed");
        Self::new(507, "storage_failed", "The server's storage failed")
            .detail("nothing that was confirmed is lost; send the same again later")
            .retryable()
    }
}

/// One object in a listing.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name.
    pub path: Path,
    /// Its length.
    pub bytes: u64,
    /// When it was written, in microseconds since 1970, as the store says.
    pub written_us: i64,
}

/// Objects of photos and uploads.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
}

impl Objects {
    /// In this store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Makes an object if it is not there.
    ///
    /// # Errors
    /// [`ObjectError::Exists`].
    pub async fn create(&self, path: &Path, bytes: Bytes) -> Result<(), ObjectError> {
        let options = PutMode::Create.into();
        self.store.put_opts(path, PutPayload::from_bytes(bytes), options).await?;
        Ok(())
    }

    /// Makes or replaces an object.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), ObjectError> {
        self.store.put(path, PutPayload::from_bytes(bytes)).await?;
        Ok(())
    }

    /// A whole object.
    ///
    /// # Errors
    /// [`ObjectError::Missing`].
    pub async fn get(&self, path: &Path) -> Result<Bytes, ObjectError> {
        Ok(self.store.get(path).await?.bytes().await?)
    }

    /// Some bytes of an object, as they come.
    ///
    /// # Errors
    /// [`ObjectError::Missing`].
    pub async fn stream(
        &self,
        path: &Path,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, object_store::Result<Bytes>>, ObjectError> {
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        Ok(self.store.get_opts(path, options).await?.into_stream())
    }

    /// Some bytes of an object.
    ///
    /// # Errors
    /// [`ObjectError::Missing`].
    pub async fn range(&self, path: &Path, range: Range<u64>) -> Result<Bytes, ObjectError> {
        Ok(self.store.get_range(path, range).await?)
    }

    /// The length of an object; none if it is not there.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn length(&self, path: &Path) -> Result<Option<u64>, ObjectError> {
        match self.store.head(path).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(_) if planted::is(Bug::StorageFailureIsLoss) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes an object, if it is there.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove(&self, path: &Path) -> Result<(), ObjectError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What is below a folder, in no order.
    pub fn list(&self, folder: &Path) -> BoxStream<'static, Result<Listed, ObjectError>> {
        let listed = self.store.list(Some(folder)).map(|found| {
            let found = found?;
            Ok(Listed {
                written_us: found.last_modified.timestamp_micros(),
                bytes: found.size,
                path: found.location,
            })
        });
        listed.boxed()
    }

    /// The length of a whole picture; none if it is not there.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn photo_length(&self, key: &PhotoKey) -> Result<Option<u64>, ObjectError> {
        self.length(&key.object()).await
    }

    /// Removes all that an upload left.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove_upload(&self, upload: &UploadKey) -> Result<(), ObjectError> {
        self.remove_uploads_below(&upload.folder()).await
    }

    /// Removes all that anybody's uploads of a picture left.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remove_uploads(&self, key: &PhotoKey) -> Result<(), ObjectError> {
        self.remove_uploads_below(&key.uploads()).await
    }

    async fn remove_uploads_below(&self, folder: &Path) -> Result<(), ObjectError> {
        let found: Vec<Listed> = self.list(folder).try_collect().await?;
        // The marker last: without it nobody comes for the rest.
        let is_marker =
            |path: &Path| matches!(UploadKey::of_object(path), Some((_, UploadName::Begun { .. })));
        let (marker, parts): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| is_marker(&found.path));
        for found in parts.into_iter().chain(marker) {
            self.remove(&found.path).await?;
        }
        Ok(())
    }
}
