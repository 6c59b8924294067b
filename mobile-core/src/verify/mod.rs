//! Whether this device holds what the server has: finding damage, and mending it without losing an edit.
//!
//! | what | finds | when |
//! |---|---|---|
//! | [`checkpoint`] | rows that are missing, too many or of another version: counts and digests by scope and collection, against the server's as of the same snapshot | every ten minutes, after each new beginning, and on [`crate::core::Core::verify`] |
//! | [`scrub`] | rows whose content is not what was written, by their checksums | five hundred rows in each round |
//! | [`mend`] | bookkeeping that cannot be read or does not fit the rest | when a round stumbles over it, and on `verify` |
//! | [`content`] | rows whose content differs from the server's | on `verify` |
//!
//! What is found is noted ([`damage`]), for support. Rows are not written by whoever finds them damaged: they
//! are asked for, and come with the next delta, from the snapshot of its checkpoint ([`repair`]). A waiting
//! edit, which the server does not have, is kept twice ([`crate::outbox::copy`]).

pub mod checkpoint;
pub mod content;
pub mod damage;
pub mod held;
pub mod mend;
pub(crate) mod repair;
pub mod scrub;
