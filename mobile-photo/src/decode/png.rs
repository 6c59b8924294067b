//! PNG, row by row: a picture of any size takes no more memory than what is wanted of it. Interlaced ones,
//! which show the whole picture early, can only be read as a whole.

use std::io::Cursor;

use png::{ColorType, DecodingError, Limits, Reader, Transformations};

use super::check_size;
use super::rows::Rows;
use crate::error::PhotoError;
use crate::limits::{PIXELS_MAX, PNG_CHUNKS_BYTES_MAX, PROFILE_BYTES_MAX, WHOLE_PIXELS_MAX};
use crate::picture::Picture;

/// What every PNG begins with, and every chunk ends with.
const SIGNATURE_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;

/// A PNG whose header was read.
pub(crate) struct Png<'b> {
    bytes: &'b [u8],
    reader: Reader<Cursor<&'b [u8]>>,
}

impl<'b> Png<'b> {
    /// Reads what stands before the picture.
    ///
    /// # Errors
    /// When it is cut or damaged, or claims too many pixels.
    pub(crate) fn read(bytes: &'b [u8]) -> Result<Self, PhotoError> {
        let limits = Limits { bytes: PNG_CHUNKS_BYTES_MAX };
        let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
        decoder.set_ignore_text_chunk(true);
        decoder.set_transformations(Transformations::normalize_to_color8());
        let header = decoder.read_header_info().map_err(failed)?;
        let most = if header.interlaced { WHOLE_PIXELS_MAX } else { PIXELS_MAX };
        check_size(header.width, header.height, most)?;
        Ok(Self { bytes, reader: decoder.read_info().map_err(failed)? })
    }

    /// The EXIF block. It may stand before or behind the picture, so it is looked for without decoding.
    pub(crate) fn exif(&self) -> Option<&'b [u8]> {
        let mut rest = self.bytes.get(SIGNATURE_BYTES..)?;
        loop {
            let (length, named) = rest.split_first_chunk::<4>()?;
            let (name, content) = named.split_first_chunk::<4>()?;
            let (content, behind) =
                content.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            if name == b"eXIf" {
                return Some(content);
            }
            rest = behind.get(CHECKSUM_BYTES..)?;
        }
    }

    /// The colour profile.
    pub(crate) fn profile(&self) -> &[u8] {
        let profile = self.reader.info().icc_profile.as_deref().unwrap_or_default();
        if profile.len() > PROFILE_BYTES_MAX { &[] } else { profile }
    }

    /// Decodes the picture, of an animation the first, with at least `edge` pixels if it has them.
    ///
    /// # Errors
    /// When it is cut or damaged.
    pub(crate) fn decode(mut self, edge: u32) -> Result<Picture, PhotoError> {
        let (width, height) = self.reader.info().size();
        let channels = match self.reader.output_color_type().0 {
            ColorType::Grayscale => 1,
            ColorType::GrayscaleAlpha => 2,
            ColorType::Rgb | ColorType::Indexed => 3,
            ColorType::Rgba => 4,
        };
        let row_bytes = width as usize * channels;
        let wrong = || PhotoError::Damaged("its rows are not as long as it says".into());
        let mut rows = Rows::new(width, height, channels, edge);
        if self.reader.info().interlaced {
            let bytes = self.reader.output_buffer_size().ok_or_else(wrong)?;
            let mut whole = vec![0; bytes];
            self.reader.next_frame(&mut whole).map_err(failed)?;
            if bytes != row_bytes * height as usize {
                return Err(wrong());
            }
            whole.chunks_exact(row_bytes).for_each(|row| rows.push(row));
            return Ok(rows.finish());
        }
        for _ in 0..height {
            let row = self.reader.next_row().map_err(failed)?;
            let row = row.filter(|row| row.data().len() == row_bytes).ok_or_else(wrong)?;
            rows.push(row.data());
        }
        Ok(rows.finish())
    }
}

fn failed(error: DecodingError) -> PhotoError {
    match error {
        DecodingError::IoError(_) => PhotoError::Truncated("within a chunk of PNG"),
        other => PhotoError::Damaged(format!("as a PNG: {other}")),
    }
}
