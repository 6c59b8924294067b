//! The server's randomness, passed in so that the simulator can repeat a run exactly.
//!
//! What it draws reaches the wire or the store: refresh tokens, witnesses of the history, ids of
//! tenants and sessions, the signing key. Request ids, which do neither, are drawn as they come.

use std::sync::Arc;

use uuid::Uuid;

/// The system gives no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

/// A source of randomness.
pub trait Random: std::fmt::Debug + Send + Sync + 'static {
    /// Fills the buffer.
    ///
    /// # Errors
    /// [`NoRandomness`].
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness>;

    /// A UUID that sorts by when it was drawn (version 7).
    ///
    /// # Errors
    /// [`NoRandomness`].
    fn uuid(&self) -> Result<Uuid, NoRandomness>;
}

/// A source that is shared.
pub type SharedRandom = Arc<dyn Random>;

/// The machine's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(bytes).map_err(|_| NoRandomness)
    }

    fn uuid(&self) -> Result<Uuid, NoRandomness> {
        Ok(Uuid::now_v7())
    }
}
