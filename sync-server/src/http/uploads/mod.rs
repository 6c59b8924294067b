//! `uploads`: photos' bytes by tus 1.0 (<https://tus.io/protocols/resumable-upload>): the core, creation
//! (with upload), checksum, termination and expiration.
//!
//! An upload's address says what it is of: `uploads/{collection}/{id}/{variant}`. So a lost answer to the
//! POST that made it loses nothing.

pub mod append;
pub mod create;
pub mod head;
pub mod method;
pub mod options;
pub mod receive;
pub mod terminate;
pub mod tus;
