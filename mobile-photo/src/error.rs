//! What can be wrong with a photo: one enum, each case with a stable code and a cure.

use crate::limits::{INPUT_BYTES_MAX, PIXELS_MAX};

/// Why a photo could not be prepared. The input is as it was; nothing is kept of the attempt.
#[derive(Debug, thiserror::Error)]
pub enum PhotoError {
    /// The file could not be read.
    #[error(
        "the photo's file cannot be read ({0}): check that it is still there and that the app may read it"
    )]
    Unreadable(#[from] std::io::Error),
    /// There are no bytes.
    #[error(
        "the photo is empty (0 bytes): the camera has not finished writing it, or failed; take it again"
    )]
    Empty,
    /// The bytes end before the picture does.
    #[error(
        "the photo ends before its picture does ({0}): copy the file again if there is a whole one, or \
         take the photo again"
    )]
    Truncated(&'static str),
    /// The bytes contradict themselves.
    #[error("the photo is damaged ({0}): take it again, or choose another file")]
    Damaged(String),
    /// HEIC or HEIF, what iPhones write by default.
    #[error(
        "HEIC photos are not supported: convert it to JPEG first, or set the camera to its most \
         compatible format"
    )]
    UnsupportedHeic,
    /// Recognised, and not one of the three that are read.
    #[error("this is {0}, and photos are JPEG, PNG or WebP: convert it first")]
    UnsupportedFormat(&'static str),
    /// A JPEG of a kind that no camera writes.
    #[error("this JPEG is {0}, which is not supported: save it as an ordinary JPEG first")]
    UnsupportedCoding(&'static str),
    /// Too many bytes.
    #[error(
        "the photo has {bytes} bytes, and {INPUT_BYTES_MAX} are the most: take it with a lower resolution"
    )]
    TooManyBytes {
        /// How many it has.
        bytes: u64,
    },
    /// Too many pixels, or so it says.
    #[error(
        "the photo has {width} × {height} pixels, and {max} are the most of its kind (for JPEG and plain PNG \
         {PIXELS_MAX}): take it with a lower resolution, or cut it"
    )]
    TooManyPixels {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Most that there may be of this kind of file.
        max: u64,
    },
    /// What the app gave as position is none.
    #[error(
        "{0} is no position: give latitude −90 to 90 and longitude −180 to 180 in degrees, accuracy and altitude in metres"
    )]
    PositionInvalid(&'static str),
    /// No picture fits.
    #[error("no picture fits into {bytes} bytes: give at least some thousand")]
    BudgetTooSmall {
        /// What was given.
        bytes: usize,
    },
}

impl PhotoError {
    /// A word for programs, which never changes. Apps have their own sentence for each.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "photo_unreadable",
            Self::Empty => "photo_empty",
            Self::Truncated(_) => "photo_truncated",
            Self::Damaged(_) => "photo_damaged",
            Self::UnsupportedHeic => "photo_unsupported_heic",
            Self::UnsupportedFormat(_) => "photo_unsupported_format",
            Self::UnsupportedCoding(_) => "photo_unsupported_coding",
            Self::TooManyBytes { .. } | Self::TooManyPixels { .. } => "photo_too_large",
            Self::PositionInvalid(_) => "photo_position_invalid",
            Self::BudgetTooSmall { .. } => "photo_budget_too_small",
        }
    }
}
