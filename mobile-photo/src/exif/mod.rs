//! The few tags that matter: read from a camera's block, written into a new one.
//!
//! A block is a TIFF file: a header, then directories (IFD) of entries of 12 bytes (tag, type, count,
//! value or where it is). The first one names two more, for Exif and for GPS. Source: CIPA DC-008
//! (Exif 2.32), TIFF 6.0.

mod read;
mod write;

pub(crate) use read::read;
pub(crate) use write::{stored, write};

use crate::capture::{Direction, TakenAt};
use crate::picture::Orientation;

/// In the first directory.
const ORIENTATION: u16 = 0x0112;
const EXIF_IFD: u16 = 0x8769;
const GPS_IFD: u16 = 0x8825;
/// In Exif's.
const EXIF_VERSION: u16 = 0x9000;
const DATE_TIME_ORIGINAL: u16 = 0x9003;
const DATE_TIME_DIGITIZED: u16 = 0x9004;
const OFFSET_TIME_ORIGINAL: u16 = 0x9011;
const OFFSET_TIME_DIGITIZED: u16 = 0x9012;
const SUB_SEC_TIME_ORIGINAL: u16 = 0x9291;
const SUB_SEC_TIME_DIGITIZED: u16 = 0x9292;
/// In GPS's.
const GPS_VERSION: u16 = 0x0000;
const LATITUDE_REF: u16 = 0x0001;
const LATITUDE: u16 = 0x0002;
const LONGITUDE_REF: u16 = 0x0003;
const LONGITUDE: u16 = 0x0004;
const ALTITUDE_REF: u16 = 0x0005;
const ALTITUDE: u16 = 0x0006;
const DIRECTION_REF: u16 = 0x0010;
const DIRECTION: u16 = 0x0011;
const PROCESSING_METHOD: u16 = 0x001B;
const ACCURACY: u16 = 0x001F;

/// Types of values.
const BYTE: u16 = 1;
const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;
const UNDEFINED: u16 = 7;

/// GPSProcessingMethod of a location that was made up: an eight-byte name of the character set, and the word.
const MOCKED: &[u8] = b"ASCII\0\0\0MOCKED";

/// What a camera wrote. What makes no sense is as if it had not been written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tags {
    pub(crate) orientation: Orientation,
    pub(crate) taken_at: Option<TakenAt>,
    /// Latitude and longitude.
    pub(crate) place: Option<(f64, f64)>,
    pub(crate) altitude: Option<f64>,
    pub(crate) direction: Option<Direction>,
    pub(crate) accuracy: Option<f64>,
    /// Says itself that its location was made up.
    pub(crate) mocked: bool,
}

impl Default for Tags {
    fn default() -> Self {
        Self {
            orientation: Orientation::UPRIGHT,
            taken_at: None,
            place: None,
            altitude: None,
            direction: None,
            accuracy: None,
            mocked: false,
        }
    }
}
