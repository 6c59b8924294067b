//! Pictures that phones take: real JPEGs, small ones, each with bytes of its own.

use std::sync::OnceLock;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use mobile_core::photos::{Origin, Origins, Position, Prepared, TakenAt, Treatment};
use sha2::{Digest as _, Sha256};
use time::macros::datetime;
use time::{Duration, PrimitiveDateTime};

use crate::rng::Rng;

/// Pixels along each edge.
const EDGE: u32 = 8;
/// Most bytes of a comment besides its own length, which is counted with it.
const COMMENT_BYTES_MAX: usize = 60_000;
/// Fewest bytes that a picture has beyond the plain one: a comment with a few bytes.
const OWN_BYTES_MIN: usize = 12;

/// A grey square, encoded once for the process.
fn plain() -> &'static [u8] {
    static PLAIN: OnceLock<Vec<u8>> = OnceLock::new();
    PLAIN.get_or_init(|| {
        let mut bytes = Vec::new();
        let grey = [0x80; (EDGE * EDGE) as usize];
        JpegEncoder::new(&mut bytes)
            .write_image(&grey, EDGE, EDGE, ExtendedColorType::L8)
            .expect("a grey square is a picture");
        bytes
    })
}

/// A picture of exactly so many bytes, or of a few more than there have to be. No two are alike.
#[must_use]
pub fn of_length(rng: &mut Rng, bytes: usize) -> Vec<u8> {
    let plain = plain();
    let mut own = bytes.saturating_sub(plain.len()).max(OWN_BYTES_MIN);
    // Comments stand behind the first two bytes, which say that this is a JPEG.
    let mut picture = plain[..2].to_vec();
    while own > 0 {
        // Of two that are left the last would be too short.
        let whole = if own > COMMENT_BYTES_MAX { COMMENT_BYTES_MAX / 2 } else { own };
        let length = u16::try_from(whole - 2).expect("it is short enough");
        picture.extend([0xff, 0xfe]);
        picture.extend(length.to_be_bytes());
        let content = (0..whole - 4).map(|_| rng.draw().to_le_bytes()[0]);
        picture.extend(content);
        own -= whole;
    }
    picture.extend(&plain[2..]);
    picture
}

/// A photo as it is when it is ready to be attached. Its time and place may make no sense.
#[must_use]
pub fn taken(rng: &mut Rng, now_us: i64) -> Prepared {
    let largest = [0, 500, 2_000, 9_000][rng.below(4)];
    let least = plain().len() + OWN_BYTES_MIN;
    let (large, small) = (least + rng.below(largest + 1), least + rng.below(300));
    let (photo, thumbnail) = (of_length(rng, large), of_length(rng, small));
    let off_s = if rng.percent(20) { rng.between(-100_000, 100_000) } else { 0 };
    let position = rng.percent(60).then(|| Position {
        lat: 19.0 + f64::from(u8::try_from(rng.below(100)).unwrap_or(0)) / 128.0,
        lon: -99.0,
        altitude: None,
        direction: None,
        accuracy: rng.percent(50).then_some(8.0),
    });
    Prepared {
        sha256: Sha256::digest(&photo).into(),
        thumbnail_sha256: Sha256::digest(&thumbnail).into(),
        photo,
        thumbnail,
        width: EDGE,
        height: EDGE,
        taken_at: TakenAt { local: at(now_us) + Duration::seconds(off_s), offset: None },
        position,
        mocked: rng.percent(30).then(|| rng.percent(50)),
        origins: Origins {
            taken_at: Origin::Camera,
            position: position.map(|_| Origin::Capture),
            altitude: None,
            direction: None,
        },
        treatment: Treatment::Kept,
    }
}

fn at(now_us: i64) -> PrimitiveDateTime {
    datetime!(1970-01-01 00:00) + Duration::milliseconds(now_us / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_the_length_that_is_asked_for_and_can_be_decoded() {
        let mut rng = Rng::new(1);
        let least = plain().len() + OWN_BYTES_MIN;
        for bytes in [least, least + 1, least + 500, 60_500, 61_000, 200_000] {
            let picture = of_length(&mut rng, bytes);
            assert_eq!(picture.len(), bytes);
            let decoded = image::load_from_memory(&picture).expect("a picture");
            assert_eq!((decoded.width(), decoded.height()), (EDGE, EDGE));
        }
        assert_ne!(of_length(&mut rng, least), of_length(&mut rng, least));
    }
}
