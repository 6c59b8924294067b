//! Progressive scans: coefficients come bit by bit, so those of all blocks have to be kept.
//!
//! Of a picture that is wanted at a quarter of its size only the lowest 2 × 2 coefficients of each block
//! are kept. Of the others the codes say only whether they are zero, and one bit each remembers that. A
//! picture of 50 million pixels so takes 18 MiB and not 143.

use super::bits::Bits;
use super::huffman::Huffman;
use super::scan::{Layout, Scan};
use super::sequential::ends_here;
use super::{Decoder, damaged};
use crate::error::PhotoError;
use crate::jpeg::ZIGZAG;

/// Not kept.
const NOWHERE: u8 = u8::MAX;

/// The coefficients of one component.
#[derive(Default)]
pub(super) struct Coefficients {
    /// Of each block, those that are kept, one block after the other.
    kept: Vec<i16>,
    /// Of each block, which are not zero yet, in the order of storing.
    nonzero: Vec<u64>,
    /// Where each is kept in its block, by the order of storing.
    places: Vec<u8>,
    /// How many are kept of each block.
    each: usize,
}

impl Coefficients {
    pub(super) fn new(blocks: usize, size: usize) -> Self {
        let place = |natural: &u8| {
            let (row, column) = (usize::from(natural >> 3), usize::from(natural & 7));
            if row < size && column < size { (row * size + column) as u8 } else { NOWHERE }
        };
        Self {
            kept: vec![0; blocks * size * size],
            nonzero: vec![0; blocks],
            places: ZIGZAG.iter().map(place).collect(),
            each: size * size,
        }
    }

    /// One of a block's, if it is kept.
    #[inline(always)]
    fn at(&mut self, block: usize, index: usize) -> Option<&mut i16> {
        let place = self.places[index];
        if place == NOWHERE {
            None
        } else {
            self.kept.get_mut(block * self.each + usize::from(place))
        }
    }

    #[inline(always)]
    fn set(&mut self, block: usize, index: usize, value: i32) {
        self.nonzero[block] |= 1 << index;
        if let Some(coefficient) = self.at(block, index) {
            *coefficient = value as i16;
        }
    }

    /// Adds the next bit to one that is not zero.
    #[inline(always)]
    fn refine(&mut self, block: usize, index: usize, bits: &mut Bits<'_>, bit: i16) {
        if bits.take(1) == 0 {
            return;
        }
        if let Some(coefficient) = self.at(block, index)
            && *coefficient & bit == 0
        {
            let more = if *coefficient < 0 { -bit } else { bit };
            *coefficient = coefficient.wrapping_add(more);
        }
    }
}

/// Decodes a scan.
///
/// # Errors
/// When its data end early or hold what there is not.
pub(super) fn scan(decoder: &mut Decoder<'_>, scan: &Scan, data: &[u8]) -> Result<(), PhotoError> {
    let layout = Layout::of(decoder, scan);
    let missing = || damaged("a code table is missing");
    let mut codes: Vec<Option<&Huffman>> = Vec::with_capacity(4);
    for &(_, dc, ac) in &scan.channels {
        let table = match (scan.first, scan.high) {
            (0, 0) => Some(decoder.tables.dc[dc].as_ref().ok_or_else(missing)?),
            (0, _) => None,
            _ => Some(decoder.tables.ac[ac].as_ref().ok_or_else(missing)?),
        };
        codes.push(table);
    }
    let mut bits = Bits::new(data);
    let mut previous = [0i32; 4];
    let mut zero_blocks = 0u32;
    let mut until_restart = decoder.tables.restart_interval;
    for unit_y in 0..layout.units_down {
        for unit_x in 0..layout.units_across {
            if decoder.tables.restart_interval > 0 {
                if until_restart == 0 {
                    ends_here(&bits)?;
                    decoder.is_exact &= bits.is_spent();
                    bits.restart()?;
                    previous = [0; 4];
                    zero_blocks = 0;
                    until_restart = decoder.tables.restart_interval;
                }
                until_restart -= 1;
            }
            for ((&(index, ..), table), previous) in
                scan.channels.iter().zip(&codes).zip(&mut previous)
            {
                let channel = &mut decoder.channels[index];
                let (across, down) = layout.blocks(channel);
                for row in unit_y * down..(unit_y + 1) * down {
                    for column in unit_x * across..(unit_x + 1) * across {
                        let block = row * channel.stride_blocks + column;
                        let coefficients = &mut channel.coefficients;
                        match table {
                            None => coefficients.refine_dc(block, &mut bits, scan.low),
                            Some(table) if scan.first == 0 => {
                                let length = u32::from(table.symbol(&mut bits)?);
                                if length > 15 {
                                    return Err(damaged("its data hold a code that there is not"));
                                }
                                *previous = previous.wrapping_add(bits.take_signed(length));
                                if let Some(first) = coefficients.at(block, 0) {
                                    *first = (*previous << scan.low) as i16;
                                }
                            }
                            Some(table) => {
                                let zero_blocks = &mut zero_blocks;
                                if scan.high == 0 {
                                    coefficients.first(
                                        block,
                                        &mut bits,
                                        table,
                                        scan,
                                        zero_blocks,
                                    )?;
                                } else {
                                    coefficients.next(
                                        block,
                                        &mut bits,
                                        table,
                                        scan,
                                        zero_blocks,
                                    )?;
                                }
                            }
                        }
                    }
                }
            }
        }
        ends_here(&bits)?;
    }
    decoder.is_exact &= bits.is_spent();
    Ok(())
}

impl Coefficients {
    fn refine_dc(&mut self, block: usize, bits: &mut Bits<'_>, low: u8) {
        let bit = bits.take(1) << low;
        if let Some(first) = self.at(block, 0) {
            *first |= bit as i16;
        }
    }

    /// A band's first scan (G.1.2.2).
    fn first(
        &mut self,
        block: usize,
        bits: &mut Bits<'_>,
        table: &Huffman,
        scan: &Scan,
        zero_blocks: &mut u32,
    ) -> Result<(), PhotoError> {
        if *zero_blocks > 0 {
            *zero_blocks -= 1;
            return Ok(());
        }
        let mut index = scan.first;
        while index <= scan.last {
            let symbol = table.symbol(bits)?;
            let (run, length) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if length == 0 {
                if run < 15 {
                    *zero_blocks = (1 << run) - 1 + bits.take(run as u32) as u32;
                    break;
                }
                index += 16;
                continue;
            }
            index += run;
            if index > scan.last {
                return Err(damaged("a block has more coefficients than its scan"));
            }
            let value = bits.take_signed(length);
            self.set(block, index, value << scan.low);
            index += 1;
        }
        Ok(())
    }

    /// A band's later scans (G.1.2.3): a bit for each coefficient that is not zero, and new ones among them.
    fn next(
        &mut self,
        block: usize,
        bits: &mut Bits<'_>,
        table: &Huffman,
        scan: &Scan,
        zero_blocks: &mut u32,
    ) -> Result<(), PhotoError> {
        let bit = 1i16 << scan.low;
        let mut index = scan.first;
        while *zero_blocks == 0 && index <= scan.last {
            let symbol = table.symbol(bits)?;
            let (mut run, length) = (symbol >> 4, symbol & 15);
            let mut value = 0;
            match length {
                0 if run < 15 => {
                    *zero_blocks = (1 << run) + bits.take(u32::from(run)) as u32;
                    break;
                }
                0 => {}
                1 => value = if bits.take(1) == 1 { bit } else { -bit },
                _ => return Err(damaged("its data hold a code that there is not")),
            }
            while index <= scan.last {
                if self.nonzero[block] & 1 << index != 0 {
                    self.refine(block, index, bits, bit);
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                index += 1;
            }
            if value != 0 {
                if index > scan.last {
                    return Err(damaged("a block has more coefficients than its scan"));
                }
                self.set(block, index, i32::from(value));
            }
            index += 1;
        }
        if *zero_blocks > 0 {
            for index in index..=scan.last {
                if self.nonzero[block] & 1 << index != 0 {
                    self.refine(block, index, bits, bit);
                }
            }
            *zero_blocks -= 1;
        }
        Ok(())
    }
}

/// Makes samples of what was kept, a component at a time.
pub(super) fn finish(decoder: &mut Decoder<'_>) {
    let size = decoder.idct.size();
    for channel in &mut decoder.channels {
        let coefficients = std::mem::take(&mut channel.coefficients);
        let Some(quantisation) = &channel.quantisation else { continue };
        let mut natural = [0.0; 64];
        for (factor, place) in quantisation.iter().zip(ZIGZAG) {
            natural[usize::from(place)] = *factor;
        }
        let stride = channel.stride_blocks * size;
        channel.samples = vec![0; coefficients.kept.len()];
        for (block, kept) in coefficients.kept.chunks_exact(coefficients.each).enumerate() {
            let mut values = [0.0; 64];
            for (row, kept) in kept.chunks_exact(size).enumerate() {
                for (column, coefficient) in kept.iter().enumerate() {
                    let place = row * 8 + column;
                    values[place] = f32::from(*coefficient) * natural[place];
                }
            }
            let (row, column) = (block / channel.stride_blocks, block % channel.stride_blocks);
            let samples = &mut channel.samples[row * size * stride + column * size..];
            decoder.idct.write(&values, size, samples, stride);
        }
    }
}
