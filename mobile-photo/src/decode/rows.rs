//! Gathers rows of pixels, as PNG and WebP have them, into planes: without transparency, and already
//! smaller where the picture is much larger than wanted.

use crate::picture::{Color, Picture, Plane};

/// Takes rows from top to bottom.
pub(super) struct Rows {
    width: usize,
    /// Samples of a pixel: grey or colour, and transparency with either.
    channels: usize,
    /// Pixels of an edge of the squares that become one.
    factor: usize,
    /// Sums of a row of squares, for each plane, and how many rows they hold.
    sums: Vec<Vec<u64>>,
    rows: usize,
    picture: Picture,
}

impl Rows {
    /// For a picture of that size of which `edge` pixels are wanted: at least as many are kept, and less than twice
    /// as many.
    pub(super) fn new(width: u32, height: u32, channels: usize, edge: u32) -> Self {
        let factor = (width.max(height) / edge.max(1)).max(1);
        let color = if channels < 3 { Color::Grey } else { Color::Rgb };
        let planes = if channels < 3 { 1 } else { 3 };
        let (small_width, small_height) = (width.div_ceil(factor), height.div_ceil(factor));
        let samples = small_width as usize * small_height as usize;
        let plane = || Plane {
            width: small_width,
            height: small_height,
            samples: Vec::with_capacity(samples),
        };
        let (width, factor) = (width as usize, factor as usize);
        Self {
            width,
            channels,
            factor,
            sums: vec![vec![0; small_width as usize]; planes],
            rows: 0,
            picture: Picture {
                width: small_width,
                height: small_height,
                color,
                planes: (0..planes).map(|_| plane()).collect(),
            },
        }
    }

    /// Adds a row of `width * channels` samples.
    pub(super) fn push(&mut self, row: &[u8]) {
        let has_alpha = self.channels.is_multiple_of(2);
        for (pixels, place) in row.chunks(self.channels * self.factor).zip(0..) {
            for pixel in pixels.chunks_exact(self.channels) {
                let alpha = if has_alpha { u32::from(pixel[self.channels - 1]) } else { 255 };
                for (sums, sample) in self.sums.iter_mut().zip(pixel) {
                    let sum: &mut u64 = &mut sums[place];
                    *sum += u64::from(on_white(u32::from(*sample), alpha));
                }
            }
        }
        self.rows += 1;
        if self.rows == self.factor {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for (sums, plane) in self.sums.iter_mut().zip(&mut self.picture.planes) {
            for (place, sum) in sums.iter_mut().enumerate() {
                let across = self.factor.min(self.width - place * self.factor);
                let pixels = (across * self.rows) as u64;
                plane.samples.push(((*sum + pixels / 2) / pixels) as u8);
                *sum = 0;
            }
        }
        self.rows = 0;
    }

    /// The picture, after the last row.
    pub(super) fn finish(mut self) -> Picture {
        if self.rows > 0 {
            self.flush();
        }
        self.picture
    }
}

/// A sample as it looks on white paper.
fn on_white(sample: u32, alpha: u32) -> u32 {
    (sample * alpha + 255 * (255 - alpha) + 127) / 255
}
