//! Numbers and texts as bytes.

use super::DecodeError;

/// Longest varint of 64 bits.
const VARINT_BYTES_MAX: usize = 10;

pub(super) fn put_varint(to: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        // The cast keeps the low seven bits, which is what is meant.
        to.push((n as u8 & 0x7f) | 0x80);
        n >>= 7;
    }
    to.push(n as u8);
}

pub(super) fn put_count(to: &mut Vec<u8>, n: usize) {
    put_varint(to, n as u64);
}

pub(super) fn put_text(to: &mut Vec<u8>, text: &str) {
    put_count(to, text.len());
    to.extend_from_slice(text.as_bytes());
}

pub(super) fn varint_len(n: u64) -> usize {
    let bits = 64 - (n | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

pub(super) fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

pub(super) fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -((n & 1).cast_signed())
}

/// Reads from the front of bytes and never beyond their end.
pub(super) struct Bytes<'a> {
    left: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.left.split_at_checked(n).ok_or(DecodeError::Truncated(what))?;
        self.left = tail;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self.left.split_first_chunk().ok_or(DecodeError::Truncated(what))?;
        self.left = tail;
        Ok(*head)
    }

    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        let (first, rest) = self.left.split_first().ok_or(DecodeError::Truncated(what))?;
        self.left = rest;
        Ok(*first)
    }

    #[inline]
    pub(super) fn varint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let mut n = 0u64;
        for (position, byte) in self.left.iter().take(VARINT_BYTES_MAX).enumerate() {
            // The tenth byte has room for one bit.
            if position + 1 == VARINT_BYTES_MAX && *byte > 1 {
                break;
            }
            n |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                self.left = &self.left[position + 1..];
                return Ok(n);
            }
        }
        if self.left.len() < VARINT_BYTES_MAX {
            return Err(DecodeError::Truncated(what));
        }
        Err(DecodeError::damaged(format!("a number of more than 64 bits in {what}")))
    }

    /// A count of things that follow and take at least one byte each, so that no more of them is
    /// believed, and reserved for, than there are bytes.
    pub(super) fn count(&mut self, limit: usize, what: &'static str) -> Result<usize, DecodeError> {
        let n = self.varint(what)?;
        let n = usize::try_from(n).ok().filter(|n| *n <= limit);
        let n = n.ok_or(DecodeError::TooLarge { what, limit })?;
        if n > self.left.len() { Err(DecodeError::Truncated(what)) } else { Ok(n) }
    }

    pub(super) fn text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let length = self.count(super::PAGE_BYTES_MAX, what)?;
        utf8(self.take(length, what)?, what)
    }
}

pub(super) fn utf8<'a>(bytes: &'a [u8], what: &'static str) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::damaged(format!("{what} is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_come_back() {
        for shift in 0..64 {
            for n in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put_varint(&mut bytes, n);
                assert_eq!(bytes.len(), varint_len(n), "{n}");
                assert_eq!(Bytes::new(&bytes).varint("n").unwrap(), n);
                assert_eq!(zigzag(unzigzag(n)), n);
            }
        }
    }

    #[test]
    fn a_count_is_believed_as_far_as_there_are_bytes() {
        let bytes = [3, 0, 0, 0];
        assert_eq!(Bytes::new(&bytes).count(3, "n").unwrap(), 3);
        assert_eq!(Bytes::new(&bytes).count(2, "n").unwrap_err().code(), "page_too_large");
        assert_eq!(Bytes::new(&bytes[..3]).count(3, "n").unwrap_err().code(), "page_truncated");
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_damage_and_a_cut_one_is_not() {
        let endless = [0xff; 11];
        assert_eq!(Bytes::new(&endless).varint("n").unwrap_err().code(), "page_damaged");
        assert_eq!(Bytes::new(&endless[..9]).varint("n").unwrap_err().code(), "page_truncated");
        let mut beyond = [0xff; 10];
        beyond[9] = 2;
        assert_eq!(Bytes::new(&beyond).varint("n").unwrap_err().code(), "page_damaged");
    }
}
