//! Whether bytes are the picture that a record describes. Pure.

use std::io::Cursor;

use image::{ImageFormat, ImageReader, Limits};
use sha2::{Digest as _, Sha256};
use sync_protocol::planted::{self, Bug};
use sync_protocol::problem::Problem;

use super::record::{Expected, mismatch};

/// Most pixels of a picture. A prepared one has at most 1600 × 1600; decoding takes up to 9 bytes for each
/// (progressive JPEG; lossless WebP 7).
pub const PIXELS_MAX: u64 = 16_000_000;
/// Most pixels of a thumbnail. A prepared one has at most 320 × 320.
pub const THUMBNAIL_PIXELS_MAX: u64 = 4_000_000;
/// Most memory that a decoder which keeps to it may take, in bytes: the largest picture with 16 bits for
/// each of four colours.
const DECODING_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Media types of pictures, by their first bytes.
const MAGIC: [(&[u8], &str); 2] =
    [(b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png")];
/// How many bytes [`media_type`] needs.
pub const MAGIC_BYTES: u64 = 12;

/// The media type of a picture that begins with these bytes.
#[must_use]
pub fn media_type(start: &[u8]) -> &'static str {
    let known = MAGIC.iter().find(|(magic, _)| start.starts_with(magic));
    match known {
        Some((_, media_type)) => media_type,
        None if start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP") => "image/webp",
        None => "application/octet-stream",
    }
}

/// Checks length and hash.
///
/// # Errors
/// `photo_mismatch`.
pub fn content(bytes: &[u8], expected: &Expected) -> Result<(), Problem> {
    if bytes.len() as u64 != expected.bytes {
        return Err(mismatch(format!("{} bytes came instead of {}", bytes.len(), expected.bytes)));
    }
    if hex(&Sha256::digest(bytes)) != expected.sha256 && !planted::is(Bug::PhotoHashIgnored) {
        return Err(mismatch("its SHA-256 is another one"));
    }
    Ok(())
}

/// How many pixels the picture says that it has, which is looked up and not decoded.
///
/// # Errors
/// `photo_not_an_image`; `photo_too_large`; `photo_mismatch` if its width and height are not the record's.
pub fn pixels(bytes: &[u8], expected: &Expected) -> Result<u64, Problem> {
    let (width, height) = reader(bytes)?.into_dimensions().map_err(|error| refused(&error))?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels > expected.pixels_max {
        return Err(too_large(format!(
            "it has {width} × {height} pixels, at most {} are allowed",
            expected.pixels_max
        )));
    }
    match expected.size {
        Some(size) if size != (width, height) => Err(mismatch(format!(
            "it has {width} × {height} pixels instead of {} × {}",
            size.0, size.1
        ))),
        _ => Ok(pixels),
    }
}

/// Decodes the picture, within limits, and forgets it.
///
/// # Errors
/// `photo_not_an_image`, `photo_too_large`.
pub fn decodes(bytes: &[u8]) -> Result<(), Problem> {
    reader(bytes)?.decode().map(drop).map_err(|error| refused(&error))
}

fn reader(bytes: &[u8]) -> Result<ImageReader<Cursor<&[u8]>>, Problem> {
    let format = match media_type(bytes) {
        "image/jpeg" => ImageFormat::Jpeg,
        "image/png" => ImageFormat::Png,
        "image/webp" => ImageFormat::WebP,
        _ => return Err(not_an_image("it is neither JPEG, PNG nor WebP")),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODING_BYTES_MAX);
    reader.limits(limits);
    Ok(reader)
}

fn refused(error: &image::ImageError) -> Problem {
    match error {
        image::ImageError::Limits(error) => too_large(error),
        other => not_an_image(other),
    }
}

/// The answer to what is no picture.
pub(super) fn not_an_image(what: impl std::fmt::Display) -> Problem {
    Problem::new(422, "photo_not_an_image", "The file is no picture")
        .detail(format!("{what}; take the photo again"))
}

fn too_large(what: impl std::fmt::Display) -> Problem {
    Problem::new(422, "photo_too_large", "The picture is too large")
        .detail(format!("{what}; prepare it with a lower resolution"))
}

/// Bytes as hexadecimal digits in lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> Expected {
        Expected { sha256: String::new(), bytes: 0, size: None, pixels_max: PIXELS_MAX }
    }

    #[test]
    fn width_and_height_are_the_records() {
        let mut png = Cursor::new(Vec::new());
        image::GrayImage::new(20, 10).write_to(&mut png, ImageFormat::Png).unwrap();
        let png = png.into_inner();
        let says = |size, pixels_max| pixels(&png, &Expected { size, pixels_max, ..any() });
        assert_eq!(says(None, 200).unwrap(), 200);
        assert_eq!(says(Some((20, 10)), 200).unwrap(), 200);
        assert_eq!(says(Some((10, 20)), 200).unwrap_err().code, "photo_mismatch");
        assert_eq!(says(Some((20, 10)), 199).unwrap_err().code, "photo_too_large");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for bytes in [&b""[..], b"hello", b"\xff\xd8\xff\xe0 and no more", b"GIF89a"] {
            assert_eq!(decodes(bytes).unwrap_err().code, "photo_not_an_image");
        }
    }

    #[test]
    fn length_and_hash_are_the_records() {
        let expected = Expected { sha256: hex(&Sha256::digest(b"abc")), bytes: 3, ..any() };
        assert!(content(b"abc", &expected).is_ok());
        assert_eq!(content(b"abd", &expected).unwrap_err().code, "photo_mismatch");
        assert_eq!(content(b"abcd", &expected).unwrap_err().code, "photo_mismatch");
    }
}
