//! What the tests share: inputs of all kinds, and a second decoder.

use super::scene;

use exif::{Field, In, Rational, Tag, Value, experimental::Writer};
use image::{DynamicImage, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use mobile_photo::{Budget, Capture, Direction, North, PhotoError, Position, Prepared};
use time::macros::datetime;

/// What the app knows: all of it.
pub fn capture() -> Capture {
    Capture {
        position: Some(Position {
            lat: -12.046_374,
            lon: -77.042_793,
            altitude: Some(161.5),
            direction: Some(Direction { degrees: 271.25, north: North::Magnetic }),
            accuracy: Some(4.75),
        }),
        taken_at: datetime!(2026-11-25 07:30:05.123456 -05:00),
        mocked: Some(false),
    }
}

/// Prepares with what [`capture`] knows and the usual budget.
pub fn prepare(bytes: &[u8]) -> Prepared {
    try_prepare(bytes).unwrap()
}

pub fn try_prepare(bytes: &[u8]) -> Result<Prepared, PhotoError> {
    mobile_photo::prepare(bytes, &capture(), &Budget::default())
}

/// The code of a refusal, or "prepared". Every refusal has to say something.
pub fn code(bytes: &[u8]) -> &'static str {
    match try_prepare(bytes) {
        Ok(_) => "prepared",
        Err(error) => {
            assert!(error.to_string().len() > 20, "{error}");
            error.code()
        }
    }
}

/// With the second decoder, which is not the one under test.
pub fn decoded(bytes: &[u8]) -> RgbImage {
    image::load_from_memory(bytes).unwrap().to_rgb8()
}

/// Both pictures of what was prepared, after looking at their sizes.
pub fn pictures(prepared: &Prepared, budget: &Budget) -> (RgbImage, RgbImage) {
    let (photo, thumbnail) = (decoded(&prepared.photo), decoded(&prepared.thumbnail));
    assert_eq!(photo.dimensions(), (prepared.width, prepared.height));
    assert!(prepared.photo.len() <= budget.photo_bytes, "{} bytes", prepared.photo.len());
    assert!(prepared.thumbnail.len() <= budget.thumbnail_bytes);
    assert!(prepared.width.max(prepared.height) <= budget.photo_edge);
    assert!(thumbnail.width().max(thumbnail.height()) <= budget.thumbnail_edge);
    (photo, thumbnail)
}

/// A scene as an image.
pub fn scene_image(width: u32, height: u32) -> RgbImage {
    RgbImage::from_raw(width, height, scene::scene(width, height)).unwrap()
}

/// A JPEG by an encoder that is not the one under test; `change` sets what is unusual.
pub fn jpeg_of(
    pixels: &[u8],
    (width, height): (u32, u32),
    color: ColorType,
    change: impl FnOnce(&mut Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, 90);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    change(&mut encoder);
    encoder.encode(pixels, width as u16, height as u16, color).unwrap();
    out
}

/// The usual one.
pub fn jpeg(image: &RgbImage) -> Vec<u8> {
    jpeg_of(image.as_raw(), image.dimensions(), ColorType::Rgb, |_| {})
}

/// With an EXIF block.
pub fn jpeg_with(image: &RgbImage, block: &[u8]) -> Vec<u8> {
    jpeg_of(image.as_raw(), image.dimensions(), ColorType::Rgb, |encoder| {
        encoder.add_exif_metadata(block).unwrap();
    })
}

/// In a format of the image crate.
pub fn saved(image: &DynamicImage, format: image::ImageFormat) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    image.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// An EXIF block by a writer that is not the one under test.
pub fn exif_block(fields: &[Field], little_endian: bool) -> Vec<u8> {
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    let mut out = std::io::Cursor::new(Vec::new());
    writer.write(&mut out, little_endian).unwrap();
    out.into_inner()
}

pub fn field(tag: Tag, value: Value) -> Field {
    Field { tag, ifd_num: In::PRIMARY, value }
}

pub fn text(tag: Tag, text: &str) -> Field {
    field(tag, Value::Ascii(vec![text.as_bytes().to_vec()]))
}

pub fn rationals(tag: Tag, values: &[(u32, u32)]) -> Field {
    field(
        tag,
        Value::Rational(
            values.iter().map(|(num, denom)| Rational { num: *num, denom: *denom }).collect(),
        ),
    )
}

pub fn orientation(value: u16) -> Field {
    field(Tag::Orientation, Value::Short(vec![value]))
}

/// What a phone writes about time and place.
pub fn camera_fields() -> Vec<Field> {
    vec![
        text(Tag::Make, "SECRET-MAKER"),
        text(Tag::Model, "SECRET-MODEL"),
        text(Tag::Artist, "SECRET-ARTIST"),
        text(Tag::DateTime, "2020:02:02 02:02:02"),
        text(Tag::DateTimeOriginal, "2026:11:20 16:45:59"),
        text(Tag::SubSecTimeOriginal, "07"),
        text(Tag::OffsetTimeOriginal, "-05:00"),
        text(Tag::BodySerialNumber, "SECRET-SERIAL"),
        field(Tag::MakerNote, Value::Undefined(b"SECRET-NOTE".to_vec(), 0)),
        field(Tag::UserComment, Value::Undefined(b"ASCII\0\0\0SECRET-COMMENT".to_vec(), 0)),
        text(Tag::GPSLatitudeRef, "S"),
        rationals(Tag::GPSLatitude, &[(16, 1), (23, 1), (451_234, 10_000)]),
        text(Tag::GPSLongitudeRef, "W"),
        rationals(Tag::GPSLongitude, &[(71, 1), (32, 1), (12_345, 1_000)]),
        field(Tag::GPSAltitudeRef, Value::Byte(vec![0])),
        rationals(Tag::GPSAltitude, &[(233_525, 100)]),
        text(Tag::GPSImgDirectionRef, "T"),
        rationals(Tag::GPSImgDirection, &[(1795, 10)]),
        rationals(Tag::GPSHPositioningError, &[(65, 10)]),
        text(Tag::GPSDateStamp, "2026:11:20"),
    ]
}

/// Adds a segment right behind the start of a JPEG.
pub fn with_segment(jpeg: &[u8], marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xFF, marker], &length, content, &jpeg[2..]].concat()
}

/// Marker, content and, for a scan, its data: of every segment.
pub fn segments(jpeg: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut found, mut at) = (Vec::new(), 2);
    while jpeg[at + 1] != 0xD9 {
        assert_eq!(jpeg[at], 0xFF, "at {at}");
        let marker = jpeg[at + 1];
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        found.push((marker, jpeg[at + 4..at + 2 + length].to_vec()));
        at += 2 + length;
        if marker == 0xDA {
            let end =
                (at..).find(|end| jpeg[*end] == 0xFF && !matches!(jpeg[end + 1], 0 | 0xD0..=0xD7));
            found.push((0, jpeg[at..end.unwrap()].to_vec()));
            at = end.unwrap();
        }
    }
    assert_eq!(at + 2, jpeg.len(), "something stands behind the end");
    found
}

/// How far two pictures of one size are apart, in decibels (PSNR): 30 is alike, 40 hardly to be told.
pub fn likeness(one: &RgbImage, other: &RgbImage) -> f64 {
    assert_eq!(one.dimensions(), other.dimensions());
    let squares: u64 = one
        .as_raw()
        .iter()
        .zip(other.as_raw())
        .map(|(one, other)| u64::from(one.abs_diff(*other)).pow(2))
        .sum();
    let mean = squares as f64 / one.as_raw().len() as f64;
    10.0 * (255.0f64.powi(2) / mean.max(1e-9)).log10()
}

/// A picture at another size, by the resizer of the image crate.
pub fn at_size(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    image::imageops::resize(image, width, height, image::imageops::FilterType::Lanczos3)
}

/// Asserts that a picture looks as expected.
pub fn looks_like(seen: &RgbImage, expected: &RgbImage, decibels: f64) {
    let found = likeness(seen, expected);
    assert!(found >= decibels, "{found:.1} dB, and {decibels} are expected");
}

/// Adds an EXIF chunk to a PNG, behind its header.
pub fn png_with_exif(png: &[u8], block: &[u8]) -> Vec<u8> {
    png_with_chunk(png, b"eXIf", block)
}

/// Adds a chunk to a PNG, behind its header, with the right checksum.
pub fn png_with_chunk(png: &[u8], name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let named = [name.as_slice(), content].concat();
    [&png[..33], &length, &named, &crc32(&named).to_be_bytes(), &png[33..]].concat()
}

/// As PNG computes it.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// Puts a simple WebP into the extended form, with an EXIF chunk.
pub fn webp_with_exif(webp: &[u8], block: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut flags = vec![0x08, 0, 0, 0];
    flags.extend(&(width - 1).to_le_bytes()[..3]);
    flags.extend(&(height - 1).to_le_bytes()[..3]);
    riff(&[webp_chunk(b"VP8X", &flags), webp[12..].to_vec(), webp_chunk(b"EXIF", block)].concat())
}

pub fn webp_chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_le_bytes();
    let mut chunk = [name.as_slice(), &length, content].concat();
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    chunk
}

pub fn riff(chunks: &[u8]) -> Vec<u8> {
    let length = u32::try_from(chunks.len() + 4).unwrap().to_le_bytes();
    [b"RIFF".as_slice(), &length, b"WEBP", chunks].concat()
}

/// zlib without compression: blocks of up to 65,535 bytes, and the checksum.
pub fn zlib_stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let chunks: Vec<&[u8]> = bytes.chunks(65_535).collect();
    for (index, chunk) in chunks.iter().enumerate() {
        let length = chunk.len() as u16;
        out.push(u8::from(index + 1 == chunks.len()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(*chunk);
    }
    let (mut low, mut high) = (1u32, 0u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    out.extend((high << 16 | low).to_be_bytes());
    out
}

/// Two pictures of one size, as an APNG.
pub fn animated_png(first: &RgbImage, second: &RgbImage) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, first.width(), first.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(first.as_raw()).unwrap();
    writer.write_image_data(second.as_raw()).unwrap();
    writer.finish().unwrap();
    out
}

/// The same as a WebP.
pub fn animated_webp(first: &RgbImage, second: &RgbImage) -> Vec<u8> {
    let (width, height) = ((first.width() - 1).to_le_bytes(), (first.height() - 1).to_le_bytes());
    let frame = |image: &RgbImage| {
        let webp = saved(&DynamicImage::ImageRgb8(image.clone()), image::ImageFormat::WebP);
        // Place, size less one, duration, flags; then the chunk of the picture.
        let head = [&[0; 6][..], &width[..3], &height[..3], &[100, 0, 0, 0]];
        webp_chunk(b"ANMF", &[head.concat(), webp[12..].to_vec()].concat())
    };
    let head = [&[2, 0, 0, 0][..], &width[..3], &height[..3]].concat();
    let (head, animation) = (webp_chunk(b"VP8X", &head), webp_chunk(b"ANIM", &[0; 6]));
    riff(&[head, animation, frame(first), frame(second)].concat())
}
