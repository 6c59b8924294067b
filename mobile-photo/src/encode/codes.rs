//! The shortest Huffman codes for counted symbols.

/// Longest code of a JPEG, in bits.
const LENGTH_MAX: usize = 16;

/// A code table: how many codes there are of each length, their symbols in order, and each symbol's code.
pub(super) struct Codes {
    /// Of the lengths 1 to 16.
    pub(super) counts: [u8; LENGTH_MAX],
    /// Shortest codes first.
    pub(super) symbols: Vec<u8>,
    /// Code and length of each symbol; length 0 where it does not occur.
    pub(super) codes: [(u16, u8); 256],
}

impl Codes {
    /// For symbols that occur so often (T.81, K.2).
    pub(super) fn of(counts: &[u32; 256]) -> Self {
        let lengths = limited(lengths(counts));
        let mut symbols: Vec<u8> =
            (0..=255).filter(|symbol| counts[usize::from(*symbol)] > 0).collect();
        // More frequent ones get the shorter codes.
        symbols.sort_by_key(|symbol| std::cmp::Reverse(counts[usize::from(*symbol)]));
        let mut codes = [(0, 0); 256];
        let (mut code, mut next) = (0u16, symbols.iter());
        for (length, count) in (1u8..).zip(lengths) {
            for symbol in next.by_ref().take(usize::from(count)) {
                codes[usize::from(*symbol)] = (code, length);
                code += 1;
            }
            code <<= 1;
        }
        Self { counts: lengths, symbols, codes }
    }

    /// What all of the counted symbols take, in bits.
    pub(super) fn bits(&self, counts: &[u32; 256]) -> u64 {
        let each = counts.iter().zip(&self.codes);
        each.map(|(count, (_, length))| u64::from(*count) * u64::from(*length)).sum()
    }

    /// What the table itself takes in a file, in bytes.
    pub(super) fn table_bytes(&self) -> usize {
        LENGTH_MAX + self.symbols.len()
    }
}

/// How many codes there are of each length, without a limit. One place is kept free by a symbol that
/// never occurs, because a code of ones only is not allowed.
fn lengths(counts: &[u32; 256]) -> [u32; 258] {
    // Weight, and the leaves below.
    let mut nodes: Vec<(u64, Vec<usize>)> = vec![(1, vec![256])];
    let used = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    nodes.extend(used.map(|(symbol, count)| (u64::from(*count) * 2, vec![symbol])));
    let mut depths = [0usize; 257];
    while nodes.len() > 1 {
        // The two lightest become one; the lightest are last.
        nodes.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        let (Some((first, mut leaves)), Some((second, more))) = (nodes.pop(), nodes.pop()) else {
            break;
        };
        leaves.extend(more);
        leaves.iter().for_each(|leaf| depths[*leaf] += 1);
        nodes.push((first + second, leaves));
    }
    let mut lengths = [0; 258];
    depths.iter().for_each(|depth| lengths[*depth] += 1);
    lengths[0] = 0;
    lengths
}

/// Shortens the codes that are too long (figure K.3), and gives back the place that was kept free.
fn limited(mut lengths: [u32; 258]) -> [u8; LENGTH_MAX] {
    for length in (LENGTH_MAX + 1..lengths.len()).rev() {
        while lengths[length] > 0 {
            let Some(shorter) = (1..length - 1).rev().find(|shorter| lengths[*shorter] > 0) else {
                break;
            };
            lengths[length] -= 2;
            lengths[length - 1] += 1;
            lengths[shorter + 1] += 2;
            lengths[shorter] -= 1;
        }
    }
    if let Some(longest) = (1..=LENGTH_MAX).rev().find(|length| lengths[*length] > 0) {
        lengths[longest] -= 1;
    }
    let mut counts = [0; LENGTH_MAX];
    for (count, length) in counts.iter_mut().zip(&lengths[1..]) {
        *count = u8::try_from(*length).unwrap_or(u8::MAX);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every symbol has a code of 1 to 16 bits, none begins another one, and none is all ones.
        #[test]
        fn codes_can_be_told_apart(found in prop::collection::vec((any::<u8>(), 1u32..1 << 24), 1..256)) {
            let mut counts = [0; 256];
            found.iter().for_each(|(symbol, count)| counts[usize::from(*symbol)] = *count);
            is_a_prefix_code(&counts);
        }
    }

    /// The counts of Fibonacci give the longest codes.
    #[test]
    fn no_code_is_longer_than_16_bits() {
        let mut counts = [0; 256];
        let (mut last, mut next) = (1, 1);
        for count in counts.iter_mut().take(40) {
            *count = last;
            (last, next) = (next, last + next);
        }
        is_a_prefix_code(&counts);
    }

    fn is_a_prefix_code(counts: &[u32; 256]) {
        let table = Codes::of(counts);
        let mut seen: Vec<(u16, u8)> = Vec::new();
        for (symbol, count) in counts.iter().enumerate() {
            let (code, length) = table.codes[symbol];
            assert_eq!(*count > 0, length > 0, "symbol {symbol}");
            if length == 0 {
                continue;
            }
            assert!(length <= 16 && u32::from(code) < (1 << length) - 1, "{code:b} of {length}");
            for (other, other_length) in &seen {
                let shared = length.min(*other_length);
                assert_ne!(code >> (length - shared), other >> (other_length - shared));
            }
            seen.push((code, length));
        }
        assert_eq!(table.counts.iter().map(|count| usize::from(*count)).sum::<usize>(), seen.len());
    }
}
