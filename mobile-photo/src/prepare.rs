//! From a camera's file to two small JPEGs.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::capture::{Budget, Capture, Prepared, Treatment};
use crate::color::{self, Profile};
use crate::decode::jpeg::{self, Scale};
use crate::decode::{Png, WebP};
use crate::encode;
use crate::error::PhotoError;
use crate::exif::{self, Tags};
use crate::facts::Facts;
use crate::format::Format;
use crate::jpeg::{Jpeg, head, with_metadata};
use crate::limits::{EDGE_MAX, INPUT_BYTES_MAX, SHRINKS_MAX};
use crate::picture::{Orientation, Picture, fitted};
use crate::resize;

/// Where a photo is.
#[derive(Debug, Clone, Copy)]
pub enum Input<'i> {
    /// In memory.
    Bytes(&'i [u8]),
    /// In a file, which is read once and left as it is.
    File(&'i Path),
}

impl<'i> From<&'i [u8]> for Input<'i> {
    fn from(bytes: &'i [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'i> From<&'i Path> for Input<'i> {
    fn from(path: &'i Path) -> Self {
        Self::File(path)
    }
}

/// Prepares a photo for the way to the server. It takes as long as it takes (about 0.1 s for 12
/// megapixels): not for a thread that draws.
///
/// # Errors
/// Where the input is no photo that is read, or is damaged; see [`PhotoError::code`]. The input is left
/// as it was.
pub fn prepare<'i>(
    input: impl Into<Input<'i>>,
    capture: &Capture,
    budget: &Budget,
) -> Result<Prepared, PhotoError> {
    if let Some(position) = &capture.position {
        position.check()?;
    }
    let bytes = read(input.into())?;
    let made = match Format::of(&bytes)? {
        Format::Jpeg => from_jpeg(&Jpeg::read(&bytes)?, capture, budget)?,
        Format::Png => {
            let png = Png::read(&bytes)?;
            let tags = png.exif().map(exif::read).unwrap_or_default();
            let profile = Profile::read(png.profile());
            let picture = png.decode(edge(budget))?;
            from_picture(picture, None, tags, profile.as_ref(), capture, budget)?
        }
        Format::WebP => {
            let mut webp = WebP::read(&bytes)?;
            let tags = webp.exif().map(|block| exif::read(&block)).unwrap_or_default();
            let profile = Profile::read(&webp.profile());
            let picture = webp.decode(edge(budget))?;
            from_picture(picture, None, tags, profile.as_ref(), capture, budget)?
        }
    };
    Ok(made)
}

fn read(input: Input<'_>) -> Result<Cow<'_, [u8]>, PhotoError> {
    let bytes = match input {
        Input::Bytes(bytes) => Cow::Borrowed(bytes),
        Input::File(path) => {
            let file = File::open(path)?;
            let bytes = file.metadata()?.len();
            if bytes > INPUT_BYTES_MAX as u64 {
                return Err(PhotoError::TooManyBytes { bytes });
            }
            // It may be growing: never more than one byte too many.
            let mut content = Vec::with_capacity(bytes as usize + 1);
            file.take(INPUT_BYTES_MAX as u64 + 1).read_to_end(&mut content)?;
            Cow::Owned(content)
        }
    };
    if bytes.len() > INPUT_BYTES_MAX {
        return Err(PhotoError::TooManyBytes { bytes: bytes.len() as u64 });
    }
    Ok(bytes)
}

/// The photo's edge, within what a JPEG can have.
fn edge(budget: &Budget) -> u32 {
    budget.photo_edge.clamp(1, EDGE_MAX)
}

fn from_jpeg(jpeg: &Jpeg<'_>, capture: &Capture, budget: &Budget) -> Result<Prepared, PhotoError> {
    let tags = jpeg.exif.map(exif::read).unwrap_or_default();
    let profile = Profile::read(&jpeg.profile);
    let (width, height) = (jpeg.frame.width, jpeg.frame.height);
    let is_plain = profile.is_none() && !jpeg.is_rgb() && jpeg.frame.components.len() < 4;
    let is_upright = tags.orientation == Orientation::UPRIGHT;
    if is_plain && is_upright && width.max(height) <= edge(budget) {
        let facts = Facts::of(&tags, capture);
        let photo = with_metadata(jpeg, &facts.exif());
        if photo.len() <= budget.photo_bytes {
            let thumbnail_edge = budget.thumbnail_edge.clamp(1, EDGE_MAX);
            let scale = Scale::for_edge(width, height, thumbnail_edge);
            let (picture, is_exact) = jpeg::decode_exactly(jpeg, scale)?;
            if is_exact {
                let thumbnail = thumbnail(color::for_jpeg(picture, None)?, budget)?;
                return Ok(prepared(photo, (width, height), thumbnail, facts, Treatment::Kept));
            }
        }
    }
    let picture = jpeg::decode(jpeg, Scale::for_edge(width, height, edge(budget)))?;
    from_picture(picture, Some((width, height)), tags, profile.as_ref(), capture, budget)
}

/// `stored` is the size that the picture had before it was decoded at a part of it.
fn from_picture(
    picture: Picture,
    stored: Option<(u32, u32)>,
    tags: Tags,
    profile: Option<&Profile>,
    capture: &Capture,
    budget: &Budget,
) -> Result<Prepared, PhotoError> {
    let facts = Facts::of(&tags, capture);
    let (width, height) = stored.unwrap_or((picture.width, picture.height));
    let (width, height) = fitted(width, height, edge(budget));
    let picture = resize::resized(picture, width, height)?;
    let mut picture = color::for_jpeg(picture, profile)?.upright(tags.orientation);
    let thumbnail = thumbnail(picture.clone(), budget)?;

    let head = head(&facts.exif());
    let mut tries = 0;
    for _ in 0..=SHRINKS_MAX {
        if let Some(encoded) = encode::encode(&picture, &head, budget.photo_bytes, &mut tries) {
            let treatment = Treatment::Encoded { quality: encoded.quality, tries };
            let size = (picture.width, picture.height);
            return Ok(prepared(encoded.bytes, size, thumbnail, facts, treatment));
        }
        picture = smaller(picture)?;
    }
    Err(PhotoError::BudgetTooSmall { bytes: budget.photo_bytes })
}

/// A picture that stands upright, and small.
fn thumbnail(picture: Picture, budget: &Budget) -> Result<Vec<u8>, PhotoError> {
    let edge = budget.thumbnail_edge.clamp(1, EDGE_MAX);
    let (width, height) = fitted(picture.width, picture.height, edge);
    let mut picture = resize::resized(picture, width, height)?;
    let head = head(&[]);
    for _ in 0..=SHRINKS_MAX {
        if let Some(encoded) = encode::encode(&picture, &head, budget.thumbnail_bytes, &mut 0) {
            return Ok(encoded.bytes);
        }
        picture = smaller(picture)?;
    }
    Err(PhotoError::BudgetTooSmall { bytes: budget.thumbnail_bytes })
}

/// By a fifth.
fn smaller(picture: Picture) -> Result<Picture, PhotoError> {
    let (width, height) = (picture.width * 4 / 5, picture.height * 4 / 5);
    resize::resized(picture, width.max(1), height.max(1))
}

fn prepared(
    photo: Vec<u8>,
    (width, height): (u32, u32),
    thumbnail: Vec<u8>,
    facts: Facts,
    treatment: Treatment,
) -> Prepared {
    Prepared {
        sha256: Sha256::digest(&photo).into(),
        thumbnail_sha256: Sha256::digest(&thumbnail).into(),
        photo,
        thumbnail,
        width,
        height,
        taken_at: facts.taken_at,
        position: facts.position,
        mocked: facts.mocked,
        origins: facts.origins,
        treatment,
    }
}
