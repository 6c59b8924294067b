//! Huffman codes.

use super::bits::Bits;
use super::damaged;
use crate::error::PhotoError;

/// Codes up to this length are found in one step.
const FAST_BITS: u32 = 10;

/// A table of codes.
pub(super) struct Huffman {
    /// Length and symbol for each beginning; length 0 where the code is longer.
    fast: Vec<(u8, u8)>,
    /// Value, run and length together where code and value fit into the same bits; length 0 otherwise.
    whole: Vec<Whole>,
    /// The first code that is longer than each length, as 16 bits; and what leads from a code to its symbol.
    ends: [u32; 17],
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

/// A coefficient that is read in one step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Whole {
    pub(super) value: i16,
    pub(super) run: u8,
    pub(super) length: u8,
}

impl Huffman {
    /// Reads a table; `is_ac` makes it ready for coefficients. Returns what follows it.
    ///
    /// # Errors
    /// When it is cut, or has more codes than there are.
    pub(super) fn read(content: &[u8], is_ac: bool) -> Result<(Self, &[u8]), PhotoError> {
        let cut = || damaged("a code table is cut");
        let (counts, rest) = content.split_first_chunk::<16>().ok_or_else(cut)?;
        let all = counts.iter().map(|count| usize::from(*count)).sum();
        let (symbols, rest) = rest.split_at_checked(all).filter(|_| all <= 256).ok_or_else(cut)?;
        let mut table = Self {
            fast: vec![(0, 0); 1 << FAST_BITS],
            whole: Vec::new(),
            ends: [0; 17],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        if !is_ac && symbols.iter().any(|symbol| *symbol > 15) {
            return Err(damaged("a code table holds what there is not"));
        }
        let (mut code, mut index) = (0u32, 0usize);
        for (length, count) in (1u32..).zip(counts) {
            table.offsets[length as usize] = index as i32 - code as i32;
            for _ in 0..*count {
                // A code of ones only is not allowed, and other decoders refuse it.
                if code + 1 >= 1 << length {
                    return Err(damaged("a code table has too many codes"));
                }
                if length <= FAST_BITS {
                    let first = (code << (FAST_BITS - length)) as usize;
                    let same = 1usize << (FAST_BITS - length);
                    table.fast[first..first + same].fill((length as u8, symbols[index]));
                }
                code += 1;
                index += 1;
            }
            table.ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        if is_ac {
            table.whole = (0..1usize << FAST_BITS).map(|bits| table.whole_of(bits)).collect();
        }
        Ok((table, rest))
    }

    /// The coefficient that these bits hold, where they do.
    fn whole_of(&self, bits: usize) -> Whole {
        let (length, symbol) = self.fast[bits];
        let (length, size) = (u32::from(length), u32::from(symbol & 15));
        if length == 0 || size == 0 || length + size > FAST_BITS {
            return Whole::default();
        }
        let value = (bits >> (FAST_BITS - length - size)) & ((1 << size) - 1);
        let value = value as i16;
        let value = if value < 1 << (size - 1) { value - (1 << size) + 1 } else { value };
        Whole { value, run: symbol >> 4, length: (length + size) as u8 }
    }

    /// Takes a coefficient, where one step does; [`Bits::refill`] first.
    #[inline(always)]
    pub(super) fn whole(&self, bits: &mut Bits<'_>) -> Option<Whole> {
        let whole = *self.whole.get(bits.peek(FAST_BITS))?;
        if whole.length == 0 {
            return None;
        }
        bits.skip(u32::from(whole.length));
        Some(whole)
    }

    /// Takes a symbol.
    ///
    /// # Errors
    /// When no code begins with these bits.
    #[inline(always)]
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Result<u8, PhotoError> {
        bits.refill();
        let (length, symbol) = self.fast[bits.peek(FAST_BITS)];
        if length > 0 {
            bits.skip(u32::from(length));
            return Ok(symbol);
        }
        self.long_symbol(bits)
    }

    #[cold]
    #[inline(never)]
    fn long_symbol(&self, bits: &mut Bits<'_>) -> Result<u8, PhotoError> {
        let next = bits.peek(16) as u32;
        let length = (FAST_BITS + 1..=16).find(|length| next < self.ends[*length as usize]);
        let length = length.ok_or_else(|| damaged("its data hold a code that there is not"))?;
        bits.skip(length);
        let index = (next >> (16 - length)) as i32 + self.offsets[length as usize];
        let symbol = usize::try_from(index).ok().and_then(|index| self.symbols.get(index));
        symbol.copied().ok_or_else(|| damaged("its data hold a code that there is not"))
    }
}
