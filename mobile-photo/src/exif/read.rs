//! Reads a camera's block. Nothing in it can fail: cameras, editors and attackers write all kinds of
//! nonsense, and a photo is not lost for that. A directory is looked at once, from its start, at most
//! [`EXIF_ENTRIES_MAX`] entries of it, and only the tags that matter are followed, so no block costs
//! more than reading it.

use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

use super::*;
use crate::capture::{North, Position};
use crate::limits::{EXIF_BYTES_MAX, EXIF_ENTRIES_MAX};

/// Reads a block that begins with the TIFF header.
pub(crate) fn read(block: &[u8]) -> Tags {
    let block = &block[..block.len().min(EXIF_BYTES_MAX)];
    let little = match block.get(..4) {
        Some(b"II*\0") => true,
        Some(b"MM\0*") => false,
        _ => return Tags::default(),
    };
    let block = Block { bytes: block, little };
    let Some(first) = block.u32(4).map(|at| block.directory(at)) else { return Tags::default() };
    let child = |tag| {
        let at = first.number(tag);
        at.map(|at| block.directory(at)).unwrap_or(Directory { block, entries: &[] })
    };
    let (exif, gps) = (child(EXIF_IFD), child(GPS_IFD));
    let orientation = first.number(ORIENTATION).and_then(|value| u16::try_from(value).ok());
    Tags {
        orientation: orientation.map_or(Orientation::UPRIGHT, Orientation::from_exif),
        taken_at: taken_at(&exif),
        place: place(&gps),
        altitude: altitude(&gps),
        direction: direction(&gps),
        accuracy: gps.rational(ACCURACY, 0).filter(|metres| Position::is_accuracy(*metres)),
        mocked: gps.bytes(PROCESSING_METHOD).is_some_and(|method| method.starts_with(MOCKED)),
    }
}

fn taken_at(exif: &Directory<'_>) -> Option<TakenAt> {
    let original = (DATE_TIME_ORIGINAL, SUB_SEC_TIME_ORIGINAL, OFFSET_TIME_ORIGINAL);
    let digitized = (DATE_TIME_DIGITIZED, SUB_SEC_TIME_DIGITIZED, OFFSET_TIME_DIGITIZED);
    [original, digitized].into_iter().find_map(|(date_time, sub_sec, offset)| {
        let milliseconds = exif.text(sub_sec).and_then(milliseconds).unwrap_or(0);
        let local = local(exif.text(date_time)?, milliseconds)?;
        Some(TakenAt { local, offset: exif.text(offset).and_then(utc_offset) })
    })
}

/// `2026:11:25 07:30:05`. A camera whose clock was never set writes zeros or blanks.
fn local(text: &[u8], milliseconds: u16) -> Option<PrimitiveDateTime> {
    let number = |from, to| number(text.get(from..to)?);
    let is_separated = [(4, b":-/"), (7, b":-/")]
        .into_iter()
        .all(|(at, separators)| text.get(at).is_some_and(|byte| separators.contains(byte)));
    if !is_separated {
        return None;
    }
    let part = |from, to| number(from, to).and_then(|value| u8::try_from(value).ok());
    let month = Month::try_from(part(5, 7)?).ok()?;
    let year = i32::from(number(0, 4)?);
    let date = Date::from_calendar_date(year, month, part(8, 10)?).ok().filter(|_| year > 0)?;
    let time = Time::from_hms_milli(part(11, 13)?, part(14, 16)?, part(17, 19)?, milliseconds);
    Some(PrimitiveDateTime::new(date, time.ok()?))
}

/// Digits after a decimal point: `5` is half a second.
fn milliseconds(text: &[u8]) -> Option<u16> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count().min(3);
    let value = number(&text[..digits])?;
    Some(value * [1, 100, 10, 1][digits])
}

/// `+05:30`, `-03:00`, `Z`.
fn utc_offset(text: &[u8]) -> Option<UtcOffset> {
    if text == b"Z" {
        return Some(UtcOffset::UTC);
    }
    let sign = match text.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let part = |from, to| number(text.get(from..to)?).map(|value| sign * i32::from(value));
    let seconds = part(1, 3)? * 3600 + part(4, 6)? * 60;
    let minutes_are_right = part(4, 6)?.abs() < 60 && text[3] == b':';
    UtcOffset::from_whole_seconds(seconds).ok().filter(|_| minutes_are_right)
}

/// At most four digits and nothing else.
fn number(digits: &[u8]) -> Option<u16> {
    let are_digits =
        !digits.is_empty() && digits.len() <= 4 && digits.iter().all(u8::is_ascii_digit);
    are_digits.then(|| digits.iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0')))
}

/// Nothing where both are zero: that is what cameras write before they have found the sky.
fn place(gps: &Directory<'_>) -> Option<(f64, f64)> {
    let angle = |tag, sign_tag, negative| {
        let part = |number, unit: f64| gps.rational(tag, number).map(|value| value / unit);
        let minutes = part(1, 60.0).unwrap_or(0.0);
        let seconds = part(2, 3600.0).unwrap_or(0.0);
        let sign = match gps.text(sign_tag)?.first()?.to_ascii_uppercase() {
            letter if letter == negative => -1.0,
            b'N' | b'E' => 1.0,
            _ => return None,
        };
        Some(sign * (part(0, 1.0)? + minutes + seconds))
    };
    let place = (angle(LATITUDE, LATITUDE_REF, b'S')?, angle(LONGITUDE, LONGITUDE_REF, b'W')?);
    Some(place)
        .filter(|(lat, lon)| Position::is_on_earth(*lat, *lon) && (*lat != 0.0 || *lon != 0.0))
}

fn altitude(gps: &Directory<'_>) -> Option<f64> {
    let above = gps.rational(ALTITUDE, 0)?;
    // 0 and 2 are above the sea or the ellipsoid, 1 and 3 below it.
    let is_below =
        gps.bytes(ALTITUDE_REF).and_then(|sign| sign.first()).is_some_and(|s| s % 2 == 1);
    let altitude = if is_below { -above } else { above };
    Some(altitude).filter(|metres| Position::is_altitude(*metres))
}

fn direction(gps: &Directory<'_>) -> Option<Direction> {
    let degrees = gps.rational(DIRECTION, 0).map(|d| if d == 360.0 { 0.0 } else { d })?;
    let is_magnetic = gps.text(DIRECTION_REF).is_some_and(|north| north.eq_ignore_ascii_case(b"M"));
    let north = if is_magnetic { North::Magnetic } else { North::True };
    Some(Direction { degrees, north }).filter(|_| Direction::is_angle(degrees))
}

/// The bytes and their order.
#[derive(Debug, Clone, Copy)]
struct Block<'b> {
    bytes: &'b [u8],
    little: bool,
}

/// One directory's entries, as they are.
#[derive(Debug, Clone, Copy)]
struct Directory<'b> {
    block: Block<'b>,
    entries: &'b [u8],
}

impl<'b> Block<'b> {
    fn u16(self, at: usize) -> Option<u16> {
        let two = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.little { u16::from_le_bytes(two) } else { u16::from_be_bytes(two) })
    }

    fn u32(self, at: usize) -> Option<u32> {
        let four = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    }

    /// As many entries as there are, of those that it claims.
    fn directory(self, at: u32) -> Directory<'b> {
        let start = at as usize;
        let claimed = self.u16(start).map_or(0, usize::from).min(EXIF_ENTRIES_MAX) * 12;
        let rest = self.bytes.get(start.saturating_add(2)..).unwrap_or_default();
        Directory { block: self, entries: &rest[..claimed.min(rest.len())] }
    }
}

impl<'b> Directory<'b> {
    /// Type and value of a tag's first entry.
    fn find(&self, tag: u16) -> Option<(u16, &'b [u8])> {
        let (entry, _) = self.entries.as_chunks::<12>();
        let entry = entry.iter().find(|entry| {
            Block { bytes: entry.as_slice(), little: self.block.little }.u16(0) == Some(tag)
        })?;
        let parts = Block { bytes: entry.as_slice(), little: self.block.little };
        let (kind, count) = (parts.u16(2)?, parts.u32(4)? as usize);
        let unit = match kind {
            BYTE | ASCII | UNDEFINED => 1,
            SHORT => 2,
            LONG => 4,
            RATIONAL => 8,
            _ => return None,
        };
        let length = count.checked_mul(unit)?;
        if length <= 4 {
            return Some((kind, &entry[8..8 + length]));
        }
        let start = parts.u32(8)? as usize;
        Some((kind, self.block.bytes.get(start..start.checked_add(length)?)?))
    }

    fn number(&self, tag: u16) -> Option<u32> {
        let (kind, value) = self.find(tag)?;
        let value = Block { bytes: value, little: self.block.little };
        match kind {
            SHORT => value.u16(0).map(u32::from),
            LONG => value.u32(0),
            _ => None,
        }
    }

    /// The nth rational; none where it divides by zero.
    fn rational(&self, tag: u16, index: usize) -> Option<f64> {
        let (kind, value) = self.find(tag)?;
        let value = Block { bytes: value, little: self.block.little };
        let (over, under) = (value.u32(index * 8)?, value.u32(index * 8 + 4)?);
        (kind == RATIONAL && under != 0).then(|| f64::from(over) / f64::from(under))
    }

    /// Text up to its end, without blanks around it.
    fn text(&self, tag: u16) -> Option<&'b [u8]> {
        let (kind, value) = self.find(tag)?;
        let text = value.split(|byte| *byte == 0).next()?;
        (kind == ASCII).then(|| text.trim_ascii())
    }

    fn bytes(&self, tag: u16) -> Option<&'b [u8]> {
        let (kind, value) = self.find(tag)?;
        matches!(kind, BYTE | UNDEFINED).then_some(value)
    }
}
