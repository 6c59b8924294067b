//! From a file's bytes to a picture that is somewhat larger than wanted.

pub(crate) mod jpeg;
mod png;
mod rows;
#[cfg(feature = "turbojpeg")]
mod turbo;
mod webp;

pub(crate) use png::Png;
pub(crate) use webp::WebP;

use crate::error::PhotoError;
use crate::limits::{EDGE_MAX, PIXELS_MAX};

/// Checks what a file claims before anything is made for it.
///
/// # Errors
/// When that is nothing or too much.
fn check_size(width: u32, height: u32, pixels_max: u64) -> Result<(), PhotoError> {
    let max = pixels_max.min(PIXELS_MAX);
    if width == 0 || height == 0 {
        return Err(PhotoError::Damaged(format!("it has {width} × {height} pixels")));
    }
    if u64::from(width) * u64::from(height) > max || width.max(height) > EDGE_MAX {
        return Err(PhotoError::TooManyPixels { width, height, max });
    }
    Ok(())
}
