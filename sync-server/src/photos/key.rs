//! Names of photos, and of the objects that hold them.
//!
//! ```text
//! photos/{tenant}/{collection}/{record}/{photo|thumbnail}                 whole and verified
//! uploads/{tenant}/{collection}/{record}/{photo|thumbnail}/begun-300000   the upload's marker, with its length
//! uploads/{tenant}/{collection}/{record}/{photo|thumbnail}/0000262144     the bytes from this offset on
//! ```
//!
//! Tenant and record are part of every name, so a hash that somebody knows names nothing.

use std::str::FromStr;

use object_store::path::Path;
pub use sync_protocol::schema::photos::Variant;
use sync_protocol::{RecordId, TenantId};

/// Digits of an offset in a part's name, so that names sort as offsets do.
const OFFSET_DIGITS: usize = 10;
/// Name of an upload's marker, before its length. Older ones are without.
const MARKER: &str = "begun";

/// What an object of an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UploadName {
    /// The marker.
    Begun {
        /// The length that was announced.
        bytes: Option<u64>,
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
            Some("") => Ok(Self::Begun { bytes: None }),
            Some(length) => {
                let length = length.strip_prefix('-').ok_or(())?;
                Ok(Self::Begun { bytes: Some(number(length)?) })
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

    /// The folder of its upload.
    pub(super) fn upload(&self) -> Path {
        record_folder("uploads", self.tenant, &self.collection)
            .join(self.record.to_string())
            .join(self.variant.as_str())
    }

    /// What says that the upload of so many bytes has begun.
    pub(super) fn marker(&self, bytes: u64) -> Path {
        self.upload().join(format!("{MARKER}-{bytes}"))
    }

    /// The bytes from an offset on.
    pub(super) fn part(&self, offset: u64) -> Path {
        self.upload().join(format!("{offset:0OFFSET_DIGITS$}"))
    }

    /// The key of an object below `uploads`, and what it is.
    pub(super) fn of_upload(path: &Path) -> Option<(Self, UploadName)> {
        let parts: Vec<_> = path.parts().collect();
        let [top, tenant, collection, record, variant, name] = parts.as_slice() else {
            return None;
        };
        let key = Self {
            tenant: tenant.as_ref().parse().ok()?,
            collection: collection.as_ref().to_owned(),
            record: record.as_ref().parse().ok()?,
            variant: variant.as_ref().parse().ok()?,
        };
        let name = name.as_ref().parse().ok()?;
        (top.as_ref() == "uploads").then_some((key, name))
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

    #[test]
    fn names_are_read_as_they_are_written() {
        let key = key();
        let is =
            |path: &Path, name| assert_eq!(PhotoKey::of_upload(path), Some((key.clone(), name)));
        is(&key.marker(7), UploadName::Begun { bytes: Some(7) });
        is(&key.upload().join("begun"), UploadName::Begun { bytes: None });
        is(&key.part(262_144), UploadName::Part { offset: 262_144 });
        assert_eq!(PhotoKey::of_object(&key.object()), Some(key.clone()));
        assert_eq!(PhotoKey::of_object(&key.marker(7)), None);
        assert_eq!(PhotoKey::of_upload(&key.object()), None);
    }

    #[test]
    fn parts_sort_by_their_offset() {
        assert!(key().part(9) < key().part(10));
        assert!(key().part(999_999) < key().part(16 * 1024 * 1024));
    }
}
