//! The bodies of requests and answers under `/mobile/api/v1`. `docs/protocol.md` explains them.

pub mod auth;
pub mod compare;
pub mod events;
pub mod pull;
pub mod push;
pub mod receipt;
pub mod review;
pub mod unique;
pub mod view;
