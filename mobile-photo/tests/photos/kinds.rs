//! Every kind of picture that a camera, an editor or a messenger makes.

use image::{DynamicImage, ImageFormat, RgbImage, RgbaImage};
use jpeg_encoder::{ColorType, SamplingFactor};
use mobile_photo::Budget;

use super::inputs::*;

/// Prepared, and as large and alike as it has to be.
fn comes_out_as(input: &[u8], expected: &RgbImage, decibels: f64) {
    let prepared = prepare(input);
    let (photo, thumbnail) = pictures(&prepared, &Budget::default());
    looks_like(&photo, &at_size(expected, photo.width(), photo.height()), decibels);
    looks_like(
        &thumbnail,
        &at_size(expected, thumbnail.width(), thumbnail.height()),
        decibels - 4.0,
    );
}

/// All samplings, in one scan, several scans or progressively, with and without restarts; at all scales.
#[test]
fn jpegs_of_every_layout() {
    let factors = [
        SamplingFactor::F_1_1,
        SamplingFactor::F_2_1,
        SamplingFactor::F_1_2,
        SamplingFactor::F_2_2,
        SamplingFactor::F_4_1,
        SamplingFactor::F_4_2,
        SamplingFactor::F_1_4,
        SamplingFactor::F_2_4,
    ];
    for (width, height) in [(403, 301), (811, 607), (1611, 207), (3301, 77)] {
        let image = scene_image(width, height);
        let mut expected = None;
        for factor in factors {
            for layout in 0..5 {
                let input = jpeg_of(image.as_raw(), (width, height), ColorType::Rgb, |e| {
                    e.set_sampling_factor(factor);
                    match layout {
                        1 => e.set_progressive(true),
                        2 => e.set_optimized_huffman_tables(true),
                        3 => e.set_restart_interval(5),
                        4 => {
                            e.set_progressive_scans(10);
                            e.set_restart_interval(3);
                        }
                        _ => {}
                    }
                });
                // Larger than fits, so that it is decoded and encoded.
                let budget = Budget { photo_edge: 390, ..Budget::default() };
                let prepared = mobile_photo::prepare(&input[..], &capture(), &budget).unwrap();
                let photo = decoded(&prepared.photo);
                let expected =
                    expected.get_or_insert_with(|| at_size(&image, photo.width(), photo.height()));
                let found = likeness(&photo, expected);
                // Of the flat one's 77 rows nine are left, and no two resizers agree about them.
                let enough = if height > 100 { 25.0 } else { 21.0 };
                assert!(found > enough, "{width}: {factor:?}, layout {layout}: {found:.1} dB");
            }
        }
    }
}

/// The decoder's full size, against the second decoder.
#[test]
fn samples_are_what_another_decoder_finds() {
    let image = scene_image(400, 300);
    for progressive in [false, true] {
        let input = jpeg_of(image.as_raw(), (400, 300), ColorType::Rgb, |e| {
            e.set_quality(100);
            e.set_sampling_factor(SamplingFactor::F_1_1);
            e.set_progressive(progressive);
        });
        let budget = Budget { photo_bytes: 60_000, ..Budget::default() };
        assert!(input.len() > budget.photo_bytes);
        let prepared = mobile_photo::prepare(&input[..], &capture(), &budget).unwrap();
        looks_like(&decoded(&prepared.photo), &decoded(&input), 30.0);
    }
}

#[test]
fn panoramas() {
    for (width, height) in [(9000, 500), (300, 6000), (12_000, 3), (1, 5000)] {
        let image = scene_image(width, height);
        let prepared = prepare(&jpeg(&image));
        let (photo, thumbnail) = pictures(&prepared, &Budget::default());
        assert_eq!(photo.width().max(photo.height()), 1600);
        assert_eq!(thumbnail.width().max(thumbnail.height()), 320);
        if width.min(height) > 100 {
            looks_like(&photo, &at_size(&image, photo.width(), photo.height()), 25.0);
        }
    }
}

#[test]
fn grey_stays_grey() {
    let image = scene_image(2000, 1500);
    let grey = DynamicImage::ImageRgb8(image).to_luma8();
    let expected = DynamicImage::ImageLuma8(grey.clone()).to_rgb8();
    let jpeg = jpeg_of(grey.as_raw(), (2000, 1500), ColorType::Luma, |_| {});
    let png = saved(&DynamicImage::ImageLuma8(grey), ImageFormat::Png);
    for input in [jpeg, png] {
        comes_out_as(&input, &expected, 28.0);
        let frame =
            segments(&prepare(&input).photo).into_iter().find(|(marker, _)| *marker == 0xC0);
        assert_eq!(frame.unwrap().1[5], 1, "components");
    }
}

#[test]
fn sixteen_bits_become_eight() {
    let image = scene_image(1700, 900);
    let deep = DynamicImage::ImageRgb16(DynamicImage::ImageRgb8(image.clone()).to_rgb16());
    comes_out_as(&saved(&deep, ImageFormat::Png), &image, 28.0);
    let deep = DynamicImage::ImageLuma16(deep.to_luma16());
    comes_out_as(&saved(&deep, ImageFormat::Png), &deep.to_rgb8(), 28.0);
}

#[test]
fn ink_becomes_light() {
    let image = scene_image(600, 400);
    // Half of the darkness in black ink.
    let ink: Vec<u8> = image
        .pixels()
        .flat_map(|pixel| {
            let black = 255 - pixel.0.iter().max().unwrap();
            let black = black / 2;
            let rest = u32::from(255 - black);
            let color = pixel.0.map(|light| 255 - (u32::from(light) * 255 / rest).min(255) as u8);
            [color[0], color[1], color[2], black]
        })
        .collect();
    let size = image.dimensions();
    for color in [ColorType::Cmyk, ColorType::CmykAsYcck] {
        for progressive in [false, true] {
            let input = jpeg_of(&ink, size, color, |e| {
                e.set_sampling_factor(SamplingFactor::F_1_1);
                e.set_progressive(progressive);
            });
            comes_out_as(&input, &image, 27.0);
        }
    }
    // Without Adobe's segment nothing is inverted: the same samples are the opposite ink.
    let input =
        jpeg_of(&ink, size, ColorType::Cmyk, |e| e.set_sampling_factor(SamplingFactor::F_1_1));
    let at = input.windows(2).position(|pair| pair == [0xFF, 0xEE]).unwrap();
    let plain = [&input[..at], &input[at + 16..]].concat();
    let opposite: Vec<u8> = ink.iter().map(|sample| 255 - sample).collect();
    let opposite =
        jpeg_of(&opposite, size, ColorType::Cmyk, |e| e.set_sampling_factor(SamplingFactor::F_1_1));
    looks_like(&decoded(&prepare(&plain).photo), &decoded(&prepare(&opposite).photo), 35.0);
}

/// Adobe's segment can say that three components are red, green and blue.
#[test]
fn jpegs_in_rgb() {
    let image = scene_image(300, 200);
    // Swapping the meaning: what is stored as if it were YCbCr is taken as it stands.
    let planes: Vec<u8> = image.as_raw().clone();
    let input = jpeg_of(&planes, (300, 200), ColorType::Ycbcr, |e| {
        e.set_sampling_factor(SamplingFactor::F_1_1)
    });
    let end = 2 + 2 + usize::from(u16::from_be_bytes([input[4], input[5]]));
    let without_jfif = [&input[..2], &input[end..]].concat();
    let rgb = with_segment(&without_jfif, 0xEE, b"Adobe\0\x64\0\0\0\0\0");
    comes_out_as(&rgb, &image, 28.0);
}

#[test]
fn transparency_becomes_white() {
    let (width, height) = (2100, 1400);
    let image = scene_image(width, height);
    let alpha = |x: u32| (x * 255 / (width - 1)) as u8;
    let clear = RgbaImage::from_fn(width, height, |x, y| {
        let [red, green, blue] = image.get_pixel(x, y).0;
        image::Rgba([red, green, blue, alpha(x)])
    });
    let expected = RgbImage::from_fn(width, height, |x, y| {
        let part = f32::from(alpha(x)) / 255.0;
        image::Rgb(
            image
                .get_pixel(x, y)
                .0
                .map(|s| (f32::from(s) * part + 255.0 * (1.0 - part)).round() as u8),
        )
    });
    let clear = DynamicImage::ImageRgba8(clear);
    comes_out_as(&saved(&clear, ImageFormat::Png), &expected, 28.0);
    comes_out_as(&saved(&clear, ImageFormat::WebP), &expected, 28.0);
    let deep = DynamicImage::ImageRgba16(clear.to_rgba16());
    comes_out_as(&saved(&deep, ImageFormat::Png), &expected, 28.0);
}

#[test]
fn palettes_and_interlaced_png() {
    let (width, height) = (64u32, 40u32);
    let palette: Vec<u8> = (0..=255u8).flat_map(|i| [i, 255 - i, i / 2]).collect();
    let indices: Vec<u8> = (0..width * height).map(|i| (i % width * 4) as u8).collect();
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    encoder.set_trns(vec![0]);
    encoder.write_header().unwrap().write_image_data(&indices).unwrap();
    comes_out_as(&out, &decoded_on_white(&out), 26.0);
    comes_out_as(&interlaced(&scene_image(61, 43)), &scene_image(61, 43), 26.0);
}

fn decoded_on_white(bytes: &[u8]) -> RgbImage {
    let clear = image::load_from_memory(bytes).unwrap().to_rgba8();
    RgbImage::from_fn(clear.width(), clear.height(), |x, y| {
        let [red, green, blue, alpha] = clear.get_pixel(x, y).0;
        let part = f32::from(alpha) / 255.0;
        image::Rgb([red, green, blue].map(|s| (f32::from(s) * part + 255.0 * (1.0 - part)) as u8))
    })
}

/// No encoder here writes these: seven passes over the picture (PNG, 8.2), each with rows of its own.
fn interlaced(image: &RgbImage) -> Vec<u8> {
    let passes = [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ];
    let mut rows = Vec::new();
    for (left, top, across, down) in passes {
        for y in (top..image.height()).step_by(down) {
            if left < image.width() {
                rows.push(0);
                for x in (left..image.width()).step_by(across) {
                    rows.extend(image.get_pixel(x, y).0);
                }
            }
        }
    }
    let mut header = image.width().to_be_bytes().to_vec();
    header.extend(image.height().to_be_bytes());
    header.extend([8, 2, 0, 0, 1]);
    let chunk = |name: &[u8; 4], content: &[u8]| {
        let named = [name.as_slice(), content].concat();
        [&(content.len() as u32).to_be_bytes(), named.as_slice(), &crc32(&named).to_be_bytes()]
            .concat()
    };
    let data = chunk(b"IDAT", &zlib_stored(&rows));
    [b"\x89PNG\r\n\x1A\n".as_slice(), &chunk(b"IHDR", &header), &data, &chunk(b"IEND", &[])]
        .concat()
}

#[test]
fn of_an_animation_the_first_picture() {
    let (first, second) =
        (scene_image(120, 80), RgbImage::from_pixel(120, 80, image::Rgb([255, 0, 0])));
    comes_out_as(&animated_png(&first, &second), &first, 26.0);
    comes_out_as(&animated_webp(&first, &second), &first, 26.0);
}

/// A profile with red and green exchanged: only who converts sees the scene.
#[test]
fn other_colour_spaces_become_srgb() {
    let image = scene_image(500, 350);
    let mut profile = moxcms::ColorProfile::new_srgb();
    std::mem::swap(&mut profile.red_colorant, &mut profile.green_colorant);
    let block = profile.encode().unwrap();
    let swapped = RgbImage::from_fn(500, 350, |x, y| {
        let [red, green, blue] = image.get_pixel(x, y).0;
        image::Rgb([green, red, blue])
    });
    let with_profile = |block: &[u8]| {
        jpeg_of(swapped.as_raw(), (500, 350), ColorType::Rgb, |e| e.add_icc_profile(block).unwrap())
    };
    looks_like(&decoded(&prepare(&with_profile(&block)).photo), &image, 27.0);
    let srgb = moxcms::ColorProfile::new_srgb().encode().unwrap();
    let prepared = prepare(&with_profile(&srgb));
    looks_like(&decoded(&prepared.photo), &swapped, 27.0);
    assert_eq!(prepared.treatment, mobile_photo::Treatment::Kept, "sRGB needs no conversion");
    let broken = prepare(&with_profile(&block[..block.len() / 2]));
    looks_like(&decoded(&broken.photo), &swapped, 27.0);
}
