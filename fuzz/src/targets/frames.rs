//! A stream of frames, cut anywhere: what a phone reads off the connection, compressed or not.

use sync_protocol::columnar::{
    DecodeError, FORM_VERSION, FrameReader, decode_frame, decode_page, encode_frame,
};
use sync_protocol::wire::pull::PullPage;

use crate::Target;

/// The target. Besides the codes of a page, those of a frame.
pub(super) const TARGET: Target = Target { name: "frames", input_bytes_max: 4096, run };

const CODES: &[&str] =
    &["page_truncated", "page_version_unknown", "page_too_large", "page_damaged"];
/// Bit 0 of a frame's flags.
const COMPRESSED: u8 = 1;

fn run(input: &[u8]) {
    let whole = read([input].into_iter());
    // How the network cuts a stream changes nothing.
    let step = usize::from(input.first().copied().unwrap_or(0) % 7) + 1;
    assert_eq!(read(input.chunks(step)), whole, "in pieces of {step} something else is read");
    for page in &whole.pages {
        match decode_frame(&encode_frame(page)) {
            Ok(again) => assert_eq!(&again, page, "another page came back"),
            Err(error) => panic!("what was read cannot be read again: {error}\n{page:?}"),
        }
    }
    unfolds_to_itself(input);
}

/// What came out of a stream.
#[derive(Debug, PartialEq)]
struct Read {
    pages: Vec<PullPage>,
    /// The code and words of what ended it.
    error: Option<(&'static str, String)>,
    clean: bool,
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Read {
    let mut reader = FrameReader::new();
    let mut read = Read { pages: Vec::new(), error: None, clean: false };
    for piece in pieces {
        reader.feed(piece);
        loop {
            match reader.next_page() {
                Ok(Some(page)) => read.pages.push(page),
                Ok(None) => break,
                Err(error) => {
                    read.error = Some(documented(&error));
                    return read;
                }
            }
        }
    }
    read.clean = reader.is_clean_end();
    read
}

fn documented(error: &DecodeError) -> (&'static str, String) {
    assert!(CODES.contains(&error.code()), "{}: {error}", error.code());
    (error.code(), error.to_string())
}

/// The input as a page that somebody compressed: whatever it is, the frame says what the page says.
/// Changes of compressed bytes alone would hardly ever get behind the decompression.
fn unfolds_to_itself(page: &[u8]) {
    let Ok(packed) = zstd::bulk::compress(page, 1) else { return };
    let mut frame = Vec::with_capacity(packed.len() + 9);
    frame.extend(u32::try_from(packed.len() + 4).unwrap_or(u32::MAX).to_le_bytes());
    frame.push(COMPRESSED | FORM_VERSION << 4);
    frame.extend(u32::try_from(page.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(&packed);
    let outcome = |read: Result<PullPage, DecodeError>| read.map_err(|error| documented(&error));
    assert_eq!(outcome(decode_frame(&frame)), outcome(decode_page(page)), "packed it differs");
}
