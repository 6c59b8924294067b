//! Randomness, passed in: ids and jitter.

use std::sync::Mutex;

use uuid::Uuid;

use crate::CoreError;

/// A source of randomness.
pub trait Random: Send + Sync {
    /// Fills the buffer.
    ///
    /// # Errors
    /// [`CoreError::NoRandomness`] when the system gives none.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), CoreError>;

    /// A random UUID (version 4).
    ///
    /// # Errors
    /// As [`Random::fill`].
    fn uuid(&self) -> Result<Uuid, CoreError> {
        let mut bytes = [0; 16];
        self.fill(&mut bytes)?;
        Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// A UUID that sorts by time (version 7), for record ids: rows made later have larger keys.
    ///
    /// # Errors
    /// As [`Random::fill`].
    fn uuid_at(&self, wall_us: i64) -> Result<Uuid, CoreError> {
        let mut bytes = [0; 10];
        self.fill(&mut bytes)?;
        let millis = u64::try_from(wall_us / 1_000).unwrap_or(0);
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }

    /// A number from 0 up to 1.
    ///
    /// # Errors
    /// As [`Random::fill`].
    fn unit(&self) -> Result<f64, CoreError> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
    }
}

/// The system's randomness.
#[derive(Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), CoreError> {
        getrandom::fill(bytes).map_err(|_| CoreError::NoRandomness)
    }
}

/// The same numbers for the same seed (SplitMix64), for tests and simulation.
#[derive(Debug)]
pub struct SeededRandom(Mutex<u64>);

impl SeededRandom {
    /// A source that starts from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), CoreError> {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
