//! What the app knows about a photo, what it may cost, and what comes out.

use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use crate::error::PhotoError;

/// What the app knew at the moment of the photo. The camera's own word counts more, where it wrote one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capture {
    /// The device's position, if it had one.
    pub position: Option<Position>,
    /// The device's time, in the zone of the place.
    pub taken_at: OffsetDateTime,
    /// Whether the system said that the location was made up by another app; `None` if it does not say.
    pub mocked: Option<bool>,
}

/// A place on the earth (WGS 84), and where the camera looked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// Degrees north of the equator, −90 to 90.
    pub lat: f64,
    /// Degrees east of Greenwich, −180 to 180.
    pub lon: f64,
    /// Metres above the sea, −20,000 to 100,000.
    pub altitude: Option<f64>,
    /// Where the camera looked.
    pub direction: Option<Direction>,
    /// Radius in metres in which the place is, 0 to 1,000,000.
    pub accuracy: Option<f64>,
}

/// Where the camera looked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Direction {
    /// Degrees clockwise from north, 0 up to 360.
    pub degrees: f64,
    /// Which north.
    pub north: North,
}

/// What a compass points to, or a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum North {
    /// The map's.
    True,
    /// The compass's.
    Magnetic,
}

/// When a photo was taken, as EXIF knows it: the time that clocks on the spot showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenAt {
    /// Date and time on the spot, to the millisecond.
    pub local: PrimitiveDateTime,
    /// Its distance from UTC. Older cameras do not write it; then nobody can say which moment it was.
    pub offset: Option<UtcOffset>,
}

impl TakenAt {
    /// The moment, in microseconds since 1970 UTC, where the zone is known.
    #[must_use]
    pub fn unix_us(&self) -> Option<i64> {
        let moment = self.local.assume_offset(self.offset?);
        i64::try_from(moment.unix_timestamp_nanos() / 1000).ok()
    }
}

impl From<OffsetDateTime> for TakenAt {
    /// To the millisecond, and the zone to the minute: EXIF has no finer.
    fn from(moment: OffsetDateTime) -> Self {
        let minutes = moment.offset().whole_minutes();
        let offset =
            UtcOffset::from_whole_seconds(i32::from(minutes) * 60).unwrap_or(UtcOffset::UTC);
        let moment = moment.checked_to_offset(offset).unwrap_or(moment);
        let whole = moment.replace_millisecond(moment.millisecond()).unwrap_or(moment);
        Self {
            local: PrimitiveDateTime::new(whole.date(), whole.time()),
            offset: Some(whole.offset()),
        }
    }
}

/// What a photo may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Most bytes of the photo, with its metadata.
    pub photo_bytes: usize,
    /// Most pixels of its longer edge.
    pub photo_edge: u32,
    /// Most bytes of the thumbnail.
    pub thumbnail_bytes: usize,
    /// Most pixels of its longer edge.
    pub thumbnail_edge: u32,
}

impl Default for Budget {
    /// 300 KiB and 1600 pixels; 20 KiB and 320 pixels.
    fn default() -> Self {
        Self {
            photo_bytes: 300 * 1024,
            photo_edge: 1600,
            thumbnail_bytes: 20 * 1024,
            thumbnail_edge: 320,
        }
    }
}

/// A photo that is ready to go. Both pictures are JPEGs that stand upright.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The photo, with date and position and no other metadata.
    pub photo: Vec<u8>,
    /// A small picture of it, without any metadata.
    pub thumbnail: Vec<u8>,
    /// Pixels across, of `photo`.
    pub width: u32,
    /// Pixels down, of `photo`.
    pub height: u32,
    /// SHA-256 of `photo`.
    pub sha256: [u8; 32],
    /// SHA-256 of `thumbnail`.
    pub thumbnail_sha256: [u8; 32],
    /// When it was taken, as it is written in `photo`.
    pub taken_at: TakenAt,
    /// Where it was taken, exactly as whoever reads `photo` will find it.
    pub position: Option<Position>,
    /// Whether the location was made up. Only `Some(true)` is written in `photo`.
    pub mocked: Option<bool>,
    /// Where date and position are from.
    pub origins: Origins,
    /// How the picture came about.
    pub treatment: Treatment,
}

/// Where each part of what is known is from; `None` where nobody knew it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origins {
    /// Date and time.
    pub taken_at: Origin,
    /// Latitude and longitude, and the accuracy, which belongs to them.
    pub position: Option<Origin>,
    /// Altitude.
    pub altitude: Option<Origin>,
    /// Direction.
    pub direction: Option<Origin>,
}

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The camera, in the input: kept.
    Camera,
    /// The app, in [`Capture`]: filled in.
    Capture,
}

/// How the picture came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// It fitted: the picture is the camera's, byte by byte, and only the metadata was written anew.
    Kept,
    /// It was decoded and encoded again.
    Encoded {
        /// Of 100, as libjpeg counts.
        quality: u8,
        /// How many qualities were tried to find that.
        tries: usize,
    },
}

/// Farthest below the sea that is believed, in metres.
const ALTITUDE_MIN_M: f64 = -20_000.0;
/// Farthest above it.
const ALTITUDE_MAX_M: f64 = 100_000.0;
/// Largest accuracy that is believed, in metres.
const ACCURACY_MAX_M: f64 = 1_000_000.0;

impl Position {
    /// Whether latitude and longitude are on the earth.
    pub(crate) fn is_on_earth(lat: f64, lon: f64) -> bool {
        (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon)
    }

    /// Whether an altitude is one.
    pub(crate) fn is_altitude(metres: f64) -> bool {
        (ALTITUDE_MIN_M..=ALTITUDE_MAX_M).contains(&metres)
    }

    /// Whether an accuracy is one.
    pub(crate) fn is_accuracy(metres: f64) -> bool {
        (0.0..=ACCURACY_MAX_M).contains(&metres)
    }

    /// Checks what an app gave.
    ///
    /// # Errors
    /// [`PhotoError::PositionInvalid`] names the part.
    pub(crate) fn check(&self) -> Result<(), PhotoError> {
        let wrong = |what| Err(PhotoError::PositionInvalid(what));
        if !Self::is_on_earth(self.lat, self.lon) {
            return wrong("that latitude and longitude");
        }
        if self.altitude.is_some_and(|metres| !Self::is_altitude(metres)) {
            return wrong("that altitude");
        }
        if self.accuracy.is_some_and(|metres| !Self::is_accuracy(metres)) {
            return wrong("that accuracy");
        }
        if self.direction.is_some_and(|direction| !Direction::is_angle(direction.degrees)) {
            return wrong("that direction");
        }
        Ok(())
    }
}

impl Direction {
    /// Whether it is an angle of a compass.
    pub(crate) fn is_angle(degrees: f64) -> bool {
        (0.0..360.0).contains(&degrees)
    }
}
