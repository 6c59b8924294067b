//! Takes a JPEG apart into its segments, from its first byte to its end marker, without decoding.
//!
//! Source: ITU-T T.81, annex B; Adobe's Technical Note 5116 for its segment.

use std::ops::Range;

use super::*;
use crate::error::PhotoError;
use crate::limits::{JPEG_SEGMENTS_MAX, PIXELS_MAX, PROFILE_BYTES_MAX};

/// What begins the segment of a block that holds EXIF.
const EXIF_NAME: &[u8] = b"Exif\0\0";
/// What begins a piece of a colour profile; its number and the count of pieces follow.
const PROFILE_NAME: &[u8] = b"ICC_PROFILE\0";

/// A whole JPEG, taken apart.
#[derive(Debug)]
pub(crate) struct Jpeg<'b> {
    pub(crate) bytes: &'b [u8],
    pub(crate) frame: Frame,
    /// How Adobe says that colours were turned: 0 not, 1 YCbCr, 2 YCCK.
    pub(crate) adobe: Option<u8>,
    /// JFIF says that it is YCbCr.
    pub(crate) is_jfif: bool,
    /// The block of the first EXIF segment.
    pub(crate) exif: Option<&'b [u8]>,
    /// The colour profile, put together from its pieces.
    pub(crate) profile: Vec<u8>,
    /// All of it in order, without the two markers at its ends.
    pub(crate) parts: Vec<Part>,
}

/// A part of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// A marker with its content.
    Segment {
        marker: u8,
        /// Without the length that stands before it.
        content: Range<usize>,
    },
    /// Entropy-coded data, restart markers among it.
    Scan(Range<usize>),
}

/// What the picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) is_progressive: bool,
    /// One, three or four of them.
    pub(crate) components: Vec<Component>,
}

/// A plane of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) id: u8,
    /// How many blocks across and down in one unit (MCU), 1 to 4.
    pub(crate) across: u8,
    pub(crate) down: u8,
    /// Its quantisation table, 0 to 3.
    pub(crate) table: u8,
}

impl<'b> Jpeg<'b> {
    /// Takes it apart.
    ///
    /// # Errors
    /// When it ends early, contradicts itself, is of a kind that is not read, or claims too many pixels.
    pub(crate) fn read(bytes: &'b [u8]) -> Result<Self, PhotoError> {
        let mut frame = None;
        let mut pieces: Vec<(u8, &[u8])> = Vec::new();
        let (mut adobe, mut is_jfif, mut exif) = (None, false, None);
        let parts = walk(bytes)?;
        for part in &parts {
            let Part::Segment { marker, content } = part else { continue };
            let content = &bytes[content.clone()];
            match *marker {
                SOS if frame.is_none() => {
                    return Err(PhotoError::Damaged("a scan stands before its frame".into()));
                }
                SOF_BASELINE | SOF_EXTENDED | SOF_PROGRESSIVE => {
                    let read = Frame::read(content, *marker == SOF_PROGRESSIVE)?;
                    if frame.replace(read).is_some() {
                        return Err(PhotoError::UnsupportedCoding("hierarchical"));
                    }
                }
                0xC3 => return Err(PhotoError::UnsupportedCoding("lossless")),
                0xC5..=0xC7 | 0xCD..=0xCF | 0xDE | 0xDF => {
                    return Err(PhotoError::UnsupportedCoding("hierarchical"));
                }
                0xC9..=0xCC => return Err(PhotoError::UnsupportedCoding("coded arithmetically")),
                APP0 => is_jfif |= content.starts_with(b"JFIF\0"),
                APP1 if exif.is_none() => exif = content.strip_prefix(EXIF_NAME),
                APP2 => {
                    if let Some([number, _, piece @ ..]) = content.strip_prefix(PROFILE_NAME) {
                        pieces.push((*number, piece));
                    }
                }
                APP14 if content.starts_with(b"Adobe") => adobe = content.get(11).copied(),
                _ => {}
            }
        }
        let frame = frame.ok_or_else(|| PhotoError::Damaged("it has no frame".into()))?;
        pieces.sort_by_key(|(number, _)| *number);
        let all: usize = pieces.iter().map(|(_, piece)| piece.len()).sum();
        let profile = if all > PROFILE_BYTES_MAX {
            Vec::new()
        } else {
            pieces.iter().flat_map(|(_, piece)| *piece).copied().collect()
        };
        Ok(Self { bytes, frame, adobe, is_jfif, exif, profile, parts })
    }

    /// Whether three components are red, green and blue themselves, as libjpeg decides it.
    pub(crate) fn is_rgb(&self) -> bool {
        let ids: Vec<u8> = self.frame.components.iter().map(|component| component.id).collect();
        !self.is_jfif
            && ids.len() == 3
            && match self.adobe {
                Some(transform) => transform == 0,
                None => ids == *b"RGB",
            }
    }
}

impl Frame {
    /// Reads a frame's header.
    fn read(content: &[u8], is_progressive: bool) -> Result<Self, PhotoError> {
        let short =
            || PhotoError::Damaged("its frame's header has another length than its parts".into());
        let [precision, h1, h0, w1, w0, count, rest @ ..] = content else { return Err(short()) };
        let (width, height) = (u16::from_be_bytes([*w1, *w0]), u16::from_be_bytes([*h1, *h0]));
        let (width, height) = (u32::from(width), u32::from(height));
        if *precision != 8 {
            return Err(PhotoError::UnsupportedCoding("of more than 8 bits"));
        }
        if height == 0 {
            return Err(PhotoError::UnsupportedCoding("without its height"));
        }
        if width == 0 {
            return Err(PhotoError::Damaged("it is 0 pixels wide".into()));
        }
        if u64::from(width) * u64::from(height) > PIXELS_MAX {
            return Err(PhotoError::TooManyPixels { width, height, max: PIXELS_MAX });
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(PhotoError::UnsupportedCoding(
                "neither grey, nor in colour, nor for print",
            ));
        }
        let (entries, surplus) = rest.as_chunks::<3>();
        if entries.len() != usize::from(*count) || !surplus.is_empty() {
            return Err(short());
        }
        let component = |[id, factors, table]: &[u8; 3]| Component {
            id: *id,
            across: factors >> 4,
            down: factors & 15,
            table: *table,
        };
        let components: Vec<Component> = entries.iter().map(component).collect();
        let is_sound =
            |c: &Component| (1..=4).contains(&c.across) && (1..=4).contains(&c.down) && c.table < 4;
        let blocks: u32 = components.iter().map(|c| u32::from(c.across) * u32::from(c.down)).sum();
        if !components.iter().all(is_sound) || (components.len() > 1 && blocks > 10) {
            return Err(PhotoError::Damaged("its components contradict the standard".into()));
        }
        Ok(Self { width, height, is_progressive, components })
    }
}

/// Finds all parts. Bytes between segments that are none are skipped, as every decoder does, and what
/// stands behind the end (a phone's film, a second picture) does not belong to it.
fn walk(bytes: &[u8]) -> Result<Vec<Part>, PhotoError> {
    let mut parts = Vec::new();
    let mut at = 2;
    loop {
        let (marker, after) = next_marker(bytes, at)?;
        at = after;
        match marker {
            EOI => return Ok(parts),
            // Markers without content that stand where they mean nothing.
            SOI | 0x01 | 0xD0..=0xD7 => continue,
            _ => {}
        }
        let cut = PhotoError::Truncated("within a header");
        let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else {
            return Err(cut);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length < 2 {
            return Err(PhotoError::Damaged("a segment is shorter than its own length".into()));
        }
        let content = at + 2..at + length;
        if content.end > bytes.len() {
            return Err(cut);
        }
        at = content.end;
        parts.push(Part::Segment { marker, content });
        if marker == SOS {
            let end = scan_end(bytes, at)?;
            parts.push(Part::Scan(at..end));
            at = end;
        }
        if parts.len() > JPEG_SEGMENTS_MAX {
            return Err(PhotoError::Damaged(format!(
                "it has more than {JPEG_SEGMENTS_MAX} segments"
            )));
        }
    }
}

/// The next marker from `at`, and where its content begins.
fn next_marker(bytes: &[u8], at: usize) -> Result<(u8, usize), PhotoError> {
    let mut from = at;
    loop {
        let rest = bytes.get(from..).unwrap_or_default();
        let found =
            memchr::memchr(0xFF, rest).ok_or(PhotoError::Truncated("it has no end marker"))?;
        let fill = rest[found..].iter().take_while(|byte| **byte == 0xFF).count();
        match rest.get(found + fill) {
            None => return Err(PhotoError::Truncated("it has no end marker")),
            Some(0) => from += found + fill + 1,
            Some(marker) => return Ok((*marker, from + found + fill + 1)),
        }
    }
}

/// Where entropy-coded data ends: before the next marker that is no restart.
fn scan_end(bytes: &[u8], start: usize) -> Result<usize, PhotoError> {
    let cut = || PhotoError::Truncated("within its picture data");
    let mut at = start;
    loop {
        at += memchr::memchr(0xFF, bytes.get(at..).unwrap_or_default()).ok_or_else(cut)?;
        match bytes.get(at + 1).ok_or_else(cut)? {
            0 | 0xD0..=0xD7 => at += 2,
            0xFF => at += 1,
            _ => return Ok(at),
        }
    }
}
