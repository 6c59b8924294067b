//! Photos: the bytes that photo records ([`sync_protocol::schema::photos`]) describe.
//!
//! A record comes by push like every other; it says the hash and length of a picture and of its
//! thumbnail. The bytes come afterwards, in as many pieces as the network makes of them, and stand in an
//! object store ([`objects`]). There is one upload for each (collection, record, variant), whoever
//! sends it. Its life:
//!
//! 1. **Begun** ([`upload`]): the caller sees the record and may write its collection ([`permit`]), the
//!    length is the record's, the company has room ([`quota`]). A marker is left.
//! 2. **Arriving** ([`intake`]): bytes become *parts*, each named by the offset at which it begins, each
//!    made only if nobody else has made it. The offset of the upload is where the parts that follow each
//!    other from 0 end: it is read from the store, never remembered, so every server knows it.
//! 3. **Whole** ([`finish`]): size, hash, and whether it is a picture ([`verify`]); the object under its
//!    final name; the record's `estado`; the parts go. A crash between any two of these leaves what
//!    whoever comes next needs to go on: all parts and no object, or the object and an older `estado`.
//!
//! Nothing of it is kept in the process, besides how much a company has stored, for a minute.
//!
//! [`place`] tells a wrong place from a loss. [`missing`] says what has not come, [`compare`] finds what was lost in the object store and asks the
//! devices for it again, [`tidy`] removes what nobody needs.

pub mod compare;
pub mod download;
pub mod finish;
pub mod held;
pub mod intake;
pub mod key;
pub mod location;
pub mod missing;
pub mod objects;
pub mod permit;
pub mod place;
pub mod quota;
pub mod record;
pub mod tidy;
pub mod upload;
pub mod verify;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use object_store::ObjectStore;
use sync_protocol::problem::Problem;
use tokio::sync::Semaphore;

pub use key::{PhotoKey, Variant};
pub use location::{PhotoLocation, PhotoSettings};
use objects::{ObjectError, Objects};
use quota::Quota;

use crate::auth::caller::Caller;
use crate::clock::Clock;
use crate::store::Store;

/// Pictures that are in memory at once to be checked, at most 16 MiB each as they came.
const CHECKED_AT_ONCE_MAX: usize = 4;
/// Pixels that are decoded at once, in millions: the largest picture, or several that devices prepared.
const DECODED_MEGAPIXELS_MAX: usize = 16;
const _: () = assert!(verify::PIXELS_MAX == 16_000_000, "every picture has its turn");

/// A server's photos.
pub struct Photos {
    /// Where the bytes are.
    pub objects: Objects,
    /// How much a company may store.
    pub quota: Quota,
    /// The folder that the bytes are in, if they are in one.
    pub folder: Option<PathBuf>,
    /// Whether the place is known to have its marker.
    marked: AtomicBool,
    checkers: Semaphore,
    /// A permit for each million pixels.
    decoders: Arc<Semaphore>,
}

impl Photos {
    /// In an object store, with this much room for each company, in bytes.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, quota_bytes: u64) -> Self {
        Self {
            objects: Objects::new(store),
            quota: Quota::new(quota_bytes),
            folder: None,
            marked: AtomicBool::new(false),
            checkers: Semaphore::new(CHECKED_AT_ONCE_MAX),
            decoders: Arc::new(Semaphore::new(DECODED_MEGAPIXELS_MAX)),
        }
    }

    /// As the settings say, if that is there: no folder is made.
    ///
    /// # Errors
    /// There is no such folder, or the URL is wrong.
    pub fn open_existing(settings: &PhotoSettings) -> Result<Self, ObjectError> {
        if let PhotoLocation::Folder(folder) = &settings.location
            && !folder.is_dir()
        {
            return Err(ObjectError::Setup(format!(
                "there is no folder {}; say with --photos where the photos are",
                folder.display()
            )));
        }
        Self::open(settings)
    }

    /// As the settings say.
    ///
    /// # Errors
    /// The folder cannot be made, or the URL is wrong.
    pub fn open(settings: &PhotoSettings) -> Result<Self, ObjectError> {
        let photos = Self::new(location::open(&settings.location)?, settings.quota_bytes);
        let folder = match &settings.location {
            PhotoLocation::Folder(folder) => Some(folder.clone()),
            PhotoLocation::Url(_) | PhotoLocation::Memory => None,
        };
        Ok(Self { folder, ..photos })
    }

    /// In memory, for tests and the simulator.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(
            Arc::new(object_store::memory::InMemory::new()),
            PhotoSettings::QUOTA_BYTES_DEFAULT,
        )
    }
}

/// What a request about photos works with.
#[derive(Clone, Copy)]
pub struct PhotoContext<'a> {
    /// The bytes.
    pub photos: &'a Photos,
    /// The records.
    pub store: &'a dyn Store,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Who asks.
    pub caller: &'a Caller,
}

/// The answer to who names a photo that is not there for them, for whatever reason.
#[must_use]
pub fn unknown() -> Problem {
    Problem::new(404, "unknown_photo", "There is no such photo")
        .detail("its record is unknown, deleted, not applied yet, or none that you can see; pull, and push it first")
}
