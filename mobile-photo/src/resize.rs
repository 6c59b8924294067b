//! Makes pictures smaller.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::error::PhotoError;
use crate::picture::{Color, Picture, Plane};

/// A picture of that size. Differences of colour get half of it, which is what a JPEG holds.
///
/// # Errors
/// Only where the resizer refuses sizes that were checked: none are known.
pub(crate) fn resized(picture: Picture, width: u32, height: u32) -> Result<Picture, PhotoError> {
    let mut resizer = Resizer::new();
    let color = picture.color;
    let full = (picture.width, picture.height);
    let mut planes = Vec::with_capacity(picture.planes.len());
    for (index, plane) in picture.planes.into_iter().enumerate() {
        let (width, height) = match color {
            Color::YCbCr if index > 0 => half(width, height),
            _ => (width, height),
        };
        planes.push(plane_resized(&mut resizer, plane, full, width, height)?);
    }
    Ok(Picture { width, height, color, planes })
}

/// The same picture with all planes of its full size.
///
/// # Errors
/// As [`resized`].
pub(crate) fn full(picture: Picture) -> Result<Picture, PhotoError> {
    let mut resizer = Resizer::new();
    let (width, height) = (picture.width, picture.height);
    let planes = picture.planes.into_iter();
    let planes =
        planes.map(|plane| plane_resized(&mut resizer, plane, (width, height), width, height));
    Ok(Picture { width, height, color: picture.color, planes: planes.collect::<Result<_, _>>()? })
}

/// Half of a size, rounded up.
pub(crate) fn half(width: u32, height: u32) -> (u32, u32) {
    (width.div_ceil(2), height.div_ceil(2))
}

/// One plane, of a picture of the size `full`.
fn plane_resized(
    resizer: &mut Resizer,
    plane: Plane,
    full: (u32, u32),
    width: u32,
    height: u32,
) -> Result<Plane, PhotoError> {
    if (plane.width, plane.height) == (width, height) {
        return Ok(plane);
    }
    let failed =
        |error: &dyn std::fmt::Display| PhotoError::Damaged(format!("cannot be resized: {error}"));
    let mut samples = vec![0; width as usize * height as usize];
    // Typed, because then one kind of pixel is compiled and not thirteen.
    let source = TypedImageRef::<U8>::from_buffer(plane.width, plane.height, &plane.samples)
        .map_err(|error| failed(&error))?;
    let mut target = TypedImage::<U8>::from_buffer(width, height, &mut samples)
        .map_err(|error| failed(&error))?;
    // A plane with fewer samples may reach beyond the picture by a part of one.
    let covered = |samples: u32, pixels: u32| {
        let each = (f64::from(pixels) / f64::from(samples)).round().max(1.0);
        (f64::from(pixels) / each).min(f64::from(samples))
    };
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .crop(0.0, 0.0, covered(plane.width, full.0), covered(plane.height, full.1));
    resizer.resize_typed(&source, &mut target, &options).map_err(|error| failed(&error))?;
    Ok(Plane { width, height, samples })
}
