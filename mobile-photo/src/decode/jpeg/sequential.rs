//! Sequential scans: each block is whole, and becomes samples at once.

use super::bits::Bits;
use super::huffman::Huffman;
use super::scan::{Layout, Scan};
use super::{Decoder, damaged};
use crate::error::PhotoError;
use crate::jpeg::ZIGZAG;

/// Decodes one.
///
/// # Errors
/// When its data end early or hold what there is not.
pub(super) fn scan(decoder: &mut Decoder<'_>, scan: &Scan, data: &[u8]) -> Result<(), PhotoError> {
    let layout = Layout::of(decoder, scan);
    let size = decoder.idct.size();
    let missing = || damaged("a code table is missing");
    let mut codes: Vec<(&Huffman, &Huffman)> = Vec::with_capacity(4);
    for &(_, dc, ac) in &scan.channels {
        let dc = decoder.tables.dc[dc].as_ref().ok_or_else(missing)?;
        codes.push((dc, decoder.tables.ac[ac].as_ref().ok_or_else(missing)?));
    }
    let mut bits = Bits::new(data);
    let mut previous = [0i32; 4];
    let mut until_restart = decoder.tables.restart_interval;
    let mut block = Block::default();
    for unit_y in 0..layout.units_down {
        for unit_x in 0..layout.units_across {
            if decoder.tables.restart_interval > 0 {
                if until_restart == 0 {
                    ends_here(&bits)?;
                    decoder.is_exact &= bits.is_spent();
                    bits.restart()?;
                    previous = [0; 4];
                    until_restart = decoder.tables.restart_interval;
                }
                until_restart -= 1;
            }
            for ((&(index, ..), (dc, ac)), previous) in
                scan.channels.iter().zip(&codes).zip(&mut previous)
            {
                let channel = &mut decoder.channels[index];
                let (across, down) = layout.blocks(channel);
                let stride = channel.stride_blocks * size;
                let Some(quantisation) = &channel.quantisation else { continue };
                for row in unit_y * down..(unit_y + 1) * down {
                    for column in unit_x * across..(unit_x + 1) * across {
                        block.read(&mut bits, dc, ac, previous, quantisation, size)?;
                        let samples = &mut channel.samples[row * size * stride + column * size..];
                        if block.rows == 0 {
                            decoder.idct.write_flat(block.coefficients[0], samples, stride);
                        } else {
                            decoder.idct.write(&block.coefficients, block.rows, samples, stride);
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

/// Whether all that was read was there.
pub(super) fn ends_here(bits: &Bits<'_>) -> Result<(), PhotoError> {
    if bits.is_over() {
        Err(PhotoError::Truncated("its picture data are incomplete"))
    } else {
        Ok(())
    }
}

/// One block's coefficients, multiplied out, in natural order.
struct Block {
    coefficients: [f32; 64],
    /// Rows up to the last that is not zero; none if all but the first coefficient are.
    rows: usize,
}

impl Default for Block {
    fn default() -> Self {
        Self { coefficients: [0.0; 64], rows: 0 }
    }
}

impl Block {
    #[inline(always)]
    fn read(
        &mut self,
        bits: &mut Bits<'_>,
        dc: &Huffman,
        ac: &Huffman,
        previous: &mut i32,
        quantisation: &[f32; 64],
        size: usize,
    ) -> Result<(), PhotoError> {
        if self.rows > 0 {
            self.coefficients = [0.0; 64];
            self.rows = 0;
        }
        let length = u32::from(dc.symbol(bits)?);
        if length > 15 {
            return Err(damaged("its data hold a code that there is not"));
        }
        *previous = previous.wrapping_add(bits.take_signed(length));
        self.coefficients[0] = *previous as f32 * quantisation[0];
        let mut index = 1;
        while index < 64 {
            bits.refill();
            let (run, value) = match ac.whole(bits) {
                Some(whole) => (usize::from(whole.run), i32::from(whole.value)),
                None => {
                    let symbol = ac.symbol(bits)?;
                    let (run, length) = (usize::from(symbol >> 4), u32::from(symbol & 15));
                    if length == 0 {
                        if run < 15 {
                            break;
                        }
                        index += 16;
                        continue;
                    }
                    (run, bits.take_signed(length))
                }
            };
            index += run;
            let Some(place) = ZIGZAG.get(index) else {
                return Err(damaged("a block has more than 64 coefficients"));
            };
            let (row, column) = (usize::from(place >> 3), usize::from(place & 7));
            if row < size && column < size {
                self.coefficients[usize::from(*place)] = value as f32 * quantisation[index];
                self.rows = self.rows.max(row + 1);
            }
            index += 1;
        }
        Ok(())
    }
}
