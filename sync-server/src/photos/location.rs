//! Where photos are kept: a folder, or an object store by URL.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use super::objects::ObjectError;

/// Where photos are, and how much of them.
#[derive(Debug, Clone)]
pub struct PhotoSettings {
    /// Where.
    pub location: PhotoLocation,
    /// Most bytes of one company.
    pub quota_bytes: u64,
}

impl PhotoSettings {
    /// Most bytes of one company where nobody says otherwise: 50 GiB.
    pub const QUOTA_BYTES_DEFAULT: u64 = 50 * 1024 * 1024 * 1024;

    /// There, with the default quota.
    #[must_use]
    pub fn at(location: PhotoLocation) -> Self {
        Self { location, quota_bytes: Self::QUOTA_BYTES_DEFAULT }
    }
}

/// Where photos are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PhotoLocation {
    /// A folder of this machine.
    Folder(PathBuf),
    /// `s3://bucket/prefix` or `gs://bucket/prefix`; keys and endpoint come from the environment, as
    /// other programs read them (`AWS_*`, `GOOGLE_*`).
    Url(String),
    /// The process's memory: gone with it.
    Memory,
}

impl FromStr for PhotoLocation {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "memory:" => Self::Memory,
            url if url.contains("://") => Self::Url(url.to_owned()),
            folder => Self::Folder(PathBuf::from(folder)),
        })
    }
}

/// Opens it; a folder is made if it is not there.
pub(super) fn open(location: &PhotoLocation) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    match location {
        PhotoLocation::Folder(folder) => open_folder(folder),
        PhotoLocation::Url(url) => open_url(url),
        PhotoLocation::Memory => Ok(Arc::new(InMemory::new())),
    }
}

fn open_folder(folder: &Path) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    let setup = |error: &dyn std::fmt::Display| {
        ObjectError::Setup(format!(
            "the photos' folder {} cannot be used: {error}; choose another with --photos",
            folder.display()
        ))
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| setup(&error))?;
    let local = LocalFileSystem::new_with_prefix(folder).map_err(|error| setup(&error))?;
    // What was confirmed survives a power cut; empty folders of ended uploads go.
    Ok(Arc::new(local.with_fsync(true).with_automatic_cleanup(true)))
}

#[cfg(any(feature = "s3", feature = "gcs"))]
fn open_url(url: &str) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    // The client of the object store takes the process's cryptography, as ours does.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let prefix = rest.split_once('/').map_or("", |(_, prefix)| prefix.trim_matches('/'));
    let store: Arc<dyn ObjectStore> = match scheme {
        #[cfg(feature = "s3")]
        "s3" => {
            let builder = object_store::aws::AmazonS3Builder::from_env().with_url(url);
            Arc::new(builder.build().map_err(|error| wrong_url(&error))?)
        }
        #[cfg(feature = "gcs")]
        "gs" => {
            let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_url(url);
            Arc::new(builder.build().map_err(|error| wrong_url(&error))?)
        }
        _ => {
            return Err(wrong_url(&"only s3:// and gs:// are known, as far as they were built in"));
        }
    };
    if prefix.is_empty() {
        return Ok(store);
    }
    Ok(Arc::new(object_store::prefix::PrefixStore::new(store, prefix)))
}

#[cfg(not(any(feature = "s3", feature = "gcs")))]
fn open_url(_url: &str) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    Err(wrong_url(&"this program was built without the features `s3` and `gcs`"))
}

/// Never the URL: it may hold a password.
fn wrong_url(error: &dyn std::fmt::Display) -> ObjectError {
    ObjectError::Setup(format!("the URL of --photos cannot be used: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_a_folder_or_a_store() {
        let read = |text: &str| text.parse::<PhotoLocation>().unwrap();
        assert_eq!(read("memory:"), PhotoLocation::Memory);
        assert_eq!(read("s3://fotos/campo"), PhotoLocation::Url("s3://fotos/campo".into()));
        assert_eq!(read("/var/fotos"), PhotoLocation::Folder("/var/fotos".into()));
    }

    #[test]
    fn an_unknown_kind_of_store_is_said() {
        let error = open(&PhotoLocation::Url("ftp://somewhere".into())).err().unwrap();
        assert!(error.to_string().contains("--photos"), "{error}");
    }
}
