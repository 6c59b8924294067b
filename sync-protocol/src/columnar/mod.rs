//! Pages of a pull on the wire: the binary form (a stream of frames) and the JSON form.
//!
//! The store fills a [`PullPage`] column by column, and the device binds its columns to one prepared
//! statement. The binary form keeps that shape, so that neither end builds a value for each cell:
//!
//! ```text
//!  store ─► PullPage ─► encode_frame ─► frame ─ connection ─► FrameReader ─► decode_frame ─► PullPage ─► SQLite
//! ```
//!
//! # Frames
//!
//! A body of media type `application/vnd.campo.pull-pages` is frames, one after another, nothing
//! between and nothing after them. All fixed-width numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `length`: bytes that follow the flags, at most [`FRAME_BYTES_MAX`] |
//! | 1 | flags: bit 0 compressed; bits 4–7 the version of the form, [`FORM_VERSION`]; the rest 0 |
//! | 4 | only if compressed: length of the page once unfolded, at most [`PAGE_BYTES_MAX`] |
//! | … | the page, if compressed as one zstd frame |
//!
//! A body that ends inside a frame was cut: the whole frames are good, the rest is asked for again
//! ([`FrameReader::is_clean_end`]).
//!
//! # The page
//!
//! `varint` is LEB128 of at most 64 bits; `zigzag` maps signed numbers to it (0, −1, 1, −2 → 0, 1, 2,
//! 3). `text` is a varint count of bytes and UTF-8. `list of x` is a varint count and the items.
//!
//! | part | what |
//! |---|---|
//! | flags | 1 byte: bit 0 checkpoint, bit 1 backfill (else delta), bit 2 a schema follows, bit 3 digests follow |
//! | server time | zigzag, µs since 1970 |
//! | remaining | varint |
//! | cursor | text |
//! | schema | if flagged: text, JSON |
//! | scopes | list of text: every scope that the page names; below, *scope* is a varint index into it |
//! | drops, gains | each a list of scope |
//! | scope sets | list of (list of scope) |
//! | tables | list of table |
//! | settled | text: JSON, an array of receipts; empty text for none |
//! | digests | if flagged: text: JSON, an array as in the JSON form |
//!
//! A table:
//!
//! | part | what |
//! |---|---|
//! | collection | text |
//! | ids | list of id |
//! | versions | integers, as many as ids |
//! | scope sets | integers, as many as ids: index into the page's scope sets |
//! | fields | list of (name as text, column of as many values as ids) |
//! | exits | list of id |
//!
//! An id in a list of ids is one byte that says how many leading bytes (0 to 16) it shares with the
//! id before it (the first one with 16 zero bytes), and its other bytes: ids in key order share much.
//!
//! # Columns
//!
//! One byte for the kind, one for the nulls (0: none is null; 1: a bitmap follows, ⌈n/8⌉ bytes, the
//! lowest bit first, 1 for null; 2: all are null and nothing follows), then the values that are not
//! null:
//!
//! | kind | values |
//! |---|---|
//! | 0 integers | `integers`: 1 byte, 0 plain or 1 differences; then a zigzag for each value, or for each its difference (wrapping) to the one before, the first to 0 |
//! | 1 reals | 8 bytes each, IEEE 754 |
//! | 2 uuids | 16 bytes each |
//! | 3 texts | a varint length for each, then all bytes |
//! | 4 uuids, dictionary | list of at most 255 uuids; then one byte for each value, its index |
//! | 5 texts, dictionary | list of at most 255 texts; then one byte for each value, its index |
//!
//! The writer takes differences where they are shorter in all, and a dictionary where at most a
//! quarter of the values are distinct; readers take either. A real that is not finite (plain SQL can
//! write one; JSON cannot say it) travels as null.
//!
//! # Input from outside
//!
//! [`decode_frame`] answers [`DecodeError`] for anything that is not this form, and its memory is
//! bounded by the constants here, whatever the bytes claim: every count is checked against its limit
//! and against the bytes that are there before anything is reserved.
//!
//! The JSON form is described at [`page_to_json`].

mod binary;
mod bytes;
mod column;
mod frame;
mod json;

pub use binary::{decode_page, encode_page};
pub use frame::{FrameReader, decode_frame, encode_frame};
pub use json::{page_from_json, page_to_json, page_to_json_bytes};

#[cfg(doc)]
use crate::wire::pull::PullPage;

/// Version of the binary form.
pub const FORM_VERSION: u8 = 1;
/// Longest frame on the wire, in bytes after its flags. A page never grows by compression, so this
/// is the longest page and the few bytes that say its length.
pub const FRAME_BYTES_MAX: usize = PAGE_BYTES_MAX + 4;
/// Longest page in the binary form before compression, in bytes. Servers cut pages far below.
pub const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of text in all columns of a page, in bytes: a dictionary may unfold to more than the page.
pub const PAGE_TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most rows and exits in a page that is read: one page's worth of each.
pub const PAGE_RECORDS_MAX: usize = 2 * crate::limits::PAGE_ROWS_MAX;
/// Most tables in a page.
pub const PAGE_TABLES_MAX: usize = 1_000;
/// Most columns of a table.
pub const TABLE_COLUMNS_MAX: usize = 1_000;
/// Most cells (rows × columns) in a page.
pub const PAGE_CELLS_MAX: usize = 5_000_000;
/// Most mentions of scopes in a page: drops, gains and members of scope sets.
pub const PAGE_SCOPES_MAX: usize = 500_000;

/// Why bytes or JSON are no page.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the page does.
    #[error("the page ends in the middle of {0}")]
    Truncated(&'static str),
    /// The page was written in a later form.
    #[error(
        "the page has version {0} of the binary form; this reader knows version 1. Update the app"
    )]
    UnknownVersion(u8),
    /// A limit of this module is exceeded.
    #[error("{what} exceeds the limit of {limit}")]
    TooLarge {
        /// What is too large or too many.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Something that no writer of this form writes.
    #[error("the page is damaged: {0}")]
    Damaged(String),
    /// A value does not fit the field that the schema declares.
    #[error("the page does not fit the schema")]
    Value(#[from] crate::value::ValueError),
    /// A part that is JSON is not what was expected.
    #[error("the page holds JSON that does not fit")]
    Json(#[from] serde_json::Error),
    /// The compressed bytes do not unfold to what was announced.
    #[error("the page cannot be decompressed")]
    Compression(#[source] std::io::Error),
}

impl DecodeError {
    /// The stable code that goes into a report.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Truncated(_) => "page_truncated",
            Self::UnknownVersion(_) => "page_version_unknown",
            Self::TooLarge { .. } => "page_too_large",
            Self::Damaged(_) | Self::Json(_) | Self::Compression(_) => "page_damaged",
            Self::Value(_) => "page_beside_schema",
        }
    }

    fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}
