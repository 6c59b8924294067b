//! A scan's header, and the order in which its blocks stand.

use super::{Channel, Decoder, damaged};
use crate::error::PhotoError;
use crate::jpeg::Frame;

/// What a scan holds.
pub(super) struct Scan {
    /// Component, DC table, AC table.
    pub(super) channels: Vec<(usize, usize, usize)>,
    /// First and last coefficient, in the order of storing.
    pub(super) first: usize,
    pub(super) last: usize,
    /// The bit that earlier scans ended at, 0 if this is the first; and the one that this ends at.
    pub(super) high: u8,
    pub(super) low: u8,
}

impl Scan {
    /// Reads a header.
    ///
    /// # Errors
    /// When it contradicts the frame or the standard.
    pub(super) fn read(header: &[u8], frame: &Frame) -> Result<Self, PhotoError> {
        let short = || damaged("a scan's header has another length than its parts");
        let (count, rest) = header.split_first().ok_or_else(short)?;
        let (entries, rest) = rest.split_at_checked(usize::from(*count) * 2).ok_or_else(short)?;
        let mut channels: Vec<(usize, usize, usize)> = Vec::new();
        for [id, tables] in entries.as_chunks::<2>().0 {
            let (dc, ac) = (usize::from(tables >> 4), usize::from(tables & 15));
            let index = frame.components.iter().position(|component| component.id == *id);
            let index = index.filter(|_| dc < 4 && ac < 4);
            let index = index.ok_or_else(|| damaged("a scan names what there is not"))?;
            if channels.iter().any(|(other, ..)| *other == index) {
                return Err(damaged("a scan names a component twice"));
            }
            channels.push((index, dc, ac));
        }
        // Exactly as long as its parts: what is kept as it is must not be refused by the next decoder.
        let &[first, last, approximation] = rest else { return Err(short()) };
        let (first, last) = (usize::from(first), usize::from(last));
        let (high, low) = (approximation >> 4, approximation & 15);
        if !frame.is_progressive {
            // Some encoders write nonsense here, and there is only one thing that it can mean.
            return Self { channels, first: 0, last: 63, high: 0, low: 0 }.not_empty();
        }
        let is_dc = first == 0;
        let is_sound = first <= last
            && last < 64
            && low <= 13
            && (high == 0 || high == low + 1)
            && (!is_dc || last == 0)
            && (is_dc || channels.len() == 1);
        if !is_sound {
            return Err(damaged("a scan contradicts the standard"));
        }
        Self { channels, first, last, high, low }.not_empty()
    }

    fn not_empty(self) -> Result<Self, PhotoError> {
        if self.channels.is_empty() { Err(damaged("a scan holds nothing")) } else { Ok(self) }
    }
}

/// The blocks of a scan: rows of units, each with blocks of each of its channels.
pub(super) struct Layout {
    pub(super) units_across: usize,
    pub(super) units_down: usize,
    /// With one channel a unit is one block, and there are none beyond the picture.
    pub(super) is_single: bool,
}

impl Layout {
    pub(super) fn of(decoder: &Decoder<'_>, scan: &Scan) -> Self {
        match scan.channels.as_slice() {
            [(only, ..)] => {
                let channel = &decoder.channels[*only];
                let (units_across, units_down) = (channel.blocks_across, channel.blocks_down);
                Self { units_across, units_down, is_single: true }
            }
            _ => {
                let (units_across, units_down) = (decoder.units_across, decoder.units_down);
                Self { units_across, units_down, is_single: false }
            }
        }
    }

    /// Blocks of a channel in one unit.
    pub(super) fn blocks(&self, channel: &Channel) -> (usize, usize) {
        if self.is_single { (1, 1) } else { (channel.across, channel.down) }
    }
}
