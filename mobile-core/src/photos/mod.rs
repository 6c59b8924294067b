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

use serde::Serialize;
use sync_protocol::RecordId;

pub use attach::NewPhoto;
pub use mobile_photo::{
    Budget, Capture, Direction, Input, North, Origin, Origins, PhotoError, Position, Prepared,
    TakenAt, Treatment, limits, prepare,
};
pub use sync_protocol::schema::photos::Variant;

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
