//! Names of photos, and of the objects that hold them.
//!
//! ```text
//! photos/{tenant}/{collection}/{record}/{photo|thumbnail}                        whole and verified
//! uploads/{tenant}/{collection}/{record}/{photo|thumbnail}/{user}/begun-300000   an upload's marker, with its length
//! uploads/{tenant}/{collection}/{record}/{photo|thumbnail}/{user}/0000262144     the bytes from this offset on
//! ```
//!
//! Tenant and record are part of every name, so a hash that somebody knows names nothing. Each user has
//! an upload of their own: who sends something else, or gives up, spoils nobody's but theirs.

use std::str::FromStr;

use object_store::path::Path;
pub use sync_protocol::schema::photos::Variant;
use sync_protocol::{RecordId, TenantId, UserId};

/// Digits of an offset in a part's name, so that names sort as offsets do.
const OFFSET_DIGITS: usize = 10;
/// Name of an upload's marker, before its length.
const MARKER: &str = "begun";

/// What an object of an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UploadName {
    /// The marker.
    Begun {
        /// The length that was announced.
        bytes: u64,
    },
    /// Some of its bytes.
    Part {
        /// From here on.
        offset: u64,
    },
}

impl FromStr for UploadName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |digits: &str| digits.parse().map_err(|_| ());
        match text.strip_prefix(MARKER) {
            Some(length) => {
                let length = length.strip_prefix('-').ok_or(())?;
                Ok(Self::Begun { bytes: number(length)? })
            }
            None => Ok(Self::Part { offset: number(text)? }),
        }
    }
}

/// One picture of one record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PhotoKey {
    /// The company.
    pub tenant: TenantId,
    /// The photo collection, as the schema names it.
    pub collection: String,
    /// The record.
    pub record: RecordId,
    /// Which picture.
    pub variant: Variant,
}

impl PhotoKey {
    /// The other picture of the record.
    #[must_use]
    pub fn other(&self) -> Self {
        self.of(self.variant.other())
    }

    /// This picture of the record.
    #[must_use]
    pub fn of(&self, variant: Variant) -> Self {
        Self { variant, ..self.clone() }
    }

    /// The whole picture.
    pub(super) fn object(&self) -> Path {
        record_folder("photos", self.tenant, &self.collection)
            .join(self.record.to_string())
            .join(self.variant.as_str())
    }

    /// The folder of its uploads.
    pub(super) fn uploads(&self) -> Path {
        record_folder("uploads", self.tenant, &self.collection)
            .join(self.record.to_string())
            .join(self.variant.as_str())
    }

    /// The key of an object below `photos`.
    pub(super) fn of_object(path: &Path) -> Option<Self> {
        let parts: Vec<_> = path.parts().collect();
        let [top, tenant, collection, record, variant] = parts.as_slice() else { return None };
        let key = Self {
            tenant: tenant.as_ref().parse().ok()?,
            collection: collection.as_ref().to_owned(),
            record: record.as_ref().parse().ok()?,
            variant: variant.as_ref().parse().ok()?,
        };
        (top.as_ref() == "photos").then_some(key)
    }
}

/// One user's upload of a picture.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UploadKey {
    /// The picture.
    pub photo: PhotoKey,
    /// Who sends it.
    pub sender: UserId,
}

impl UploadKey {
    /// Its folder.
    pub(super) fn folder(&self) -> Path {
        self.photo.uploads().join(self.sender.to_string())
    }

    /// What says that the upload of so many bytes has begun.
    pub(super) fn marker(&self, bytes: u64) -> Path {
        self.folder().join(format!("{MARKER}-{bytes}"))
    }

    /// The bytes from an offset on.
    pub(super) fn part(&self, offset: u64) -> Path {
        self.folder().join(format!("{offset:0OFFSET_DIGITS$}"))
    }

    /// The key of an object below `uploads`, and what it is.
    pub(super) fn of_object(path: &Path) -> Option<(Self, UploadName)> {
        let parts: Vec<_> = path.parts().collect();
        let [top, tenant, collection, record, variant, sender, name] = parts.as_slice() else {
            return None;
        };
        let photo = PhotoKey {
            tenant: tenant.as_ref().parse().ok()?,
            collection: collection.as_ref().to_owned(),
            record: record.as_ref().parse().ok()?,
            variant: variant.as_ref().parse().ok()?,
        };
        let sender = sender.as_ref().parse().ok()?;
        let name = name.as_ref().parse().ok()?;
        (top.as_ref() == "uploads").then_some((Self { photo, sender }, name))
    }
}

fn record_folder(top: &str, tenant: TenantId, collection: &str) -> Path {
    Path::from_iter([top, &tenant.to_string(), collection])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PhotoKey {
        PhotoKey {
            tenant: TenantId(uuid::Uuid::from_u128(1)),
            collection: "avance_fotos".into(),
            record: RecordId(uuid::Uuid::from_u128(2)),
            variant: Variant::Thumbnail,
        }
    }

    fn upload() -> UploadKey {
        UploadKey { photo: key(), sender: UserId(uuid::Uuid::from_u128(3)) }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        let (key, upload) = (key(), upload());
        let is = |path: &Path, name| {
            assert_eq!(UploadKey::of_object(path), Some((upload.clone(), name)));
        };
        is(&upload.marker(7), UploadName::Begun { bytes: 7 });
        is(&upload.part(262_144), UploadName::Part { offset: 262_144 });
        assert_eq!(PhotoKey::of_object(&key.object()), Some(key.clone()));
        assert_eq!(PhotoKey::of_object(&upload.marker(7)), None);
        assert_eq!(UploadKey::of_object(&key.object()), None);
    }

    #[test]
    fn parts_sort_by_their_offset() {
        assert!(upload().part(9) < upload().part(10));
        assert!(upload().part(999_999) < upload().part(16 * 1024 * 1024));
    }
}
