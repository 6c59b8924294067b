//! What large photos take: goals of the issue, in heap, with the file that is read.

use jpeg_encoder::ColorType;
use mobile_photo::Budget;

use super::hostile::peak_bytes;
use super::inputs::*;

const MIB: u64 = 1 << 20;

/// A photo made of many equal pieces, because a scene of 50 million pixels takes its time.
fn large(columns: u32, rows: u32, progressive: bool) -> Vec<u8> {
    let (width, height) = (1008, 756);
    let piece = scene_image(width, height);
    let mut pixels = Vec::new();
    for row in piece.as_raw().chunks(width as usize * 3).cycle().take((height * rows) as usize) {
        (0..columns).for_each(|_| pixels.extend(row));
    }
    jpeg_of(&pixels, (width * columns, height * rows), ColorType::Rgb, |e| {
        e.set_quality(93);
        e.set_progressive(progressive);
    })
}

fn used(input: &[u8]) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    std::fs::write(&path, input).unwrap();
    peak_bytes(|| {
        let prepared =
            mobile_photo::prepare(path.as_path(), &capture(), &Budget::default()).unwrap();
        assert_eq!((prepared.width, prepared.height), (1600, 1200));
    })
}

#[test]
fn twelve_megapixels_take_less_than_40_mib() {
    for progressive in [false, true] {
        let used = used(&large(4, 4, progressive));
        assert!(used < 40 * MIB, "{} MiB, progressive: {progressive}", used / MIB);
    }
}

#[test]
fn fifty_megapixels_take_less_than_120_mib() {
    for progressive in [false, true] {
        let used = used(&large(8, 8, progressive));
        assert!(used < 120 * MIB, "{} MiB, progressive: {progressive}", used / MIB);
    }
}
