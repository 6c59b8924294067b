//! The text of a refresh token: the tenant's id and 32 random bytes, in URL-safe Base64.
//!
//! The tenant stands in it because the server has to know whose tokens to look through before it
//! can know anything else about the request. Only its SHA-256 is stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use sync_protocol::TenantId;
use sync_protocol::problem::Problem;
use uuid::Uuid;

use crate::random::Random;

/// How long a refresh token is good for when it is not used, in seconds: 90 days, so that a phone
/// from a site without signal still gets in. Each use issues another one.
pub const REFRESH_TOKEN_S: i64 = 90 * 24 * 3600;

const RANDOM_BYTES: usize = 32;

/// A refresh token in the hands of the server for a moment.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    tenant: TenantId,
    bytes: [u8; 16 + RANDOM_BYTES],
}

impl RefreshToken {
    /// Draws a token.
    ///
    /// # Errors
    /// `internal` when the machine has no randomness.
    pub fn draw(tenant: TenantId, random: &dyn Random) -> Result<Self, Problem> {
        let mut bytes = [0; 16 + RANDOM_BYTES];
        bytes[..16].copy_from_slice(tenant.0.as_bytes());
        random.fill(&mut bytes[16..]).map_err(|error| {
            tracing::error!(%error, "no randomness");
            Problem::new(500, "internal", "The server failed")
        })?;
        Ok(Self { tenant, bytes })
    }

    /// Reads a token that came with a request.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let bytes: [u8; 16 + RANDOM_BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let tenant = Uuid::from_slice(&bytes[..16]).ok()?;
        Some(Self { tenant: TenantId(tenant), bytes })
    }

    /// The tenant that it claims to belong to.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// What goes to the device.
    #[must_use]
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes)
    }

    /// What is stored: SHA-256, hex.
    #[must_use]
    pub fn hash(&self) -> String {
        Sha256::digest(self.bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn a_token_is_read_as_it_was_drawn() {
        let tenant = TenantId(Uuid::from_u128(5));
        let token = RefreshToken::draw(tenant, &SystemRandom).unwrap();
        let read = RefreshToken::read(&token.text()).unwrap();
        assert!(read == token);
        assert_eq!(read.tenant(), tenant);
        assert_eq!(read.hash().len(), 64);
        assert_ne!(read.hash(), RefreshToken::draw(tenant, &SystemRandom).unwrap().hash());
    }

    #[test]
    fn garbage_is_no_token() {
        for text in ["", "x", "====", &"A".repeat(63), &"A".repeat(65), "ñ"] {
            assert!(RefreshToken::read(text).is_none(), "{text}");
        }
    }
}
