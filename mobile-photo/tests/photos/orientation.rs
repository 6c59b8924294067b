//! Every orientation ends upright, and is not written again.

use super::inputs::*;
use image::{DynamicImage, RgbImage, imageops};
use mobile_photo::{Budget, Treatment};

/// As a camera with this orientation stores what looks like `upright`.
fn stored(upright: &RgbImage, orientation: u16) -> RgbImage {
    match orientation {
        2 => imageops::flip_horizontal(upright),
        3 => imageops::rotate180(upright),
        4 => imageops::flip_vertical(upright),
        5 => imageops::rotate90(&imageops::flip_vertical(upright)),
        6 => imageops::rotate270(upright),
        7 => imageops::rotate270(&imageops::flip_vertical(upright)),
        8 => imageops::rotate90(upright),
        _ => upright.clone(),
    }
}

/// What the second decoder makes of orientations, which confirms the function above.
#[test]
fn the_image_crate_understands_the_stored_pictures_the_same_way() {
    let upright = scene_image(60, 40);
    for value in 1..=8u8 {
        let mut image = DynamicImage::ImageRgb8(stored(&upright, value.into()));
        image.apply_orientation(image::metadata::Orientation::from_exif(value).unwrap());
        assert_eq!(image.to_rgb8(), upright, "orientation {value}");
    }
}

#[test]
fn jpegs_that_fit_are_turned_pixel_by_pixel() {
    let upright = scene_image(437, 291);
    for value in 1..=8 {
        let input = jpeg_with(&stored(&upright, value), &exif_block(&[orientation(value)], true));
        let prepared = prepare(&input);
        let (photo, thumbnail) = pictures(&prepared, &Budget::default());
        looks_like(&photo, &upright, 28.0);
        looks_like(&thumbnail, &at_size(&upright, thumbnail.width(), thumbnail.height()), 25.0);
        assert_eq!(prepared.treatment == Treatment::Kept, value == 1, "orientation {value}");
        assert!(!has_orientation(&prepared.photo), "orientation {value}");
    }
}

#[test]
fn large_jpegs_are_turned_and_made_smaller() {
    let upright = scene_image(2400, 1500);
    let expected = at_size(&upright, 1600, 1000);
    for value in 1..=8 {
        let input = jpeg_with(&stored(&upright, value), &exif_block(&[orientation(value)], false));
        let prepared = prepare(&input);
        let (photo, _) = pictures(&prepared, &Budget::default());
        looks_like(&photo, &expected, 28.0);
        assert!(!has_orientation(&prepared.photo), "orientation {value}");
    }
}

#[test]
fn nonsense_in_the_tag_turns_nothing() {
    let upright = scene_image(200, 150);
    for value in [0, 9, 255, 65_535] {
        let prepared = prepare(&jpeg_with(&upright, &exif_block(&[orientation(value)], true)));
        looks_like(&decoded(&prepared.photo), &upright, 28.0);
    }
}

#[test]
fn png_and_webp_are_turned_too() {
    let upright = scene_image(300, 200);
    for value in [3, 6, 8] {
        let block = exif_block(&[orientation(value)], true);
        let image = DynamicImage::ImageRgb8(stored(&upright, value));
        let png = png_with_exif(&saved(&image, image::ImageFormat::Png), &block);
        let webp = webp_with_exif(
            &saved(&image, image::ImageFormat::WebP),
            &block,
            image.width(),
            image.height(),
        );
        // Behind the picture and before the end chunk is a place for it as well.
        let plain = saved(&image, image::ImageFormat::Png);
        let (picture, end) = plain.split_at(plain.len() - 12);
        let moved = png_with_exif(&plain, &block);
        let behind = [picture, &moved[33..33 + 12 + block.len()], end].concat();
        for input in [png, behind, webp] {
            looks_like(&decoded(&prepare(&input).photo), &upright, 28.0);
        }
    }
}

fn has_orientation(jpeg: &[u8]) -> bool {
    let read = exif::Reader::new().read_from_container(&mut std::io::Cursor::new(jpeg)).unwrap();
    read.get_field(exif::Tag::Orientation, exif::In::PRIMARY).is_some()
}
