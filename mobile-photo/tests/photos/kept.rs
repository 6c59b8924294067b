//! What fits already is not encoded again.

use mobile_photo::{Budget, Treatment};

use super::inputs::*;

/// Marker 0 is a scan's data.
fn picture_segments(jpeg: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut all = segments(jpeg);
    all.retain(|(marker, _)| !matches!(marker, 0xE0..=0xEF | 0xFE));
    all
}

#[test]
fn a_jpeg_that_fits_keeps_its_picture_byte_by_byte() {
    let image = scene_image(1600, 1066);
    let pixels = image.as_raw();
    let grey: Vec<u8> = pixels.chunks(3).map(|pixel| pixel[1]).collect();
    let size = image.dimensions();
    let rgb = jpeg_encoder::ColorType::Rgb;
    let inputs = [
        jpeg_of(pixels, size, rgb, |e| e.set_quality(60)),
        jpeg_of(pixels, size, rgb, |e| {
            e.set_quality(60);
            e.set_progressive(true);
        }),
        jpeg_of(pixels, size, rgb, |e| {
            e.set_quality(60);
            e.set_restart_interval(7);
        }),
        jpeg_of(&grey, size, jpeg_encoder::ColorType::Luma, |e| e.set_quality(60)),
    ];
    for input in inputs {
        let input = with_segment(&input, 0xFE, b"a comment");
        let prepared = prepare(&input);
        let (photo, _) = pictures(&prepared, &Budget::default());
        assert_eq!(prepared.treatment, Treatment::Kept);
        assert_eq!(picture_segments(&prepared.photo), picture_segments(&input));
        assert_eq!(photo, decoded(&input));
    }
}

#[test]
fn nonsense_in_a_scans_header_is_not_handed_on() {
    let image = scene_image(320, 200);
    let mut input = jpeg(&image);
    let scan = input.windows(2).position(|pair| pair == [0xFF, 0xDA]).expect("a scan");
    let length = usize::from(u16::from_be_bytes([input[scan + 2], input[scan + 3]]));
    // The first and last coefficient of a baseline scan are always the same two.
    input[scan + 2 + length - 3] = 214;
    let prepared = prepare(&input);
    assert_eq!(prepared.treatment, Treatment::Kept);
    pictures(&prepared, &Budget::default());
}

#[test]
fn what_was_prepared_is_prepared() {
    for input in [jpeg(&scene_image(900, 700)), jpeg(&scene_image(2000, 1400))] {
        let once = prepare(&input);
        let twice = prepare(&once.photo);
        assert_eq!(once.photo, twice.photo);
        assert_eq!(once.sha256, twice.sha256);
        assert_eq!(twice.treatment, Treatment::Kept);
    }
}

#[test]
fn hashes_are_of_the_bytes_that_come_out() {
    use sha2::Digest as _;
    let prepared = prepare(&jpeg(&scene_image(500, 400)));
    assert_eq!(prepared.sha256[..], sha2::Sha256::digest(&prepared.photo)[..]);
    assert_eq!(prepared.thumbnail_sha256[..], sha2::Sha256::digest(&prepared.thumbnail)[..]);
}

#[test]
fn a_file_gives_what_its_bytes_give() {
    let input = jpeg(&scene_image(500, 400));
    let folder = tempfile::tempdir().unwrap();
    // Its name says something else, and does not count.
    let path = folder.path().join("photo.png");
    std::fs::write(&path, &input).unwrap();
    let from_file = mobile_photo::prepare(path.as_path(), &capture(), &Budget::default()).unwrap();
    assert_eq!(from_file, prepare(&input));
    assert_eq!(std::fs::read(&path).unwrap(), input);
    let missing = folder.path().join("missing.jpg");
    let refused = mobile_photo::prepare(missing.as_path(), &capture(), &Budget::default());
    assert_eq!(refused.unwrap_err().code(), "photo_unreadable");
}

/// Segments between scans, fill bytes before markers and garbage between segments are all legal or common.
#[test]
fn unusual_files_are_kept_too() {
    let plain =
        jpeg_of(scene_image(300, 200).as_raw(), (300, 200), jpeg_encoder::ColorType::Rgb, |e| {
            e.set_progressive(true);
        });
    let scan = plain.windows(2).rposition(|pair| pair == [0xFF, 0xC4]).unwrap();
    let between =
        [&plain[..scan], &[0xFF, 0xFE, 0, 6], b"note", &[0xFF, 0xFF], &plain[scan..]].concat();
    let prepared = prepare(&between);
    assert_eq!(prepared.treatment, Treatment::Kept);
    assert_eq!(picture_segments(&prepared.photo), picture_segments(&plain));
}
