//! Seeded changes of inputs, for the tests. The fuzzer has better ones, guided by coverage; these
//! need no special build and are the same in every run.

/// Numbers that counts and lengths go wrong at, as LEB128 and little-endian bytes have them.
const EDGES: &[&[u8]] = &[
    &[0x00],
    &[0x01],
    &[0x7f],
    &[0x80, 0x01],
    &[0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    b"-1",
    b"9223372036854775808",
    b"null",
    b"\"",
    b"{",
    b"[",
    b"\\u0000",
    b"\xf0\x9f\x8c\xb1",
];

/// A source of changes. The same seed gives the same ones.
#[derive(Debug, Clone)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where that is 0.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or_default()
    }

    /// A range within so many bytes, mostly short.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length);
        let wanted = 1usize << self.below(7);
        start..(start + 1 + self.below(wanted)).min(length)
    }

    /// One to four changes of `input`; `other` is what pieces are taken from.
    #[must_use]
    pub fn change(&mut self, input: &[u8], other: &[u8], bytes_max: usize) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(7) {
                0 => {
                    let bit = self.below(8);
                    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
                }
                1 => {
                    let drawn = self.next().to_le_bytes()[0];
                    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = drawn);
                }
                2 => drop(bytes.drain(self.range(bytes.len()))),
                3 => {
                    let piece = bytes[self.range(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
                4 => {
                    let piece = other[self.range(other.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
                5 => {
                    let edge = EDGES[self.below(EDGES.len())];
                    let end = (at + self.below(3)).min(bytes.len());
                    bytes.splice(at..end, edge.iter().copied());
                }
                _ => bytes.truncate(at),
            }
        }
        bytes.truncate(bytes_max);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_changes_again_and_others_than_another_seed() {
        let all = |seed| {
            let mut mutator = Mutator::new(seed);
            (0..100).map(|_| mutator.change(b"{\"a\":1}", b"[2]", 64)).collect::<Vec<_>>()
        };
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
    }

    #[test]
    fn nothing_can_be_changed_into_something() {
        let mut mutator = Mutator::new(3);
        assert!((0..100).any(|_| !mutator.change(b"", b"", 64).is_empty()));
    }
}
