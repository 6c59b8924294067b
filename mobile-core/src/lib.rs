//! The library inside every Campo app: local store, outbox, sync loop.
//!
//! # The life of an edit
//! ```text
//! Core::transaction ─ edit/ ──► one SQLite transaction: typed table (view.rs) + outbox/
//!                                   │
//!           sync/ ── push ──────────┤ waiting → sending → the server's receipt
//!                 ── pull ── pull/ ─┤ pages: staged until the checkpoint, which also settles edits
//!                                   ▼
//!                      what the app sees = server state + edits that are not settled
//! ```
//! An edit is written once and never changed: a correction is a new transaction. It stays in the
//! view until the pull brings the server's state that includes it, in one SQLite transaction, so a
//! counter never shows an edit twice and never flickers.
//!
//! # Where things are
//! [`core`] is what apps call. [`store`] keeps one SQLite database per person ([`store::registry`]
//! knows which), [`edit`] turns what an app wants into mutations, [`view`] computes what it sees,
//! [`outbox`] holds every transaction and its receipt, [`pull`] applies pages, [`sync`] runs the
//! rounds, [`query`] is read-only SQL and live queries. Clock, randomness and transport are passed
//! in ([`clock`], [`random`], [`transport`]), so that tests replace them. [`photos`] makes photos small and sees them to the server.

pub mod clock;
pub mod core;
pub mod edit;
pub mod error;
pub mod export;
pub mod outbox;
pub mod photos;
pub mod pull;
pub mod query;
pub mod random;
pub mod store;
pub mod sync;
pub mod transport;
pub mod verify;
pub mod view;

pub use crate::core::{Config, Core, SignIn};
pub use crate::error::CoreError;
