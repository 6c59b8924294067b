//! Colours: everything becomes grey or YCbCr in sRGB.

use std::sync::Arc;

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use crate::error::PhotoError;
use crate::picture::{Color, Picture, Plane};
use crate::resize;

/// Colours that differ by no more than this are the same, of 255: profiles of one space round differently.
const SAME: u8 = 3;

/// A camera's colour space that is not sRGB, and the way from it.
pub(crate) struct Profile(Arc<moxcms::Transform8BitExecutor>);

impl Profile {
    /// Reads a profile. None where there is none, where it is damaged, and where it is sRGB anyhow.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        let profile = ColorProfile::new_from_slice(bytes).ok()?;
        if profile.color_space != DataColorSpace::Rgb {
            return None;
        }
        let srgb = ColorProfile::new_srgb();
        let options = TransformOptions::default();
        let way = profile.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, options).ok()?;
        let levels = [0u8, 64, 128, 192, 255];
        let probe: Vec<u8> = levels
            .iter()
            .flat_map(|red| {
                levels.iter().flat_map(move |green| levels.map(|blue| [*red, *green, blue]))
            })
            .flatten()
            .collect();
        let mut seen = vec![0; probe.len()];
        way.transform(&probe, &mut seen).ok()?;
        let is_srgb = probe.iter().zip(&seen).all(|(one, other)| one.abs_diff(*other) <= SAME);
        if is_srgb { None } else { Some(Self(way)) }
    }

    /// Converts pixels of red, green and blue.
    fn apply(&self, pixels: &mut [u8]) {
        let source = pixels.to_vec();
        // Lengths are equal and whole pixels; nothing else can fail.
        if self.0.transform(&source, pixels).is_err() {
            pixels.copy_from_slice(&source);
        }
    }
}

/// A picture in grey or YCbCr, with differences of half the size.
///
/// # Errors
/// As resizing.
pub(crate) fn for_jpeg(picture: Picture, profile: Option<&Profile>) -> Result<Picture, PhotoError> {
    let (width, height) = (picture.width, picture.height);
    let is_ready = match picture.color {
        Color::Grey => true,
        Color::YCbCr => profile.is_none(),
        _ => false,
    };
    if is_ready {
        return resize::resized(picture, width, height);
    }
    let picture = resize::full(picture)?;
    let mut pixels = rgb(&picture);
    if let (Some(profile), Color::Rgb | Color::YCbCr) = (profile, picture.color) {
        profile.apply(&mut pixels);
    }
    drop(picture);
    let planes = [0, 1, 2].map(|index| {
        let (pixels, _) = pixels.as_chunks::<3>();
        let samples = pixels.iter().map(|pixel| ycbcr(*pixel)[index]).collect();
        Plane { width, height, samples }
    });
    let picture = Picture { width, height, color: Color::YCbCr, planes: planes.into() };
    resize::resized(picture, width, height)
}

/// Pixels of red, green and blue.
fn rgb(picture: &Picture) -> Vec<u8> {
    let count = picture.width as usize * picture.height as usize;
    let mut pixels = Vec::with_capacity(count * 3);
    let plane = |index: usize| picture.planes.get(index).map_or(&[][..], |plane| &plane.samples);
    let (first, second, third, ink) = (plane(0), plane(1), plane(2), plane(3));
    for (index, ((a, b), c)) in first.iter().zip(second).zip(third).enumerate() {
        let three = [*a, *b, *c];
        let pixel = match picture.color {
            Color::YCbCr => from_ycbcr(three),
            // Turned like YCbCr they are the ink's complement, and stored inverted that is the ink.
            Color::Ycck => printed(from_ycbcr(three).map(|sample| 255 - sample), ink.get(index)),
            Color::Cmyk => printed(three, ink.get(index)),
            Color::Rgb | Color::Grey => three,
        };
        pixels.extend(pixel);
    }
    pixels
}

/// What white paper looks like under inks, where 255 is none: each takes its part of the light.
fn printed(colors: [u8; 3], black: Option<&u8>) -> [u8; 3] {
    let black = u32::from(*black.unwrap_or(&255));
    colors.map(|color| ((u32::from(color) * black + 127) / 255) as u8)
}

/// JFIF's equations.
fn ycbcr([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let [red, green, blue] = [red, green, blue].map(f32::from);
    let y = 0.299 * red + 0.587 * green + 0.114 * blue;
    let cb = 128.0 - 0.168_736 * red - 0.331_264 * green + 0.5 * blue;
    let cr = 128.0 + 0.5 * red - 0.418_688 * green - 0.081_312 * blue;
    [y, cb, cr].map(|value| (value + 0.5) as u8)
}

/// The same backwards.
fn from_ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    let red = y + 1.402 * cr;
    let green = y - 0.344_136 * cb - 0.714_136 * cr;
    let blue = y + 1.772 * cb;
    [red, green, blue].map(|value| (value + 0.5) as u8)
}
