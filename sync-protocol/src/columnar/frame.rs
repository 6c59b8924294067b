//! Frames: pages with their length before them, compressed where that helps.

use super::{DecodeError, FORM_VERSION, FRAME_BYTES_MAX, PAGE_BYTES_MAX, decode_page, encode_page};
use crate::wire::pull::PullPage;

/// Length and flags.
const HEADER_BYTES: usize = 5;
const COMPRESSED: u8 = 1;
/// Level 1 is faster than the slowest thing around it (a phone's radio, SQLite) and takes out most
/// of what columns repeat.
const ZSTD_LEVEL: i32 = 1;

/// Writes a page as one frame.
#[must_use]
pub fn encode_frame(page: &PullPage) -> Vec<u8> {
    let plain = encode_page(page);
    debug_assert!(plain.len() <= PAGE_BYTES_MAX, "a page of {} bytes", plain.len());
    let length = u32::try_from(plain.len()).unwrap_or(u32::MAX);
    // A failure to compress costs bytes only.
    let packed = zstd::bulk::compress(&plain, ZSTD_LEVEL).unwrap_or_default();
    if packed.is_empty() || packed.len() + 4 >= plain.len() {
        return frame(0, &[&plain]);
    }
    frame(COMPRESSED, &[&length.to_le_bytes(), &packed])
}

fn frame(flags: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut frame = Vec::with_capacity(HEADER_BYTES + length);
    frame.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    frame.push(flags | FORM_VERSION << 4);
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}

/// Reads a page from one whole frame, header included.
///
/// # Errors
/// [`DecodeError`] for anything that [`encode_frame`] does not write.
pub fn decode_frame(bytes: &[u8]) -> Result<PullPage, DecodeError> {
    let length = frame_length(bytes)?.ok_or(DecodeError::Truncated("the frame's header"))?;
    if bytes.len() < length {
        return Err(DecodeError::Truncated("the frame"));
    }
    if bytes.len() > length {
        return Err(DecodeError::damaged("bytes follow the frame"));
    }
    let (flags, body) = (bytes[4], &bytes[HEADER_BYTES..]);
    if flags & COMPRESSED == 0 {
        return decode_page(body);
    }
    let (size, packed) =
        body.split_first_chunk().ok_or(DecodeError::Truncated("the frame's header"))?;
    let size = u32::from_le_bytes(*size) as usize;
    if size > PAGE_BYTES_MAX {
        return Err(DecodeError::TooLarge { what: "the page", limit: PAGE_BYTES_MAX });
    }
    // Never unfolds to more than `size`; the memory is touched only as far as it is filled.
    let plain = zstd::bulk::decompress(packed, size).map_err(DecodeError::Compression)?;
    if plain.len() != size {
        return Err(DecodeError::damaged("the page unfolds to less than announced"));
    }
    decode_page(&plain)
}

/// Length of the frame that begins here, with its header; none where the header is not whole.
fn frame_length(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    let Some(([a, b, c, d, flags], _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let version = flags >> 4;
    if version != FORM_VERSION {
        return Err(DecodeError::UnknownVersion(version));
    }
    if flags & 0x0f & !COMPRESSED != 0 {
        return Err(DecodeError::damaged("the frame has unknown flags"));
    }
    let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(DecodeError::TooLarge { what: "the frame", limit: FRAME_BYTES_MAX });
    }
    Ok(Some(HEADER_BYTES + length))
}

/// Cuts a stream of bytes, as they arrive, into frames.
///
/// Holds at most what was fed and not yet taken out. After an error the stream is of no more use.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were taken out already.
    taken: usize,
}

impl FrameReader {
    /// A reader at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, for [`decode_frame`]; none until more is fed.
    ///
    /// # Errors
    /// [`DecodeError`] when what comes is no frame, as soon as its header tells.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, DecodeError> {
        let left = &self.buffer[self.taken..];
        let Some(length) = frame_length(left)?.filter(|length| *length <= left.len()) else {
            return Ok(None);
        };
        let start = self.taken;
        self.taken += length;
        Ok(Some(&self.buffer[start..self.taken]))
    }

    /// The next whole page; none until more is fed.
    ///
    /// # Errors
    /// [`DecodeError`] when what comes is no frame or no page.
    pub fn next_page(&mut self) -> Result<Option<PullPage>, DecodeError> {
        self.next_frame()?.map(decode_frame).transpose()
    }

    /// Whether all that was fed were whole frames, so that the stream may end here. A stream that
    /// ends otherwise was cut.
    #[must_use]
    pub fn is_clean_end(&self) -> bool {
        self.taken == self.buffer.len()
    }
}
