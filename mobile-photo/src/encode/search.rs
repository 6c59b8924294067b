//! The best quality that fits.

use super::blocks::Blocks;
use super::codes::Codes;
use super::symbols::{self, Counts};
use super::writer;
use crate::limits::{QUALITY_MAX, QUALITY_MIN, TRIES_PER_SIZE_MAX};
use crate::picture::Picture;

/// A JPEG, and how it was found.
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) quality: u8,
}

/// Encodes a picture in grey or YCbCr with at most `bytes_max`, beginning with `head`, at the best quality
/// between [`QUALITY_MIN`] and [`QUALITY_MAX`] that fits; none where the lowest does not.
///
/// Sizes grow with quality, nearly like a power of the distance from 100, so that a guess between two
/// known sizes is off by little. After [`TRIES_PER_SIZE_MAX`] the best that is known to fit is taken. Each
/// quality that was tried adds one to `tries`.
pub(crate) fn encode(
    picture: &Picture,
    head: &[u8],
    bytes_max: usize,
    tries: &mut usize,
) -> Option<Encoded> {
    let blocks = Blocks::of(picture);
    let mut search = Search { blocks: &blocks, tries };
    let room = bytes_max.checked_sub(head.len())?;
    let (mut quality, mut codes) = search.best(room)?;
    // Some bytes are only known when they are written: a zero behind each byte of ones. Where the guess of
    // their number was too low, a step or two down is enough.
    for _ in 0..STEPS_DOWN_MAX {
        let bytes = writer::write(&blocks, quality, &codes, head);
        if bytes.len() <= bytes_max {
            return Some(Encoded { bytes, quality });
        }
        if quality == QUALITY_MIN {
            return None;
        }
        (quality, _, codes) = search.at(quality - 1);
    }
    None
}

/// How often a result may turn out too large. Data hold at most twice as many bytes of ones as expected.
const STEPS_DOWN_MAX: usize = 4;

struct Search<'b> {
    blocks: &'b Blocks,
    tries: &'b mut usize,
}

type Try = (u8, usize, [Codes; symbols::KINDS]);

impl Search<'_> {
    fn at(&mut self, quality: u8) -> Try {
        *self.tries += 1;
        let mut counts = Counts::new();
        symbols::send(self.blocks, quality, &mut counts);
        let codes = counts.symbols.each_ref().map(Codes::of);
        let bits: u64 =
            codes.iter().zip(&counts.symbols).map(|(codes, counts)| codes.bits(counts)).sum();
        let data = usize::try_from((bits + counts.bits).div_ceil(8)).unwrap_or(usize::MAX);
        // One byte of 256 is all ones in data that look like noise.
        let size = data
            .saturating_add(data / 256)
            .saturating_add(writer::frame_bytes(self.blocks, &codes));
        (quality, size, codes)
    }

    fn best(&mut self, room: usize) -> Option<(u8, [Codes; symbols::KINDS])> {
        let mut above = self.at(QUALITY_MAX);
        if above.1 <= room {
            return Some((above.0, above.2));
        }
        let mut below = None;
        for _ in 1..TRIES_PER_SIZE_MAX {
            let quality = guess(below.as_ref(), &above, room);
            let found = self.at(quality);
            if found.1 <= room {
                below = Some(found);
            } else if quality == QUALITY_MIN {
                return None;
            } else {
                above = found;
            }
            if below.as_ref().is_some_and(|below| below.0 + 1 == above.0) {
                break;
            }
        }
        below.map(|(quality, _, codes)| (quality, codes))
    }
}

/// Between what fits and what does not, where the size should be met.
fn guess(below: Option<&Try>, above: &Try, room: usize) -> u8 {
    // How coarse a quality is; sizes are nearly straight lines over it where both are logarithms.
    let coarseness = |quality: u8| {
        let quality = f64::from(quality);
        if quality < 50.0 { (5000.0 / quality).ln() } else { (200.0 - 2.0 * quality).ln() }
    };
    let size = |bytes: usize| (bytes.max(1) as f64).ln();
    let slope = match below {
        Some(below) => {
            (size(below.1) - size(above.1)) / (coarseness(below.0) - coarseness(above.0)).max(1e-9)
        }
        // What photos of all kinds have.
        None => -0.75,
    };
    let wanted = coarseness(above.0) + (size(room) - size(above.1)) / slope.min(-0.05);
    let lowest = below.map_or(QUALITY_MIN, |below| below.0 + 1);
    let highest = (above.0 - 1).max(lowest);
    (lowest..=highest).find(|quality| coarseness(*quality) <= wanted).unwrap_or(highest)
}
