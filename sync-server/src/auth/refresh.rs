//! Refresh tokens: rotation that forgives a lost answer and notices a stolen token.
//!
//! Each use of a token issues a *child*. Answers get lost, so the parent stays good, for the device
//! that it was issued to, until its child is used for the first time; using it again before that
//! replaces the child. A token whose child was used, or that was replaced, comes only from a copy:
//! then the whole family (everything since the login) ends, for the thief and for the owner, who
//! logs in again.
//!
//! The database holds SHA-256 hashes, never tokens.

use sync_protocol::{DeviceId, UserId};

/// A token to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRefreshToken {
    /// SHA-256 of the token, hex.
    pub hash: String,
    /// The person. On rotation the family's, whatever is here.
    pub user: UserId,
    /// The device that it is issued to.
    pub device: DeviceId,
    /// When it was issued, in microseconds since 1970.
    pub issued_at_us: i64,
    /// Until when it is good, in microseconds since 1970.
    pub expires_at_us: i64,
}

/// A token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRefreshToken {
    /// The person.
    pub user: UserId,
    /// The device that it was issued to.
    pub device: DeviceId,
    /// Until when it is good, in microseconds since 1970.
    pub expires_at_us: i64,
    /// A later repetition of the exchange replaced it.
    pub replaced: bool,
    /// Its child was used.
    pub child_used: bool,
    /// The family was ended by logout, revocation, or a copied token.
    pub family_ended: bool,
}

/// What becomes of a presented token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Issue a child (replacing one that was never used), and mark that the parent's child was used.
    Rotate,
    /// Refuse.
    Refuse,
    /// Refuse, and end the family: the token was copied.
    EndFamily,
}

/// What a store did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// The next token is stored for this person.
    Rotated {
        /// The person.
        user: UserId,
    },
    /// Unknown, expired, ended, or another device's.
    Refused,
    /// The family has just been ended.
    Reused,
}

/// Decides about a presented token.
#[must_use]
pub fn decide(token: Option<&StoredRefreshToken>, device: DeviceId, now_us: i64) -> Decision {
    match token {
        None => Decision::Refuse,
        Some(token) if token.family_ended || token.expires_at_us <= now_us => Decision::Refuse,
        Some(token) if token.device != device || token.replaced || token.child_used => {
            Decision::EndFamily
        }
        Some(_) => Decision::Rotate,
    }
}
