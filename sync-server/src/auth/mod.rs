//! Who is asking, and what they may do.
//!
//! ```text
//!  login ── password, throttle ──► access token (15 min) + refresh token (90 days, rotating)
//!  request ── access token ──► claims ──► account and device, as they are now ──► Caller
//!          ── route's Access ──► permission ──► handler
//! ```
//!
//! Tokens come from this server ([`access_token`]) or from an issuer that the configuration names
//! ([`issuer`]); which of the two a token is verified by depends on its `iss`, and each knows its
//! keys and its one algorithm beforehand.

pub mod access_token;
pub mod authenticate;
pub mod caller;
pub mod issuer;
pub mod password;
pub mod permission;
pub mod refresh;
pub mod refresh_token;
pub mod session;
pub mod throttle;
