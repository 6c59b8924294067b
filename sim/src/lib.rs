//! The deterministic simulator: one process, one seed, a server with its real handlers and store, real
//! phone cores on real files, simulated time, and a network that loses, doubles, delays and cuts.
//!
//! ```text
//! seed ─► plan (phones, people, steps) ─► run ─► violation? ─► shrink ─► the story of the shortest
//!                                          │
//!                   world: server ◄─ network ◄─ phones      oracle: looks after every step
//! ```
//! `docs/simulation.md` says what is simulated and what is not. To add a feature, write a file in
//! [`ops`] and a line in [`registry`].

pub mod bar;
pub mod coverage;
pub mod deliver;
pub mod device;
mod look;
pub mod mutations;
pub mod network;
pub mod nth;
pub mod ops;
pub mod oracle;
pub mod pictures;
pub mod plan;
pub mod postgres;
pub mod registry;
pub mod rng;
pub mod run;
pub mod schema;
pub mod search;
pub mod server;
pub mod shelf;
pub mod shrink;
pub mod time;
pub mod wire;
pub mod world;
