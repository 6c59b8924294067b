//! Writes a JPEG's metadata anew and leaves the picture as it is, byte by byte.

use super::*;

/// Says YCbCr or grey, square pixels, no thumbnail.
const JFIF: &[u8] = b"\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
const EXIF_NAME: &[u8] = b"Exif\0\0";

/// How a JPEG of ours begins: JFIF's header, and the given EXIF block unless it is empty.
pub(crate) fn head(exif: &[u8]) -> Vec<u8> {
    let mut head = vec![0xFF, SOI];
    head.extend(JFIF);
    if !exif.is_empty() {
        // A block of our own has a few hundred bytes.
        let length = u16::try_from(exif.len() + EXIF_NAME.len() + 2).unwrap_or(u16::MAX);
        head.extend([0xFF, APP1]);
        head.extend(length.to_be_bytes());
        head.extend(EXIF_NAME);
        head.extend(exif);
    }
    head
}

/// The same picture with [`head`] and no other metadata: no other application's segment, no comment,
/// nothing behind the end.
pub(crate) fn with_metadata(jpeg: &Jpeg<'_>, exif: &[u8]) -> Vec<u8> {
    let mut out = head(exif);
    out.reserve(jpeg.bytes.len());
    for part in &jpeg.parts {
        match part {
            Part::Segment { marker, content } if is_picture(*marker) => {
                let length = u16::try_from(content.len() + 2).unwrap_or(u16::MAX);
                out.extend([0xFF, *marker]);
                out.extend(length.to_be_bytes());
                out.extend(&jpeg.bytes[content.clone()]);
            }
            Part::Segment { .. } => {}
            Part::Scan(range) => out.extend(&jpeg.bytes[range.clone()]),
        }
    }
    out.extend([0xFF, EOI]);
    out
}

/// Whether a decoder needs it.
fn is_picture(marker: u8) -> bool {
    matches!(marker, SOS | DQT | DHT | DRI | SOF_BASELINE | SOF_EXTENDED | SOF_PROGRESSIVE)
}
