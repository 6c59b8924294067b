//! WebP, which can only be decoded as a whole.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::check_size;
use super::rows::Rows;
use crate::error::PhotoError;
use crate::limits::{EXIF_BYTES_MAX, PROFILE_BYTES_MAX, WHOLE_PIXELS_MAX};
use crate::picture::Picture;

/// A WebP whose header was read.
pub(crate) struct WebP<'b> {
    decoder: WebPDecoder<Cursor<&'b [u8]>>,
}

impl<'b> WebP<'b> {
    /// Reads what stands before the picture.
    ///
    /// # Errors
    /// When it is cut or damaged, or claims too many pixels.
    pub(crate) fn read(bytes: &'b [u8]) -> Result<Self, PhotoError> {
        let claimed = bytes.get(4..8).and_then(|length| length.first_chunk());
        let claimed = claimed.map_or(0, |length| u32::from_le_bytes(*length) as usize);
        if claimed.saturating_add(8) > bytes.len() {
            return Err(PhotoError::Truncated("it is shorter than it says"));
        }
        for (width, height) in lossy_sizes(bytes) {
            check_size(width, height, WHOLE_PIXELS_MAX)?;
        }
        let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(failed)?;
        let (width, height) = decoder.dimensions();
        check_size(width, height, WHOLE_PIXELS_MAX)?;
        decoder.set_memory_limit(EXIF_BYTES_MAX.max(PROFILE_BYTES_MAX));
        Ok(Self { decoder })
    }

    /// The EXIF block. Some write it with the name that it has in a JPEG.
    pub(crate) fn exif(&mut self) -> Option<Vec<u8>> {
        let block = self.decoder.exif_metadata().ok().flatten()?;
        Some(block.strip_prefix(b"Exif\0\0").map(<[u8]>::to_vec).unwrap_or(block))
    }

    /// The colour profile.
    pub(crate) fn profile(&mut self) -> Vec<u8> {
        self.decoder.icc_profile().ok().flatten().unwrap_or_default()
    }

    /// Decodes the picture, of an animation the first, with at least `edge` pixels if it has them.
    ///
    /// # Errors
    /// When it is cut or damaged.
    pub(crate) fn decode(mut self, edge: u32) -> Result<Picture, PhotoError> {
        let (width, height) = self.decoder.dimensions();
        let channels = if self.decoder.has_alpha() { 4 } else { 3 };
        let row_bytes = width as usize * channels;
        let mut whole = vec![0; row_bytes * height as usize];
        self.decoder.read_image(&mut whole).map_err(failed)?;
        let mut rows = Rows::new(width, height, channels, edge);
        whole.chunks_exact(row_bytes).for_each(|row| rows.push(row));
        Ok(rows.finish())
    }
}

/// The sizes that lossy pictures claim themselves, also within frames of an animation. The decoder makes
/// room for these before it compares them with the size of the whole.
fn lossy_sizes(bytes: &[u8]) -> Vec<(u32, u32)> {
    let mut sizes = Vec::new();
    let mut at = 12;
    while let Some((name, rest)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk::<4>()) {
        let Some((length, content)) = rest.split_first_chunk::<4>() else { break };
        let length = u32::from_le_bytes(*length) as usize;
        match name {
            // Behind the head of a frame stand chunks of its own.
            b"ANMF" => {
                at += 8 + 16;
                continue;
            }
            b"VP8 " => {
                if let Some([w0, w1, h0, h1]) = content.get(6..10) {
                    // The two highest bits ask for scaling.
                    let edge =
                        |low: &u8, high: &u8| u32::from(u16::from_le_bytes([*low, *high]) & 0x3FFF);
                    sizes.push((edge(w0, w1), edge(h0, h1)));
                }
            }
            _ => {}
        }
        at = at.saturating_add(8).saturating_add(length).saturating_add(length % 2);
    }
    sizes
}

fn failed(error: DecodingError) -> PhotoError {
    match error {
        DecodingError::IoError(_) => PhotoError::Truncated("within a chunk of WebP"),
        other => PhotoError::Damaged(format!("as a WebP: {other}")),
    }
}
