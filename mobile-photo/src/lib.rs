//! Prepares a phone's photo for the way to the server: small, upright, geotagged, and nothing else in it.
//!
//! # The life of a photo through here
//! ```text
//! bytes or file ──► format.rs  what it is, by content
//!                     │
//!                     ├─► exif/     date, position, orientation ─► facts.rs  the camera's, or the app's
//!                     │                                               │
//!      fits already?  ├─► jpeg/     metadata written anew ◄───────────┤      (the picture stays, byte by byte)
//!      otherwise      └─► decode/   at ½, ¼ or ⅛ ─► resize.rs ─► color.rs ─► picture.rs (upright)
//!                                                                     │
//!                                                   encode/  the best quality within the budget ─► SHA-256
//! ```
//! [`prepare`] is all of it. It is a function of its arguments: no clock, no network, no file but the one
//! that it is given, and nothing that is kept. What comes in is not trusted: every size is checked before room
//! is made for it ([`limits`]), and what is cut or damaged is an error with a stable code ([`PhotoError`]),
//! never a picture that is half grey.
//!
//! `docs/photos.md` says what stays of a photo and what it costs.

mod capture;
mod color;
mod decode;
mod encode;
mod error;
mod exif;
mod facts;
mod format;
mod jpeg;
pub mod limits;
mod picture;
mod prepare;
mod resize;

pub use capture::{
    Budget, Capture, Direction, North, Origin, Origins, Position, Prepared, TakenAt, Treatment,
};
pub use error::PhotoError;
pub use prepare::{Input, prepare};
