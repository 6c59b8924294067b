//! Whether bytes are the picture that a record describes. Pure.

use std::io::Cursor;

use image::{ImageFormat, ImageReader, Limits};
use sha2::{Digest as _, Sha256};
use sync_protocol::planted::{self, Bug};
use sync_protocol::problem::Problem;

use super::record::{Expected, mismatch};

/// Most pixels of a picture: more than any phone's camera that prepares its photos.
pub const PIXELS_MAX: u64 = 64_000_000;
/// Most memory that decoding one may take, in bytes: these pixels with four bytes each, and as much again
/// for what a format keeps beside them would be a bomb.
const DECODING_BYTES_MAX: u64 = 320 * 1024 * 1024;

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

/// Decodes the picture, within limits, and forgets it.
///
/// # Errors
/// `photo_not_an_image`, `photo_too_large`.
pub fn decodes(bytes: &[u8]) -> Result<(), Problem> {
    let (width, height) = reader(bytes)?.into_dimensions().map_err(|error| refused(&error))?;
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(too_large(format!("it has {width} × {height} pixels")));
    }
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

fn not_an_image(what: impl std::fmt::Display) -> Problem {
    Problem::new(422, "photo_not_an_image", "The file is no picture")
        .detail(format!("{what}; take the photo again"))
}

fn too_large(what: impl std::fmt::Display) -> Problem {
    Problem::new(422, "photo_too_large", "The picture is too large").detail(format!(
        "{what}, at most {PIXELS_MAX} are allowed; prepare it with a lower resolution"
    ))
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

    #[test]
    fn what_is_no_picture_is_refused() {
        for bytes in [&b""[..], b"hello", b"\xff\xd8\xff\xe0 and no more", b"GIF89a"] {
            assert_eq!(decodes(bytes).unwrap_err().code, "photo_not_an_image");
        }
    }

    #[test]
    fn length_and_hash_are_the_records() {
        let expected = Expected { sha256: hex(&Sha256::digest(b"abc")), bytes: 3 };
        assert!(content(b"abc", &expected).is_ok());
        assert_eq!(content(b"abd", &expected).unwrap_err().code, "photo_mismatch");
        assert_eq!(content(b"abcd", &expected).unwrap_err().code, "photo_mismatch");
    }
}
