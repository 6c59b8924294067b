//! Randomness that can be had again.

use std::time::Duration;

/// A xorshift generator.
pub struct Dice(u64);

impl Dice {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 to `sides` − 1.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.roll(from.len() as u64)).expect("small")]
    }

    /// Up to so many milliseconds, in steps of 10 microseconds.
    pub fn ms(&mut self, max: u64) -> Duration {
        Duration::from_micros(self.roll(max * 100) * 10)
    }
}
