//! What is known about a photo: the camera's word first, the app's where the camera wrote none.

use crate::capture::{Capture, Direction, Origin, Origins, Position, TakenAt};
use crate::exif::{self, Tags};

/// What will be written.
pub(crate) struct Facts {
    pub(crate) taken_at: TakenAt,
    pub(crate) position: Option<Position>,
    pub(crate) mocked: Option<bool>,
    pub(crate) origins: Origins,
}

impl Facts {
    /// Puts both together. Accuracy stays with its position: the device's circle around the camera's
    /// point would be made up. Altitude and direction stand for themselves, but not without a place.
    pub(crate) fn of(tags: &Tags, capture: &Capture) -> Self {
        let given = capture.position;
        let (place, place_origin) = first(tags.place, given.map(|given| (given.lat, given.lon)));
        let accuracy = match place_origin {
            Some(Origin::Camera) => tags.accuracy,
            _ => given.and_then(|given| given.accuracy),
        };
        let (altitude, altitude_origin) =
            first(tags.altitude, given.and_then(|given| given.altitude));
        let (direction, direction_origin): (Option<Direction>, _) =
            first(tags.direction, given.and_then(|given| given.direction));
        let (taken_at, taken_at_origin) =
            first(tags.taken_at, Some(TakenAt::from(capture.taken_at)));
        let position = place.map(|(lat, lon)| Position { lat, lon, altitude, direction, accuracy });
        let with_place = |origin: Option<Origin>| origin.filter(|_| position.is_some());
        Self {
            taken_at: taken_at.unwrap_or_else(|| TakenAt::from(capture.taken_at)),
            position: position.as_ref().map(exif::stored),
            mocked: if tags.mocked { Some(true) } else { capture.mocked },
            origins: Origins {
                taken_at: taken_at_origin.unwrap_or(Origin::Capture),
                position: place_origin,
                altitude: with_place(altitude_origin),
                direction: with_place(direction_origin),
            },
        }
    }

    /// As an EXIF block.
    pub(crate) fn exif(&self) -> Vec<u8> {
        exif::write(Some(&self.taken_at), self.position.as_ref(), self.mocked == Some(true))
    }
}

fn first<T>(camera: Option<T>, capture: Option<T>) -> (Option<T>, Option<Origin>) {
    match (camera, capture) {
        (Some(camera), _) => (Some(camera), Some(Origin::Camera)),
        (None, Some(capture)) => (Some(capture), Some(Origin::Capture)),
        (None, None) => (None, None),
    }
}
