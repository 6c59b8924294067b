//! How much of a picture is left: SSIMULACRA 2, 100 is all of it.

use std::path::Path;

use image::RgbImage;
use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

use crate::Result;

/// Of a JPEG, against the picture as it should look.
///
/// # Errors
/// When they cannot be compared.
pub fn score(expected: &RgbImage, jpeg: &Path) -> Result<f64> {
    let seen = image::open(jpeg)?.to_rgb8();
    Ok(compute_frame_ssimulacra2(frame(expected)?, frame(&seen)?)?)
}

fn frame(image: &RgbImage) -> Result<Rgb> {
    let pixels =
        image.pixels().map(|pixel| pixel.0.map(|sample| f32::from(sample) / 255.0)).collect();
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (transfer, primaries) = (TransferCharacteristic::SRGB, ColorPrimaries::BT709);
    Ok(Rgb::new(pixels, width, height, transfer, primaries)?)
}
