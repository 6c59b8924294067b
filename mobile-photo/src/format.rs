//! What kind of file it is, by its first bytes. Names and types that somebody claims do not count.

use crate::error::PhotoError;

/// A kind of file that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JPEG.
    Jpeg,
    /// PNG, also animated.
    Png,
    /// WebP, also animated.
    WebP,
}

/// First bytes of kinds that are known and not read, at an offset.
const OTHERS: [(usize, &[u8], &str); 9] = [
    (0, b"GIF8", "a GIF"),
    (0, b"BM", "a BMP"),
    (0, b"II*\0", "a TIFF or raw photo"),
    (0, b"MM\0*", "a TIFF or raw photo"),
    (0, b"%PDF", "a PDF"),
    (0, b"\xFF\x0A", "a JPEG XL"),
    (4, b"JXL ", "a JPEG XL"),
    (4, b"jP  ", "a JPEG 2000"),
    (0, b"<", "text, not a picture"),
];
/// Brands of HEIF in a `ftyp` box: single pictures and sequences.
const HEIF: [&[u8]; 10] =
    [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"];

impl Format {
    /// Recognises a file.
    ///
    /// # Errors
    /// [`PhotoError::Empty`] without bytes; otherwise names what it is instead.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, PhotoError> {
        if bytes.is_empty() {
            return Err(PhotoError::Empty);
        }
        if bytes.starts_with(b"\xFF\xD8") {
            return Ok(Self::Jpeg);
        }
        if bytes.starts_with(b"\x89PNG\r\n\x1A\n") {
            return Ok(Self::Png);
        }
        if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            return Ok(Self::WebP);
        }
        if bytes.get(4..8) == Some(b"ftyp") {
            return Err(of_boxes(bytes));
        }
        let is_there = |(at, magic, _): &&(usize, &[u8], &str)| {
            bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic))
        };
        let name = OTHERS.iter().find(is_there).map_or("no kind of picture that is known", |o| o.2);
        Err(PhotoError::UnsupportedFormat(name))
    }
}

/// Names a file of the family that also has videos. AVIF lists `mif1` too, so its own brand counts first.
fn of_boxes(bytes: &[u8]) -> PhotoError {
    let length = bytes.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
    let brands = bytes.get(8..length.min(bytes.len()).min(256)).unwrap_or_default();
    let major = brands.get(..4).unwrap_or_default();
    if major == b"avif" || major == b"avis" {
        return PhotoError::UnsupportedFormat("an AVIF");
    }
    let is_heif = brands.chunks(4).any(|brand| HEIF.contains(&brand));
    if is_heif { PhotoError::UnsupportedHeic } else { PhotoError::UnsupportedFormat("a video") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(bytes: &[u8]) -> &'static str {
        Format::of(bytes).map_or_else(|error| error.code(), |_| "read")
    }

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        assert_eq!(Format::of(b"\xFF\xD8\xFF").ok(), Some(Format::Jpeg));
        assert_eq!(Format::of(b"\x89PNG\r\n\x1A\n").ok(), Some(Format::Png));
        assert_eq!(Format::of(b"RIFF\0\0\0\0WEBPVP8 ").ok(), Some(Format::WebP));
        assert_eq!(code(b""), "photo_empty");
        assert_eq!(code(b"RIFF\0\0\0\0WAVE"), "photo_unsupported_format");
        assert_eq!(code(b"GIF89a"), "photo_unsupported_format");
        assert_eq!(code(b"\0"), "photo_unsupported_format");
    }

    #[test]
    fn heic_is_told_from_avif_and_from_videos() {
        for brand in HEIF {
            let first = [b"\0\0\0\x18ftyp".as_slice(), brand, b"\0\0\0\0mif1miaf"].concat();
            assert_eq!(code(&first), "photo_unsupported_heic");
        }
        assert_eq!(code(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"), "photo_unsupported_heic");
        let avif = Format::of(b"\0\0\0\x1Cftypavif\0\0\0\0avifmif1miaf").map_err(|e| e.to_string());
        assert!(avif.is_err_and(|text| text.contains("AVIF")));
        let video = Format::of(b"\0\0\0\x18ftypisom\0\0\0\0mp42isom").map_err(|e| e.to_string());
        assert!(video.is_err_and(|text| text.contains("video")));
    }
}
