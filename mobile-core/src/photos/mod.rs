//! Photos: from what the camera wrote to what the server has confirmed (DESIGN I13).
//!
//! # The life of a photo
//! ```text
//! prepare ──► attach ─ one SQLite transaction: file ► record in its photo collection ► queue
//!                                                         │ outbox           │
//!            sync/ ── push ─── the record is applied ─────┘                  │
//!                  ── photos ── thumbnail, then picture, in pieces ──────────┤ waiting
//!                              the server has checked the hash ──────────────┤ stored
//!                                                                            ▼
//!                               the file may go when space is short, and is fetched again to be looked at
//! ```
//! [`prepare`] makes the picture small ([`mobile_photo`]). [`attach`] belongs to a transaction of edits, so a
//! check-in with its photo is one act: all of it is saved, or nothing. The bytes are in files beside the
//! database, named by their hash ([`files`]); equal pictures share one. [`queue`] is which files are here
//! and what becomes of them. A round sends them after edits and rows (`sync/photos.rs`), one by one, small
//! before large, and stops between two pieces when there are edits to send.
//!
//! A file stays until the server has confirmed its hash, whatever happens to its record: one that waits for a
//! correction or a review keeps its files. Nobody is asked for a photo in words: where the server lacks one,
//! it says so in the record's `estado`, and every device that has the file sends it again ([`follow`]).
//!
//! What is durable when: the file before the record and its place in the queue; the confirmation after the
//! server's answer. A crash in between leaves a file that nothing names, which [`sweep`] finds, or one that is
//! offered again, to which the server says that it has it.

pub mod attach;
pub mod files;
pub mod follow;
pub mod mend;
pub mod queue;
pub mod record;
pub mod space;
pub mod sweep;

use serde::{Deserialize, Serialize};
use sync_protocol::RecordId;
use sync_protocol::schema::photos as columns;

pub use attach::NewPhoto;
pub use mobile_photo::{
    Budget, Capture, Direction, Input, North, Origin, Origins, PhotoError, Position, Prepared,
    TakenAt, Treatment, limits, prepare,
};

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

    /// The variant of that name.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variant| variant.as_str() == text)
    }

    /// The columns with its hash and its length.
    #[must_use]
    pub fn columns(self) -> (&'static str, &'static str) {
        match self {
            Self::Photo => (columns::SHA256, columns::BYTES),
            Self::Thumbnail => (columns::THUMBNAIL_SHA256, columns::THUMBNAIL_BYTES),
        }
    }

    /// Whether the server has it, where its record says this.
    #[must_use]
    pub fn is_stored(self, state: &str) -> bool {
        state == columns::STORED || (self == Self::Thumbnail && state == columns::THUMBNAIL)
    }
}

/// One picture of one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PhotoName {
    /// The photo collection.
    pub collection: String,
    /// Its record.
    pub record: RecordId,
    /// Which picture.
    pub variant: Variant,
}
