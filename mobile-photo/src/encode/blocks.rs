//! A picture's blocks as coefficients, in the order in which a JPEG holds them.

use crate::jpeg::ZIGZAG;
use crate::picture::{Picture, Plane};

/// Coefficients are kept in sixteenths, which fit into 16 bits.
const PARTS: f32 = 16.0;

/// All blocks of a picture.
pub(super) struct Blocks {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) is_grey: bool,
    /// In sixteenths, in the order of storing. Of a picture in colour four of brightness, one of each
    /// difference, and so on.
    pub(super) coefficients: Vec<[i16; 64]>,
}

/// Which component each block of a unit belongs to.
pub(super) const GREY_UNIT: &[usize] = &[0];
pub(super) const COLOR_UNIT: &[usize] = &[0, 0, 0, 0, 1, 2];

impl Blocks {
    /// Of a picture in grey or YCbCr whose differences have half its width and height, rounded up.
    pub(super) fn of(picture: &Picture) -> Self {
        let (width, height) = (picture.width, picture.height);
        let transform = Transform::new();
        let mut coefficients = Vec::new();
        let is_grey = picture.planes.len() < 3;
        let edge = if is_grey { 8 } else { 16 };
        for y in 0..height.div_ceil(edge) as usize {
            for x in 0..width.div_ceil(edge) as usize {
                let mut add = |plane: &Plane, x, y| coefficients.push(transform.block(plane, x, y));
                match picture.planes.as_slice() {
                    [brightness, blue, red, ..] => {
                        for (column, row) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                            add(brightness, 2 * x + column, 2 * y + row);
                        }
                        add(blue, x, y);
                        add(red, x, y);
                    }
                    planes => planes.iter().for_each(|plane| add(plane, x, y)),
                }
            }
        }
        Self { width, height, is_grey, coefficients }
    }

    pub(super) fn unit(&self) -> &'static [usize] {
        if self.is_grey { GREY_UNIT } else { COLOR_UNIT }
    }
}

/// The cosine transform of 8 × 8 samples.
struct Transform {
    /// What each sample (row) adds to each coefficient (column).
    basis: [[f32; 8]; 8],
}

impl Transform {
    fn new() -> Self {
        let mut basis = [[0.0; 8]; 8];
        for (place, row) in basis.iter_mut().enumerate() {
            for (frequency, value) in row.iter_mut().enumerate() {
                let first = if frequency == 0 { 0.5f64.sqrt() } else { 1.0 };
                let angle = ((2 * place + 1) * frequency) as f64 * std::f64::consts::PI / 16.0;
                *value = (first * 0.5 * angle.cos()) as f32;
            }
        }
        Self { basis }
    }

    /// One block's coefficients. Beyond the edge, the last row and column go on.
    fn block(&self, plane: &Plane, block_x: usize, block_y: usize) -> [i16; 64] {
        let (width, height) = (plane.width as usize, plane.height as usize);
        let mut samples = [[0.0f32; 8]; 8];
        for (row, line) in samples.iter_mut().enumerate() {
            let y = (block_y * 8 + row).min(height - 1);
            let source = &plane.samples[y * width..(y + 1) * width];
            if let Some(eight) = source.get(block_x * 8..).and_then(|rest| rest.first_chunk::<8>())
            {
                *line = eight.map(|sample| f32::from(sample) - 128.0);
            } else {
                for (column, value) in line.iter_mut().enumerate() {
                    *value = f32::from(source[(block_x * 8 + column).min(width - 1)]) - 128.0;
                }
            }
        }
        let mut half = [[0.0f32; 8]; 8];
        for (line, basis) in samples.iter().zip(&self.basis) {
            for (sums, factor) in half.iter_mut().zip(basis) {
                for (sum, value) in sums.iter_mut().zip(line) {
                    *sum += value * factor;
                }
            }
        }
        let mut natural = [0i16; 64];
        for (line, out) in half.iter().zip(natural.chunks_exact_mut(8)) {
            let mut sums = [0.0f32; 8];
            for (value, basis) in line.iter().zip(&self.basis) {
                for (sum, factor) in sums.iter_mut().zip(basis) {
                    *sum += value * factor;
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = super::symbols::round(sum * PARTS) as i16;
            }
        }
        ZIGZAG.map(|place| natural[usize::from(place)])
    }
}
