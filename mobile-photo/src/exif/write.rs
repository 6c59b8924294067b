//! Writes a block of the tags that stay, and no other: no Orientation, because the picture stands
//! upright, and no maker, model, serial number, software or thumbnail.

use super::*;
use crate::capture::{North, Position};

/// How fine a part is written: a millionth of a second of arc is 30 µm on the ground.
const SECONDS_UNDER: u32 = 1_000_000;
/// Altitude and accuracy to the millimetre.
const METRES_UNDER: u32 = 1_000;
/// Directions to a thousandth of a degree.
const DEGREES_UNDER: u32 = 1_000;

/// A position as it will be read from what is written: no two readers of a photo differ about it.
pub(crate) fn stored(position: &Position) -> Position {
    let block = write(None, Some(position), false);
    let tags = read(&block);
    let (lat, lon) = tags.place.unwrap_or((position.lat, position.lon));
    let (altitude, direction, accuracy) = (tags.altitude, tags.direction, tags.accuracy);
    Position { lat, lon, altitude, direction, accuracy }
}

/// Writes a block that begins with the TIFF header.
pub(crate) fn write(
    taken_at: Option<&TakenAt>,
    position: Option<&Position>,
    is_mocked: bool,
) -> Vec<u8> {
    let mut exif = vec![Entry::new(EXIF_VERSION, UNDEFINED, b"0232".to_vec())];
    // EXIF has no years before the first.
    if let Some(taken_at) = taken_at.filter(|taken_at| taken_at.local.year() > 0) {
        exif.extend(date(taken_at));
    }
    let mut gps = Vec::new();
    if position.is_some() || is_mocked {
        gps.push(Entry::new(GPS_VERSION, BYTE, vec![2, 3, 0, 0]));
    }
    if let Some(position) = position {
        gps.extend(place(position));
    }
    if is_mocked {
        gps.push(Entry::new(PROCESSING_METHOD, UNDEFINED, MOCKED.to_vec()));
    }
    // Entries stand in the order of their tags.
    gps.sort_by_key(|entry| entry.tag);
    exif.sort_by_key(|entry| entry.tag);

    let mut first = vec![EXIF_IFD];
    first.extend((!gps.is_empty()).then_some(GPS_IFD));
    let exif_at = HEADER_BYTES + directory_bytes(first.len());
    let exif = directory(&exif, exif_at);
    let gps_at = exif_at + exif.len();
    let gps = if gps.is_empty() { Vec::new() } else { directory(&gps, gps_at) };
    let children: Vec<Entry> = first
        .iter()
        .zip([exif_at, gps_at])
        .map(|(tag, at)| Entry::new(*tag, LONG, (at as u32).to_be_bytes().to_vec()))
        .collect();
    let header = b"MM\0*\0\0\0\x08".to_vec();
    [header, directory(&children, HEADER_BYTES), exif, gps].concat()
}

fn date(taken_at: &TakenAt) -> Vec<Entry> {
    let (date, time) = (taken_at.local.date(), taken_at.local.time());
    let date = format!("{:04}:{:02}:{:02}", date.year(), u8::from(date.month()), date.day());
    let time_text = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    let mut entries = vec![Entry::text(DATE_TIME_ORIGINAL, &format!("{date} {time_text}"))];
    if time.millisecond() != 0 {
        let digits = format!("{:03}", time.millisecond());
        entries.push(Entry::text(SUB_SEC_TIME_ORIGINAL, &digits));
    }
    if let Some(offset) = taken_at.offset {
        let sign = if offset.is_negative() { '-' } else { '+' };
        let (hours, minutes, _) = offset.as_hms();
        let text = format!("{sign}{:02}:{:02}", hours.unsigned_abs(), minutes.unsigned_abs());
        entries.push(Entry::text(OFFSET_TIME_ORIGINAL, &text));
    }
    entries
}

fn place(position: &Position) -> Vec<Entry> {
    let sign = |value: f64, plus, minus| if value < 0.0 { minus } else { plus };
    let mut entries = vec![
        Entry::text(LATITUDE_REF, sign(position.lat, "N", "S")),
        Entry::rationals(LATITUDE, &angle(position.lat.abs())),
        Entry::text(LONGITUDE_REF, sign(position.lon, "E", "W")),
        Entry::rationals(LONGITUDE, &angle(position.lon.abs())),
    ];
    if let Some(metres) = position.altitude {
        entries.push(Entry::new(ALTITUDE_REF, BYTE, vec![u8::from(metres < 0.0)]));
        entries
            .push(Entry::rationals(ALTITUDE, &[(parts(metres.abs(), METRES_UNDER), METRES_UNDER)]));
    }
    if let Some(direction) = position.direction {
        let north = if direction.north == North::Magnetic { "M" } else { "T" };
        // 359.9999 is not written as 360, which is no angle of a compass.
        let degrees = parts(direction.degrees, DEGREES_UNDER) % (360 * DEGREES_UNDER);
        entries.push(Entry::text(DIRECTION_REF, north));
        entries.push(Entry::rationals(DIRECTION, &[(degrees, DEGREES_UNDER)]));
    }
    if let Some(metres) = position.accuracy {
        entries.push(Entry::rationals(ACCURACY, &[(parts(metres, METRES_UNDER), METRES_UNDER)]));
    }
    entries
}

/// Degrees, minutes and seconds.
fn angle(degrees: f64) -> [(u32, u32); 3] {
    let seconds_each = u64::from(SECONDS_UNDER);
    let all = (degrees * 3600.0 * f64::from(SECONDS_UNDER)).round() as u64;
    let whole = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    [
        (whole(all / (3600 * seconds_each)), 1),
        (whole(all / (60 * seconds_each) % 60), 1),
        (whole(all % (60 * seconds_each)), SECONDS_UNDER),
    ]
}

/// A checked number in parts of one.
fn parts(value: f64, under: u32) -> u32 {
    (value * f64::from(under)).round() as u32
}

const HEADER_BYTES: usize = 8;

/// One entry with its value, in big-endian order.
struct Entry {
    tag: u16,
    kind: u16,
    count: u32,
    value: Vec<u8>,
}

impl Entry {
    fn new(tag: u16, kind: u16, value: Vec<u8>) -> Self {
        let unit = match kind {
            LONG => 4,
            RATIONAL => 8,
            _ => 1,
        };
        Self { tag, kind, count: (value.len() / unit) as u32, value }
    }

    fn text(tag: u16, text: &str) -> Self {
        Self::new(tag, ASCII, [text.as_bytes(), b"\0"].concat())
    }

    fn rationals(tag: u16, values: &[(u32, u32)]) -> Self {
        let bytes =
            values.iter().flat_map(|(over, under)| [over.to_be_bytes(), under.to_be_bytes()]);
        Self::new(tag, RATIONAL, bytes.flatten().collect())
    }
}

/// Count, entries, and where the next directory is: nowhere.
fn directory_bytes(entries: usize) -> usize {
    2 + entries * 12 + 4
}

/// A directory that begins at `at`, followed by the values that do not fit into their entries.
fn directory(entries: &[Entry], at: usize) -> Vec<u8> {
    let mut bytes = (entries.len() as u16).to_be_bytes().to_vec();
    let mut values = Vec::new();
    for entry in entries {
        bytes.extend(entry.tag.to_be_bytes());
        bytes.extend(entry.kind.to_be_bytes());
        bytes.extend(entry.count.to_be_bytes());
        if entry.value.len() <= 4 {
            let mut value = [0; 4];
            value[..entry.value.len()].copy_from_slice(&entry.value);
            bytes.extend(value);
        } else {
            let value_at = at + directory_bytes(entries.len()) + values.len();
            bytes.extend((value_at as u32).to_be_bytes());
            values.extend(&entry.value);
            // Values begin at even places.
            values.resize(values.len().next_multiple_of(2), 0);
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(values);
    bytes
}
