//! The C decoder (libjpeg-turbo), with the feature `turbojpeg`: for the photos that cameras write, which are
//! sequential and in YCbCr. Everything else goes the usual way, and so does what it refuses or warns about: the
//! usual decoder then says what is wrong. Progressive photos are not for it, because it keeps them whole.

use turbojpeg::{Decompressor, ScalingFactor, Subsamp, YuvImage};

use crate::jpeg::Jpeg;
use crate::picture::{Color, Picture, Plane};

/// Decodes at `size` eighths of its size, where it can.
pub(super) fn decode(jpeg: &Jpeg<'_>, color: Color, size: usize) -> Option<Picture> {
    if jpeg.frame.is_progressive || !matches!(color, Color::Grey | Color::YCbCr) {
        return None;
    }
    let mut decoder = Decompressor::new().ok()?;
    let header = decoder.read_header(jpeg.bytes).ok()?;
    let factor = ScalingFactor::new(size, 8);
    decoder.set_scaling_factor(factor).ok()?;
    let (width, height) = (factor.scale(header.width), factor.scale(header.height));
    // How many samples of brightness there are for one of colour, across and down.
    let (across, down) = match header.subsamp {
        Subsamp::Gray | Subsamp::None => (1, 1),
        Subsamp::Sub2x1 => (2, 1),
        Subsamp::Sub2x2 => (2, 2),
        Subsamp::Sub1x2 => (1, 2),
        Subsamp::Sub4x1 => (4, 1),
        _ => return None,
    };
    let (stride, rows) = (width.next_multiple_of(across), height.next_multiple_of(down));
    let (color_width, color_height) = (stride / across, rows / down);
    let (brightness, difference) = (stride * rows, color_width * color_height);
    let differences = if header.subsamp == Subsamp::Gray { 0 } else { 2 };
    let mut pixels = vec![0; brightness + differences * difference];
    let image = YuvImage {
        pixels: pixels.as_mut_slice(),
        width,
        align: 1,
        height,
        subsamp: header.subsamp,
    };
    decoder.decompress_to_yuv(jpeg.bytes, image).ok()?;

    let second = pixels.split_off(brightness);
    for row in 1..height {
        pixels.copy_within(row * stride..row * stride + width, row * width);
    }
    pixels.truncate(width * height);
    let plane = |width: usize, height: usize, samples| Plane {
        width: width as u32,
        height: height as u32,
        samples,
    };
    let mut planes = vec![plane(width, height, pixels)];
    let differences = second.chunks_exact(difference.max(1)).map(<[u8]>::to_vec);
    planes.extend(differences.map(|samples| plane(color_width, color_height, samples)));
    Some(Picture { width: width as u32, height: height as u32, color, planes })
}
