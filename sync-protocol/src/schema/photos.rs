//! Photo collections: what is known about each photo, beside the picture itself.
//!
//! A collection with `photos = true` holds one record for each photo of a parent's record: a check-in has
//! photos of who came, a daily report of what was built. Its records are ordinary ones. They are made on
//! the device together with what they belong to, go where their parent goes, and are pushed and pulled like
//! all others; the picture's bytes go up by themselves when the record is applied (`docs/photos.md`).
//!
//! Every photo collection has the columns of this module, in this order, after its own. Who writes the
//! schema does not declare them. What describes the picture is set once, with the record: nobody can point
//! a record at another picture. How far the upload is ([`STATE`]) and what a supervisor should look at
//! ([`FLAGS`]) is the server's to say.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Field, FieldType, MergeRule};

/// SHA-256 of the picture's bytes, 64 hexadecimal digits in lower case.
pub const SHA256: &str = "sha256";
/// Length of the picture, in bytes.
pub const BYTES: &str = "bytes";
/// SHA-256 of the thumbnail's bytes.
pub const THUMBNAIL_SHA256: &str = "miniatura_sha256";
/// By which equal pictures are told: a thumbnail has no metadata, so the same picture with another position or
/// time has the same one.
pub const PICTURE: &str = THUMBNAIL_SHA256;
/// Length of the thumbnail, in bytes.
pub const THUMBNAIL_BYTES: &str = "miniatura_bytes";
/// Width of the picture as it stands upright, in pixels.
pub const WIDTH: &str = "ancho";
/// Height, in pixels.
pub const HEIGHT: &str = "alto";
/// When it was taken.
pub const TAKEN_AT: &str = "tomada";
/// Where it was taken, in degrees, north positive.
pub const LATITUDE: &str = "latitud";
/// In degrees, east positive.
pub const LONGITUDE: &str = "longitud";
/// How far off the position may be, in metres.
pub const ACCURACY_M: &str = "precision_m";
/// Above the sea, in metres.
pub const ALTITUDE_M: &str = "altitud_m";
/// Where the camera looked, in degrees from north, clockwise.
pub const DIRECTION: &str = "rumbo";
/// The phone said that its location was made up by an app.
pub const MOCKED: &str = "ubicacion_simulada";
/// How far the upload is: [`PENDING`], [`THUMBNAIL`] or [`STORED`].
pub const STATE: &str = "estado";
/// What a supervisor should look at.
pub const FLAGS: &str = "avisos";

/// Nothing was uploaded yet.
pub const PENDING: &str = "pending";
/// The thumbnail is here.
pub const THUMBNAIL: &str = "thumbnail";
/// Thumbnail and picture are here, and are what their hashes say.
pub const STORED: &str = "stored";

/// The permission without which nobody receives [`FLAGS`]: who is watched does not see by what.
pub const FLAGS_READ: &str = "conflict:resolve";

/// Largest picture or thumbnail that may be uploaded, in bytes. A prepared photo has 300 KiB; what an older
/// app or another client sends may have more.
pub const BYTES_MAX: i64 = 16 * 1024 * 1024;
/// Most pixels along an edge.
const EDGE_MAX: i64 = 65_535;

/// Which of a photo's two pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The picture.
    Photo,
    /// The small one.
    Thumbnail,
}

impl Variant {
    /// Both, in the order of sending.
    pub const ALL: [Self; 2] = [Self::Thumbnail, Self::Photo];

    /// As it is stored, sent and shown.
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

    /// The columns with its hash and its length.
    #[must_use]
    pub fn columns(self) -> (&'static str, &'static str) {
        match self {
            Self::Photo => (SHA256, BYTES),
            Self::Thumbnail => (THUMBNAIL_SHA256, THUMBNAIL_BYTES),
        }
    }

    /// Whether the server has it, where its record says this ([`STATE`]).
    #[must_use]
    pub fn is_stored(self, state: &str) -> bool {
        state == STORED || (self == Self::Thumbnail && state == THUMBNAIL)
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

/// The columns of every photo collection.
#[must_use]
pub fn fields() -> Vec<Field> {
    let known = |name: &str, kind: FieldType| Field {
        name: name.to_owned(),
        kind,
        required: false,
        default: None,
        merge: MergeRule::Immutable,
        references: None,
        max_length: None,
        min: None,
        max: None,
        from_parent: false,
        read: None,
        write: None,
    };
    let needed = |name: &str, kind: FieldType| Field { required: true, ..known(name, kind) };
    let hash = |name: &str| Field { max_length: Some(64), ..needed(name, FieldType::Text) };
    let between = |name: &str, min: f64, max: f64| Field {
        min: Some(min.into()),
        max: Some(max.into()),
        ..known(name, FieldType::Real)
    };
    let count = |name: &str, max: i64| Field {
        min: Some("1".into()),
        max: Some(max.to_string().into()),
        ..needed(name, FieldType::Integer)
    };
    let states = [PENDING, THUMBNAIL, STORED].map(str::to_owned).to_vec();
    vec![
        hash(SHA256),
        count(BYTES, BYTES_MAX),
        hash(THUMBNAIL_SHA256),
        count(THUMBNAIL_BYTES, BYTES_MAX),
        count(WIDTH, EDGE_MAX),
        count(HEIGHT, EDGE_MAX),
        known(TAKEN_AT, FieldType::Timestamp),
        between(LATITUDE, -90.0, 90.0),
        between(LONGITUDE, -180.0, 180.0),
        between(ACCURACY_M, 0.0, 1e7),
        between(ALTITUDE_M, -100_000.0, 1_000_000.0),
        between(DIRECTION, 0.0, 360.0),
        known(MOCKED, FieldType::Boolean),
        Field {
            default: Some(PENDING.into()),
            merge: MergeRule::Server,
            ..needed(STATE, FieldType::Enum { values: states })
        },
        Field {
            merge: MergeRule::Server,
            read: Some(FLAGS_READ.to_owned()),
            ..known(FLAGS, FieldType::Set)
        },
    ]
}
