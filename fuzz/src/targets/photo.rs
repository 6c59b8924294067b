//! Photos: whatever the bytes are, they become two small JPEGs or get a documented refusal.

use mobile_photo::{Budget, Capture, PhotoError, Position, Prepared, Treatment};
use time::OffsetDateTime;

use crate::{Target, memory};

/// The target.
pub(super) const TARGET: Target = Target { name: "photo", input_bytes_max: 4096, run };

/// What bytes alone can be refused for.
const REFUSALS: &[&str] = &[
    "photo_damaged",
    "photo_empty",
    "photo_too_large",
    "photo_truncated",
    "photo_unsupported_coding",
    "photo_unsupported_format",
    "photo_unsupported_heic",
];
/// A picture that is decoded as a whole, and its planes (`mobile_photo::limits::WHOLE_PIXELS_MAX`).
const BYTES_MAX: usize = 320 << 20;
/// Small, so that decoding at a part of the size occurs.
const BUDGET: Budget =
    Budget { photo_bytes: 20_000, photo_edge: 24, thumbnail_bytes: 8_000, thumbnail_edge: 8 };

fn run(input: &[u8]) {
    match memory::at_most(BYTES_MAX, || prepare(input)) {
        Ok(prepared) => {
            assert!(prepared.photo.len() <= BUDGET.photo_bytes, "{} bytes", prepared.photo.len());
            assert!(
                prepared.thumbnail.len() <= BUDGET.thumbnail_bytes,
                "the thumbnail is too long"
            );
            assert!(prepared.width.max(prepared.height) <= BUDGET.photo_edge, "it is too large");
            is_prepared(&prepared);
        }
        Err(error) => {
            assert!(REFUSALS.contains(&error.code()), "{} is not documented", error.code());
            assert!(error.to_string().contains(": "), "no remedy: {error}");
        }
    }
}

/// Preparing it again changes nothing.
fn is_prepared(prepared: &Prepared) {
    match prepare(&prepared.photo) {
        Ok(again) => {
            assert_eq!(again.treatment, Treatment::Kept, "what was prepared is encoded again");
            assert_eq!(again.photo, prepared.photo, "what was prepared changes");
            assert_eq!(again.position, prepared.position, "the position changes");
        }
        Err(error) => panic!("what was prepared is refused: {error}"),
    }
}

fn prepare(input: &[u8]) -> Result<Prepared, PhotoError> {
    let (altitude, direction, accuracy) = (None, None, Some(5.0));
    let position = Some(Position { lat: -12.05, lon: -77.04, altitude, direction, accuracy });
    let capture = Capture { position, taken_at: OffsetDateTime::UNIX_EPOCH, mocked: Some(false) };
    mobile_photo::prepare(input, &capture, &BUDGET)
}
