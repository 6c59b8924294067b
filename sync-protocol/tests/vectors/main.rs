//! Golden vectors: what is in `vectors/` is what this crate writes, and is read back as the same.
//!
//! The files are for whoever writes another client. After a change of the protocol that is meant,
//! `CAMPO_WRITE_VECTORS=1 cargo test -p sync-protocol --test vectors` writes them anew.

mod forms;
mod golden;
mod samples;
mod talk;
