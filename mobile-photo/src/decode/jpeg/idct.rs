//! From coefficients to samples, at four sizes.

use std::f64::consts::PI;

/// The inverse cosine transform of the lowest `size` × `size` coefficients.
///
/// In floating point: nothing can overflow, whatever the file holds, and four or eight lanes do one row.
pub(super) struct Idct {
    size: usize,
    /// What each coefficient (row) adds to each sample (column), `size` of each, at the place of 8.
    basis: [[f32; 8]; 8],
}

impl Idct {
    pub(super) fn new(size: usize) -> Self {
        let mut basis = [[0.0; 8]; 8];
        for (frequency, row) in basis.iter_mut().enumerate().take(size) {
            for (place, value) in row.iter_mut().enumerate().take(size) {
                // Orthonormal for `size`, and by its share of 8, because there are fewer samples.
                let first = if frequency == 0 { 0.5f64.sqrt() } else { 1.0 };
                let angle = (2 * place + 1) as f64 * frequency as f64 * PI / (2 * size) as f64;
                let scale = (2.0 / size as f64).sqrt() * (size as f64 / 8.0).sqrt();
                *value = (first * scale * angle.cos()) as f32;
            }
        }
        Self { size, basis }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Writes a block's samples to `samples`, whose rows are `stride` apart. `coefficients` are in
    /// natural order, and all but the first `rows` rows of them are zero.
    pub(super) fn write(
        &self,
        coefficients: &[f32; 64],
        rows: usize,
        samples: &mut [u8],
        stride: usize,
    ) {
        match self.size {
            8 => self.transform::<8>(coefficients, rows, samples, stride),
            4 => self.transform::<4>(coefficients, rows, samples, stride),
            2 => self.transform::<2>(coefficients, rows, samples, stride),
            _ => samples[0] = sample(coefficients[0] / 8.0),
        }
    }

    /// The same where only the first coefficient is not zero.
    pub(super) fn write_flat(&self, first: f32, samples: &mut [u8], stride: usize) {
        let sample = sample(first / 8.0);
        for row in samples.chunks_mut(stride).take(self.size) {
            row[..self.size].fill(sample);
        }
    }

    #[inline(always)]
    fn transform<const N: usize>(
        &self,
        coefficients: &[f32; 64],
        rows: usize,
        samples: &mut [u8],
        stride: usize,
    ) {
        // Down the columns: all of a row's columns at once.
        let mut half = [[0.0f32; N]; N];
        for frequency in 0..rows.min(N) {
            let mut row = [0.0f32; N];
            row.copy_from_slice(&coefficients[frequency * 8..frequency * 8 + N]);
            for (place, sums) in half.iter_mut().enumerate() {
                let factor = self.basis[frequency][place];
                for (sum, value) in sums.iter_mut().zip(&row) {
                    *sum += factor * value;
                }
            }
        }
        // Along the rows.
        for (row, out) in half.iter().zip(samples.chunks_mut(stride)) {
            let mut sums = [0.0f32; N];
            for (value, basis) in row.iter().zip(&self.basis) {
                for (sum, factor) in sums.iter_mut().zip(basis) {
                    *sum += value * factor;
                }
            }
            for (out, sum) in out.iter_mut().zip(&sums) {
                *out = sample(*sum);
            }
        }
    }
}

/// Zero is the middle of the range. A cast clamps, and makes zero of what is no number.
#[inline(always)]
fn sample(value: f32) -> u8 {
    (value + 128.5) as u8
}
