//! What is cut, damaged, lying or made to hurt: a clear refusal or the right picture, and never a panic.

use image::{DynamicImage, ImageFormat};
use jpeg_encoder::ColorType;
use mobile_photo::limits::INPUT_BYTES_MAX;
use proptest::prelude::*;

use super::inputs::*;

/// 96 × 64, by libwebp: red grows to the right, green downwards, and a blue field is above on the right.
const LOSSY_WEBP: &[u8] = include_bytes!("../data/lossy.webp");

/// One of each kind, small.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let image = scene_image(75, 53);
    let block = exif_block(&camera_fields(), true);
    let dynamic = DynamicImage::ImageRgb8(image.clone());
    let size = image.dimensions();
    let progressive = jpeg_of(image.as_raw(), size, ColorType::Rgb, |e| e.set_progressive_scans(6));
    let restarts = jpeg_of(image.as_raw(), size, ColorType::Rgb, |e| e.set_restart_interval(2));
    let ink = jpeg_of(&[90; 75 * 53 * 4], size, ColorType::CmykAsYcck, |_| {});
    vec![
        ("baseline", jpeg_with(&image, &block)),
        ("progressive", progressive),
        ("restarts", restarts),
        ("ink", ink),
        ("png", png_with_exif(&saved(&dynamic, ImageFormat::Png), &block)),
        ("webp", webp_with_exif(&saved(&dynamic, ImageFormat::WebP), &block, 75, 53)),
        ("lossy webp", LOSSY_WEBP.to_vec()),
        ("animated png", animated_png(&scene_image(20, 15), &scene_image(20, 15))),
        ("animated webp", animated_webp(&scene_image(20, 15), &scene_image(20, 15))),
    ]
}

#[test]
fn the_samples_are_good() {
    for (name, sample) in samples() {
        assert_eq!(code(&sample), "prepared", "{name}");
    }
    let photo = decoded(&prepare(LOSSY_WEBP).photo);
    looks_like(&photo, &decoded(LOSSY_WEBP), 30.0);
}

#[test]
fn nothing_and_other_kinds_are_told_apart() {
    assert_eq!(code(b""), "photo_empty");
    assert_eq!(code(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), "photo_unsupported_heic");
    assert_eq!(code(b"GIF89a\x01\0\x01\0"), "photo_unsupported_format");
    assert_eq!(code(b"not a photo"), "photo_unsupported_format");
    assert_eq!(code(&vec![0; INPUT_BYTES_MAX + 1]), "photo_too_large");
}

/// A cut photo is refused wherever it was cut; only what stands behind the last sample may be missing.
#[test]
fn a_cut_photo_is_never_taken_for_a_whole_one() {
    for (name, sample) in samples() {
        let harmless = match name {
            // Its end chunk, and before it the checksums and the last bits of a stream whose rows are all there.
            "png" => 24,
            // Only the first picture counts.
            "animated png" => sample.len() - animated_png_first_end(&sample),
            _ => 0,
        };
        for length in 1..sample.len() - harmless {
            let found = code(&sample[..length]);
            let is_told = match found {
                "photo_truncated" => true,
                // Too short to be known, or cut where a length of its own ends.
                "photo_unsupported_format" => length < 12,
                "photo_damaged" => name.ends_with("png") || name == "webp",
                _ => false,
            };
            assert!(is_told, "{name}, {length} of {}: {found}", sample.len());
        }
    }
}

/// Where the first picture's rows may already be complete.
fn animated_png_first_end(png: &[u8]) -> usize {
    png.windows(4).position(|name| name == b"fdAT").unwrap() - 4 - 38 - 12
}

/// The end was written, and some of the middle was not: what a full card leaves.
#[test]
fn a_photo_with_a_hole_is_refused() {
    let whole = jpeg(&scene_image(640, 480));
    let data = whole.len() / 2;
    let without_the_rest = [&whole[..data], &[0xFF, 0xD9]].concat();
    assert_eq!(code(&without_the_rest), "photo_truncated");
    let progressive = jpeg_of(scene_image(640, 480).as_raw(), (640, 480), ColorType::Rgb, |e| {
        e.set_progressive(true);
    });
    let scan = progressive.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    assert_eq!(code(&[&progressive[..scan + 400], &[0xFF, 0xD9]].concat()), "photo_truncated");
}

/// Changes the size that a JPEG claims.
fn claiming(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    let frame = jpeg.windows(2).position(|pair| matches!(pair, [0xFF, 0xC0..=0xC2])).unwrap();
    let mut lying = jpeg.to_vec();
    lying[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    lying[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    lying
}

#[test]
fn headers_that_lie() {
    let whole = jpeg(&scene_image(64, 48));
    assert_eq!(code(&claiming(&whole, 64, 480)), "photo_truncated");
    assert_eq!(code(&claiming(&whole, 640, 48)), "photo_truncated");
    assert_eq!(code(&claiming(&whole, 14_000, 14_000)), "photo_truncated");
    assert_eq!(code(&claiming(&whole, 65_535, 65_535)), "photo_too_large");
    assert_eq!(code(&claiming(&whole, 0, 48)), "photo_damaged");
    assert_eq!(code(&claiming(&whole, 64, 0)), "photo_unsupported_coding");

    let image = DynamicImage::ImageRgb8(scene_image(64, 48));
    let png = saved(&image, ImageFormat::Png);
    let claiming_png = |width: u32, height: u32| {
        let mut lying = png.clone();
        lying[16..20].copy_from_slice(&width.to_be_bytes());
        lying[20..24].copy_from_slice(&height.to_be_bytes());
        let checksum = crc32(&lying[12..29]).to_be_bytes();
        lying[29..33].copy_from_slice(&checksum);
        lying
    };
    assert_eq!(code(&claiming_png(65_000, 65_000)), "photo_too_large");
    assert_eq!(code(&claiming_png(u32::MAX / 2, 1)), "photo_too_large");
    assert!(code(&claiming_png(640, 480)).starts_with("photo_"));

    let webp = webp_with_exif(&saved(&image, ImageFormat::WebP), b"", 16_384, 16_384);
    assert_eq!(code(&webp), "photo_too_large");
    let mut lossy = LOSSY_WEBP.to_vec();
    lossy[26..30].copy_from_slice(&[0xFF, 0x3F, 0xFF, 0x3F]);
    assert_eq!(code(&lossy), "photo_too_large");
}

/// Small files that would fill the memory of whoever believes them.
#[test]
fn bombs_take_no_memory() {
    let mib = 1u64 << 20;
    let zeros = |width: u32, height: u32| {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width, height);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_compression(png::Compression::Fast);
        let mut writer = encoder.write_header().unwrap();
        let mut stream = writer.stream_writer().unwrap();
        let row = vec![0; width as usize * 4];
        (0..height).for_each(|_| std::io::Write::write_all(&mut stream, &row).unwrap());
        stream.finish().unwrap();
        writer.finish().unwrap();
        out
    };
    let big = zeros(6000, 6000);
    let used = peak_bytes(|| assert_eq!(code(&big), "prepared"));
    assert!(used < 64 * mib, "{} MiB for a PNG of 36 million pixels", used / mib);

    let small = saved(&DynamicImage::ImageRgb8(scene_image(20, 20)), ImageFormat::Png);
    let text = png_with_chunk(
        &small,
        b"zTXt",
        &[b"Comment\0\0".as_slice(), &zlib_stored(&vec![b' '; 30 << 20])].concat(),
    );
    let profile = [b"name\0\0".as_slice(), &zlib_stored(&vec![0; 30 << 20])].concat();
    for bomb in [text, png_with_chunk(&small, b"iCCP", &profile)] {
        let used = peak_bytes(|| assert!(!code(&bomb).is_empty()));
        assert!(used < 48 * mib, "{} MiB for a chunk", used / mib);
    }

    let huge = claiming(&jpeg(&scene_image(64, 48)), 20_000, 10_000);
    let progressive = jpeg_of(scene_image(64, 48).as_raw(), (64, 48), ColorType::Rgb, |e| {
        e.set_progressive(true);
    });
    for bomb in [huge, claiming(&progressive, 20_000, 10_000)] {
        let used = peak_bytes(|| assert_eq!(code(&bomb), "photo_truncated"));
        assert!(used < 64 * mib, "{} MiB for 200 million pixels", used / mib);
    }
}

pub fn peak_bytes(act: impl FnOnce()) -> u64 {
    allocation_counter::measure(act).bytes_max
}

/// Directories that name themselves and each other, and every entry claims all of the block.
#[test]
fn exif_bombs_are_read_once() {
    let mut block = b"II*\0\x08\0\0\0".to_vec();
    let tags = [0x8769u16, 0x8825, 0x9003, 2, 4, 6, 0x11, 0x1B, 0x1F, 0x0112];
    block.extend(5000u16.to_le_bytes());
    for index in 0..5000usize {
        block.extend(tags[index % tags.len()].to_le_bytes());
        block.extend([[4u16, 2, 5, 7][index % 4].to_le_bytes(), [0xFF, 0xFF]].concat());
        block.extend([0, 0]);
        block.extend(8u32.to_le_bytes());
    }
    block.truncate(65_000);
    let input = jpeg_with(&scene_image(32, 32), &block);
    let used = peak_bytes(|| assert_eq!(code(&input), "prepared"));
    assert!(used < 1 << 20, "{used} bytes");
}

#[test]
fn kinds_of_jpeg_that_no_camera_writes() {
    let whole = jpeg(&scene_image(64, 48));
    let frame = whole.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    for (marker, expected) in [
        (0xC3, "photo_unsupported_coding"),
        (0xC5, "photo_unsupported_coding"),
        (0xC9, "photo_unsupported_coding"),
        (0xCF, "photo_unsupported_coding"),
        (0xE5, "photo_damaged"),
    ] {
        let mut other = whole.clone();
        other[frame + 1] = marker;
        assert_eq!(code(&other), expected, "{marker:x}");
    }
    let mut deep = whole;
    deep[frame + 4] = 12;
    assert_eq!(code(&deep), "photo_unsupported_coding");
}

/// Longer than their parts: some decoders do not mind, others refuse what would have been kept.
#[test]
fn headers_of_a_wrong_length_are_refused() {
    let whole = jpeg(&scene_image(64, 48));
    for marker in [0xC0, 0xDA] {
        let at = whole.windows(2).position(|pair| pair == [0xFF, marker]).unwrap();
        let end = at + 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
        let mut longer = [&whole[..end], &[0], &whole[end..]].concat();
        longer[at + 3] += 1;
        assert_eq!(code(&longer), "photo_damaged", "{marker:x}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// A few bytes of a good file are others: it is refused, or comes out as a good JPEG.
    #[test]
    fn damaged_files_do_no_harm(
        which in 0usize..9,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut sample = samples().swap_remove(which).1;
        for (place, value) in changes {
            let length = sample.len();
            sample[place.index(length)] = value;
        }
        if let Ok(prepared) = try_prepare(&sample) {
            pictures(&prepared, &mobile_photo::Budget::default());
        }
    }

    #[test]
    fn garbage_does_no_harm(kind in 0usize..4, garbage in prop::collection::vec(any::<u8>(), 0..600)) {
        let head: &[u8] = [&b""[..], b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1A\n", b"RIFF\xFF\0\0\0WEBP"][kind];
        let _ = try_prepare(&[head, &garbage].concat());
    }

    #[test]
    fn any_exif_block_is_harmless(little in any::<bool>(), garbage in prop::collection::vec(any::<u8>(), 0..400)) {
        let head: &[u8] = if little { b"II*\0\x08\0\0\0" } else { b"MM\0*\0\0\0\x08" };
        let prepared = prepare(&jpeg_with(&scene_image(16, 16), &[head, &garbage].concat()));
        pictures(&prepared, &mobile_photo::Budget::default());
    }
}

/// What is kept as it is goes to decoders that are stricter than this one. A tenth of the places of each sample, with
/// values at the ends of their range, besides the random ones above.
#[test]
fn what_is_kept_can_be_read_by_another_decoder() {
    for (name, sample) in samples() {
        if !sample.starts_with(b"\xFF\xD8") {
            continue;
        }
        for place in (0..sample.len()).step_by(10) {
            for value in [0, 12, 128, 255] {
                let mut changed = sample.clone();
                changed[place] = value;
                if let Ok(prepared) = try_prepare(&changed)
                    && let Err(error) = image::load_from_memory(&prepared.photo)
                {
                    panic!("{name}, byte {place} is {value}: {error}");
                }
            }
        }
    }
}
