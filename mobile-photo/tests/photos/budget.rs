//! Budgets hold, and are used.

use image::RgbImage;
use mobile_photo::{Budget, Treatment};

use super::inputs::*;

fn noise(width: u32, height: u32) -> RgbImage {
    let mut state = 1u32;
    RgbImage::from_fn(width, height, |_, _| {
        image::Rgb([0; 3].map(|_: u8| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        }))
    })
}

fn with_budget(input: &[u8], budget: Budget) -> mobile_photo::Prepared {
    let prepared = mobile_photo::prepare(input, &capture(), &budget).unwrap();
    pictures(&prepared, &budget);
    prepared
}

#[test]
fn the_quality_is_the_best_that_fits() {
    let input = jpeg(&scene_image(2400, 1800));
    let mut last = 0;
    for kib in [60, 90, 130, 180, 400] {
        let budget = Budget { photo_bytes: kib * 1024, ..Budget::default() };
        let prepared = with_budget(&input, budget);
        let Treatment::Encoded { quality, tries } = prepared.treatment else { panic!("kept") };
        assert!(quality > last, "{quality} with {kib} KiB");
        assert!(tries <= 10, "{tries} tries");
        // One step of quality is a few percent of the bytes.
        assert!(quality == 85 || prepared.photo.len() > budget.photo_bytes * 9 / 10, "{quality}");
        last = quality;
    }
    assert_eq!(last, 85);
}

/// Noise is the worst that can come: no quality is low enough at its full size.
#[test]
fn what_fits_at_no_quality_becomes_smaller() {
    let input = jpeg(&noise(1600, 1200));
    let budget = Budget { photo_bytes: 60_000, thumbnail_bytes: 2_000, ..Budget::default() };
    let prepared = with_budget(&input, budget);
    assert!(prepared.width < 1600);
    assert!((f64::from(prepared.width) / f64::from(prepared.height) - 4.0 / 3.0).abs() < 0.01);
}

#[test]
fn nothing_is_made_larger() {
    for (width, height) in [(1, 1), (7, 5), (16, 16), (17, 33), (320, 200)] {
        let prepared = prepare(&jpeg(&scene_image(width, height)));
        let (photo, thumbnail) = pictures(&prepared, &Budget::default());
        assert_eq!(photo.dimensions(), (width, height));
        assert_eq!(thumbnail.dimensions(), (width, height));
        let png = saved(&scene_image(width, height).into(), image::ImageFormat::Png);
        let (photo, thumbnail) = pictures(&prepare(&png), &Budget::default());
        assert_eq!(photo.dimensions(), (width, height));
        assert_eq!(thumbnail.dimensions(), (width, height));
    }
}

#[test]
fn what_has_too_many_bytes_keeps_its_size() {
    let image = scene_image(1600, 1200);
    let input =
        jpeg_of(image.as_raw(), (1600, 1200), jpeg_encoder::ColorType::Rgb, |e| e.set_quality(99));
    assert!(input.len() > 300 * 1024);
    let prepared = prepare(&input);
    let (photo, _) = pictures(&prepared, &Budget::default());
    looks_like(&photo, &image, 30.0);
}

#[test]
fn impossible_budgets_are_refused() {
    let input = jpeg(&scene_image(1000, 800));
    for budget in [
        Budget { photo_bytes: 300, ..Budget::default() },
        Budget { photo_bytes: 0, ..Budget::default() },
        Budget { thumbnail_bytes: 20, ..Budget::default() },
    ] {
        let refused = mobile_photo::prepare(&input[..], &capture(), &budget).unwrap_err();
        assert_eq!(refused.code(), "photo_budget_too_small");
    }
    // No edge is one of a single pixel.
    let none = Budget { photo_edge: 0, thumbnail_edge: 0, ..Budget::default() };
    let prepared = mobile_photo::prepare(&input[..], &capture(), &none).unwrap();
    assert_eq!(decoded(&prepared.photo).dimensions(), (1, 1));
}
