//! Names of photos, and of the objects that hold them.
//!
//! ```text
//! photos/{tenant}/{collection}/{record}/{photo|thumbnail}               whole and verified
//! uploads/{tenant}/{collection}/{record}/{photo|thumbnail}/begun        the upload's marker
//! uploads/{tenant}/{collection}/{record}/{photo|thumbnail}/0000262144   the bytes from this offset on
//! ```
//!
//! Tenant and record are part of every name, so a hash that somebody knows names nothing.

use std::fmt;
use std::str::FromStr;

use object_store::path::Path;
use sync_protocol::{RecordId, TenantId};

/// Digits of an offset in a part's name, so that names sort as offsets do.
const OFFSET_DIGITS: usize = 10;
/// Name of an upload's marker.
const MARKER: &str = "begun";

/// Which of a photo's two pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    /// The picture.
    Photo,
    /// The small one.
    Thumbnail,
}

impl Variant {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Thumbnail, Self::Photo];

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Thumbnail => "thumbnail",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Photo => Self::Thumbnail,
            Self::Thumbnail => Self::Photo,
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a variant is `photo` or `thumbnail`")]
pub struct NoVariant;

impl FromStr for Variant {
    type Err = NoVariant;

    fn from_str(text: &str) -> Result<Self, NoVariant> {
        Self::ALL.into_iter().find(|variant| variant.as_str() == text).ok_or(NoVariant)
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

    /// What says that the upload has begun.
    pub(super) fn marker(&self) -> Path {
        self.upload().join(MARKER)
    }

    /// The bytes from an offset on.
    pub(super) fn part(&self, offset: u64) -> Path {
        self.upload().join(format!("{offset:0OFFSET_DIGITS$}"))
    }

    /// The key and offset (none for the marker) of an object below `uploads`.
    pub(super) fn of_upload(path: &Path) -> Option<(Self, Option<u64>)> {
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
        let offset = match name.as_ref() {
            MARKER => None,
            digits => Some(digits.parse().ok()?),
        };
        (top.as_ref() == "uploads").then_some((key, offset))
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
        assert_eq!(PhotoKey::of_upload(&key.marker()), Some((key.clone(), None)));
        assert_eq!(PhotoKey::of_upload(&key.part(262_144)), Some((key.clone(), Some(262_144))));
        assert_eq!(PhotoKey::of_object(&key.object()), Some(key.clone()));
        assert_eq!(PhotoKey::of_object(&key.marker()), None);
        assert_eq!(PhotoKey::of_upload(&key.object()), None);
    }

    #[test]
    fn parts_sort_by_their_offset() {
        assert!(key().part(9) < key().part(10));
        assert!(key().part(999_999) < key().part(16 * 1024 * 1024));
    }
}
