//! What a photo's record says.

use sync_protocol::problem::Problem;
use sync_protocol::schema::{Collection, photos};
use sync_protocol::{Fields, RecordId, Value};

use super::key::Variant;
use super::verify::{PIXELS_MAX, THUMBNAIL_PIXELS_MAX};

/// How far the upload of a photo is. Later ones are more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhotoState {
    /// Nothing is here that anybody may see.
    Pending,
    /// The thumbnail is here.
    Thumbnail,
    /// Both are here.
    Stored,
}

impl PhotoState {
    /// As the record says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => photos::PENDING,
            Self::Thumbnail => photos::THUMBNAIL,
            Self::Stored => photos::STORED,
        }
    }

    /// What the record says if these are here.
    #[must_use]
    pub fn of(photo: bool, thumbnail: bool) -> Self {
        match (photo, thumbnail) {
            (true, true) => Self::Stored,
            (false, true) => Self::Thumbnail,
            (_, false) => Self::Pending,
        }
    }

    /// Whether this picture is here for all who see the record.
    #[must_use]
    pub fn has(self, variant: Variant) -> bool {
        match variant {
            Variant::Photo => self >= Self::Stored,
            Variant::Thumbnail => self >= Self::Thumbnail,
        }
    }
}

/// What a picture must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// SHA-256, hexadecimal, lower case.
    pub sha256: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Width and height, in pixels, where the record says them.
    pub size: Option<(u32, u32)>,
    /// Most pixels.
    pub pixels_max: u64,
}

impl Expected {
    /// What the record says of one of its pictures; none where its content is gone or makes no sense.
    #[must_use]
    pub fn of(fields: &Fields, variant: Variant) -> Option<Self> {
        let (hash, bytes) = variant.columns();
        let edge = |name| match fields.get(name) {
            Some(Value::Integer(edge)) => u32::try_from(*edge).ok(),
            _ => None,
        };
        let (size, pixels_max) = match variant {
            Variant::Photo => (edge(photos::WIDTH).zip(edge(photos::HEIGHT)), PIXELS_MAX),
            Variant::Thumbnail => (None, THUMBNAIL_PIXELS_MAX),
        };
        match (fields.get(hash), fields.get(bytes)) {
            (Some(Value::Text(sha256)), Some(Value::Integer(bytes))) => {
                let bytes = u64::try_from(*bytes).ok()?;
                Some(Self { sha256: sha256.clone(), bytes, size, pixels_max })
            }
            _ => None,
        }
    }
}

/// How far the record says that its photo is.
#[must_use]
pub fn state(fields: &Fields) -> PhotoState {
    match fields.get(photos::STATE) {
        Some(Value::Text(text)) if text == photos::STORED => PhotoState::Stored,
        Some(Value::Text(text)) if text == photos::THUMBNAIL => PhotoState::Thumbnail,
        _ => PhotoState::Pending,
    }
}

/// The record that the photo belongs to, with its collection.
#[must_use]
pub fn parent(collection: &Collection, fields: &Fields) -> Option<(String, RecordId)> {
    let parent = collection.parent.as_ref()?;
    match fields.get(&parent.field) {
        Some(Value::Uuid(id)) => Some((parent.collection.clone(), RecordId(*id))),
        _ => None,
    }
}

/// The answer to content that is not what the record says.
#[must_use]
pub fn mismatch(what: impl std::fmt::Display) -> Problem {
    Problem::new(422, "photo_mismatch", "The picture is not the one that its record describes")
        .detail(format!("{what}; send the file whose length and SHA-256 the record has"))
}
