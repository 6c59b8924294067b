//! Blocks as symbols and bits: counted for a size, or written.

use super::blocks::Blocks;
use super::codes::Codes;
use super::tables;

/// Runs of zeros longer than this are cut.
const RUN_MAX: u32 = 15;
/// A run of sixteen zeros, and the end of a block's coefficients.
const LONG_RUN: u8 = 0xF0;
const END: u8 = 0x00;

/// What a picture's symbols go to.
pub(super) trait Sink {
    /// A symbol, and so many bits behind it.
    fn symbol(&mut self, kind: usize, symbol: u8, bits: u32, length: u32);
}

/// Kinds of symbols: the first coefficient's or the others', of brightness or of colour.
pub(super) const KINDS: usize = 4;

/// How often each symbol occurs.
pub(super) struct Counts {
    pub(super) symbols: [[u32; 256]; KINDS],
    /// Bits behind symbols, in all.
    pub(super) bits: u64,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self { symbols: [[0; 256]; KINDS], bits: 0 }
    }
}

impl Sink for Counts {
    #[inline(always)]
    fn symbol(&mut self, kind: usize, symbol: u8, _: u32, length: u32) {
        self.symbols[kind][usize::from(symbol)] += 1;
        self.bits += u64::from(length);
    }
}

/// Writes symbols as codes.
pub(super) struct Bits<'c> {
    pub(super) codes: &'c [Codes; KINDS],
    pub(super) bytes: Vec<u8>,
    window: u64,
    count: u32,
}

impl<'c> Bits<'c> {
    pub(super) fn new(codes: &'c [Codes; KINDS], bytes: Vec<u8>) -> Self {
        Self { codes, bytes, window: 0, count: 0 }
    }

    #[inline(always)]
    fn put(&mut self, bits: u32, length: u32) {
        self.window = self.window << length | u64::from(bits);
        self.count += length;
        if self.count >= 32 {
            self.count -= 32;
            let four = ((self.window >> self.count) as u32).to_be_bytes();
            if four.contains(&0xFF) {
                four.into_iter().for_each(|byte| self.byte(byte));
            } else {
                self.bytes.extend_from_slice(&four);
            }
        }
    }

    /// A byte of ones is followed by a zero, so that it is no marker.
    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
        if byte == 0xFF {
            self.bytes.push(0);
        }
    }

    /// Fills the last byte with ones.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let fill = (8 - self.count % 8) % 8;
        self.window = self.window << fill | ((1 << fill) - 1);
        self.count += fill;
        while self.count > 0 {
            self.count -= 8;
            self.byte((self.window >> self.count) as u8);
        }
        self.bytes
    }
}

impl Sink for Bits<'_> {
    #[inline(always)]
    fn symbol(&mut self, kind: usize, symbol: u8, bits: u32, length: u32) {
        let (code, code_length) = self.codes[kind].codes[usize::from(symbol)];
        self.put(u32::from(code) << length | bits, u32::from(code_length) + length);
    }
}

/// Sends all blocks of a picture, at a quality, to a sink.
pub(super) fn send(blocks: &Blocks, quality: u8, sink: &mut impl Sink) {
    let factors =
        tables::steps(quality).map(|steps| steps.map(|step| 1.0 / (16.0 * f32::from(step))));
    let mut previous = [0i32; 3];
    let unit = blocks.unit();
    for (block, component) in blocks.coefficients.iter().zip(unit.iter().cycle()) {
        let table = usize::from(*component > 0);
        let mut quantised = [0i32; 64];
        for ((out, value), factor) in quantised.iter_mut().zip(block).zip(&factors[table]) {
            *out = round(f32::from(*value) * factor);
        }
        let mut nonzero = 0u64;
        for (index, value) in quantised.iter().enumerate() {
            nonzero |= u64::from(*value != 0) << index;
        }
        let first = quantised[0];
        let (bits, length) = signed(first - previous[*component]);
        previous[*component] = first;
        sink.symbol(table, length as u8, bits, length);

        let kind = 2 + table;
        let mut next = 1;
        nonzero &= !1;
        while nonzero != 0 {
            let index = nonzero.trailing_zeros();
            nonzero &= nonzero - 1;
            let mut run = index - next;
            while run > RUN_MAX {
                sink.symbol(kind, LONG_RUN, 0, 0);
                run -= RUN_MAX + 1;
            }
            let (bits, length) = signed(quantised[(index & 63) as usize]);
            sink.symbol(kind, (run << 4 | length) as u8, bits, length);
            next = index + 1;
        }
        if next < 64 {
            sink.symbol(kind, END, 0, 0);
        }
    }
}

/// A value's bits and how many they are; a negative one's are those of one less (F.1.2.1).
#[inline(always)]
fn signed(value: i32) -> (u32, u32) {
    let length = 32 - value.unsigned_abs().leading_zeros();
    let bits = if value < 0 { value - 1 } else { value };
    (bits as u32 & ((1 << length) - 1), length)
}

/// To the nearest whole number, for values below 4 million; unlike a cast it is a matter of one addition.
#[inline(always)]
pub(super) fn round(value: f32) -> i32 {
    const SHIFT: f32 = 12_582_912.0;
    (value + SHIFT).to_bits() as i32 - SHIFT.to_bits() as i32
}
