//! Bits of entropy-coded data.

use super::damaged;
use crate::error::PhotoError;

/// Reads bits, the highest of each byte first.
///
/// Where the data of an interval are over it gives zeros, so that the inner loops need not look; whether
/// any of those was used is asked once for each row ([`Bits::is_over`]).
pub(super) struct Bits<'d> {
    data: &'d [u8],
    at: usize,
    /// The next bits, from the highest on. Below them stands nothing or what comes next anyhow.
    window: u64,
    /// How many of them count.
    count: u32,
    /// How many of them were added behind the end.
    padded: u32,
}

impl<'d> Bits<'d> {
    pub(super) fn new(data: &'d [u8]) -> Self {
        Self { data, at: 0, window: 0, count: 0, padded: 0 }
    }

    /// At least 32 bits.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(eight) = self.data.get(self.at..).and_then(|rest| rest.first_chunk()) {
            let word = u64::from_be_bytes(*eight);
            // Whether no byte is 0xFF, after which a zero is skipped or a marker comes.
            let others = !word;
            if others.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 == 0 {
                self.window |= word >> self.count;
                let bytes = (63 - self.count) / 8;
                self.at += bytes as usize;
                self.count += bytes * 8;
                return;
            }
        }
        self.refill_slowly();
    }

    #[cold]
    #[inline(never)]
    fn refill_slowly(&mut self) {
        // What the fast way left below the bits that count would be added twice.
        self.window &= !(u64::MAX.checked_shr(self.count).unwrap_or(0));
        while self.count <= 56 {
            let byte = match self.data.get(self.at..) {
                Some([0xFF, 0, ..]) => {
                    self.at += 2;
                    0xFF
                }
                Some([byte, ..]) if *byte != 0xFF => {
                    self.at += 1;
                    *byte
                }
                // A marker or the end.
                _ => {
                    self.padded += 8;
                    0
                }
            };
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next bits without taking them, 1 to 16; [`refill`](Self::refill) first.
    #[inline(always)]
    pub(super) fn peek(&self, bits: u32) -> usize {
        (self.window >> (64 - bits)) as usize
    }

    /// Takes bits that were looked at.
    #[inline(always)]
    pub(super) fn skip(&mut self, bits: u32) {
        self.window <<= bits;
        self.count = self.count.saturating_sub(bits);
    }

    /// Takes up to 16 bits.
    #[inline(always)]
    pub(super) fn take(&mut self, bits: u32) -> i32 {
        if bits == 0 {
            return 0;
        }
        self.refill();
        let value = self.peek(bits) as i32;
        self.skip(bits);
        value
    }

    /// Takes the difference of that many bits (F.2.2.1): without the highest bit it is negative.
    #[inline(always)]
    pub(super) fn take_signed(&mut self, bits: u32) -> i32 {
        let value = self.take(bits);
        if bits > 0 && value < 1 << (bits - 1) { value - (1 << bits) + 1 } else { value }
    }

    /// Whether more was taken than there is.
    pub(super) fn is_over(&self) -> bool {
        self.padded > self.count
    }

    /// Whether all that there is was taken, but for what fills the last byte.
    pub(super) fn is_spent(&self) -> bool {
        let at_end = match self.data.get(self.at..) {
            Some([0xFF, next, ..]) => (0xD0..=0xD7).contains(next),
            Some([_, ..]) => false,
            _ => true,
        };
        at_end && self.count.saturating_sub(self.padded) < 8
    }

    /// Begins the next interval, behind its marker.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn restart(&mut self) -> Result<(), PhotoError> {
        let rest = &self.data[self.at.min(self.data.len())..];
        let is_restart = |pair: &[u8]| pair[0] == 0xFF && (0xD0..=0xD7).contains(&pair[1]);
        let marker = rest.windows(2).position(is_restart);
        let marker = marker.ok_or_else(|| damaged("a restart marker is missing"))?;
        *self = Self { at: self.at + marker + 2, ..Self::new(self.data) };
        Ok(())
    }
}
