//! Ways from a camera's file to a photo of 1600 pixels and a thumbnail of 320.

use std::fs;
use std::path::Path;

use fast_image_resize::Resizer;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};
use mobile_photo::{Budget, Capture};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::Result;

const EDGE: u32 = 1600;
const THUMBNAIL_EDGE: u32 = 320;
/// What those use that do not search.
const QUALITY: u8 = 80;

/// One of them.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Pipeline {
    /// `mobile_photo::prepare`: also reads and writes metadata, searches the quality, and hashes.
    Campo,
    /// `image` alone: decode, Lanczos3, encode.
    Image,
    /// The crates that FEASIBILITY found fastest: jpeg-decoder with scale, fast_image_resize, jpeg-encoder.
    Crates,
    /// Decoding alone, whole, by the decoder of `image` (zune-jpeg).
    DecodeZune,
    /// Decoding alone, at a half or a quarter, by jpeg-decoder.
    DecodeScaled,
}

/// What one process measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measured {
    /// CPU of each repetition, of all threads, in milliseconds.
    pub cpu_ms: Vec<f64>,
    /// Most that was resident above what was before the first, in KiB; with the file's bytes.
    pub peak_kib: u64,
}

impl Pipeline {
    /// Runs it and prints what was measured.
    ///
    /// # Errors
    /// When a file cannot be read or written, or a picture cannot be processed.
    pub fn measure(self, input: &Path, output: &Path, times: usize, bytes: usize) -> Result {
        let before = resident_kib("VmRSS:")?;
        let mut cpu_ms = Vec::new();
        for _ in 0..times {
            let start = cpu();
            let photo = self.run(input, bytes)?;
            cpu_ms.push((cpu() - start) * 1e3);
            fs::write(output, photo)?;
        }
        let peak_kib = resident_kib("VmHWM:")?.saturating_sub(before);
        println!("{}", serde_json::to_string(&Measured { cpu_ms, peak_kib })?);
        Ok(())
    }

    fn run(self, input: &Path, bytes: usize) -> Result<Vec<u8>> {
        match self {
            Self::Campo => {
                let taken_at = OffsetDateTime::UNIX_EPOCH;
                let capture = Capture { position: None, taken_at, mocked: None };
                let budget = Budget { photo_bytes: bytes, ..Budget::default() };
                Ok(mobile_photo::prepare(input, &capture, &budget)?.photo)
            }
            Self::Image => {
                let picture = image::load_from_memory(&fs::read(input)?)?;
                let photo = picture.resize(EDGE, EDGE, FilterType::Lanczos3);
                let thumbnail = photo.resize(THUMBNAIL_EDGE, THUMBNAIL_EDGE, FilterType::Lanczos3);
                let mut out = Vec::new();
                thumbnail.write_with_encoder(JpegEncoder::new_with_quality(&mut out, QUALITY))?;
                out.clear();
                photo.write_with_encoder(JpegEncoder::new_with_quality(&mut out, QUALITY))?;
                Ok(out)
            }
            Self::Crates => {
                let (width, height, pixels) = decode_scaled(&fs::read(input)?)?;
                let photo = resized(width, height, &pixels, EDGE)?;
                drop(pixels);
                let thumbnail = resized(photo.0, photo.1, &photo.2, THUMBNAIL_EDGE)?;
                encoded(&thumbnail)?;
                encoded(&photo)
            }
            Self::DecodeZune => {
                Ok(image::load_from_memory(&fs::read(input)?)?.into_bytes()[..9].to_vec())
            }
            Self::DecodeScaled => Ok(decode_scaled(&fs::read(input)?)?.2[..9].to_vec()),
        }
    }
}

type Rgb = (u32, u32, Vec<u8>);

fn decode_scaled(bytes: &[u8]) -> Result<Rgb> {
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    let edge = u16::try_from(EDGE)?;
    let (width, height) = decoder.scale(edge, edge)?;
    Ok((u32::from(width), u32::from(height), decoder.decode()?))
}

fn resized(width: u32, height: u32, pixels: &[u8], edge: u32) -> Result<Rgb> {
    let longest = width.max(height);
    let (new_width, new_height) = (width * edge / longest, height * edge / longest);
    let source = TypedImageRef::<U8x3>::from_buffer(width, height, pixels)?;
    let mut small = vec![0; new_width as usize * new_height as usize * 3];
    let mut target = TypedImage::<U8x3>::from_buffer(new_width, new_height, &mut small)?;
    Resizer::new().resize_typed(&source, &mut target, None)?;
    Ok((new_width, new_height, small))
}

fn encoded((width, height, pixels): &Rgb) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder.encode(pixels, u16::try_from(*width)?, u16::try_from(*height)?, ColorType::Rgb)?;
    Ok(out)
}

/// CPU of this process so far, in seconds.
fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn resident_kib(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    Ok(kib.ok_or_else(|| format!("/proc/self/status has no {name}"))?.trim().parse()?)
}
