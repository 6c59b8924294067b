//! Writes a JPEG's metadata anew and leaves the picture as it is, byte by byte.

use super::*;

/// Says YCbCr or grey, square pixels, no thumbnail.
const JFIF: &[u8] = b"\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
const EXIF_NAME: &[u8] = b"Exif\0\0";

/// How a JPEG of ours begins: JFIF's header, and the given EXIF block unless it is empty.
pub(crate) fn head(exif: &[u8]) -> Vec<u8> {
    let mut head = vec![0xFF, SOI];
    head.extend(JFIF);
    if !exif.is_empty() {
        // A block of our own has a few hundred bytes.
        let length = u16::try_from(exif.len() + EXIF_NAME.len() + 2).unwrap_or(u16::MAX);
        head.extend([0xFF, APP1]);
        head.extend(length.to_be_bytes());
        head.extend(EXIF_NAME);
        head.extend(exif);
    }
    head
}

/// The same picture with [`head`] and no other metadata: no other application's segment, no comment,
/// nothing behind the end.
pub(crate) fn with_metadata(jpeg: &Jpeg<'_>, exif: &[u8]) -> Vec<u8> {
    let mut out = head(exif);
    out.reserve(jpeg.bytes.len());
    for part in &jpeg.parts {
        match part {
            Part::Segment { marker, content } if is_picture(*marker) => {
                let length = u16::try_from(content.len() + 2).unwrap_or(u16::MAX);
                out.extend([0xFF, *marker]);
                out.extend(length.to_be_bytes());
                let begins = out.len();
                out.extend(&jpeg.bytes[content.clone()]);
                if *marker == SOS && !jpeg.frame.is_progressive {
                    mend_range(&mut out[begins..]);
                }
            }
            Part::Segment { .. } => {}
            Part::Scan(range) => out.extend(&jpeg.bytes[range.clone()]),
        }
    }
    out.extend([0xFF, EOI]);
    out
}

/// The range of coefficients at the end of a sequential scan's header. Some encoders write nonsense there: it can
/// mean only one thing, and is read as that, but not by every decoder that the photo will meet.
fn mend_range(header: &mut [u8]) {
    if let Some(range) = header.last_chunk_mut() {
        *range = ALL_COEFFICIENTS;
    }
}

/// From the first coefficient to the last, at once.
const ALL_COEFFICIENTS: [u8; 3] = [0, 63, 0];

/// Whether a decoder needs it.
fn is_picture(marker: u8) -> bool {
    matches!(marker, SOS | DQT | DHT | DRI | SOF_BASELINE | SOF_EXTENDED | SOF_PROGRESSIVE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a decoder needs, with the content of each part.
    fn picture<'b>(jpeg: &Jpeg<'b>) -> Vec<(u8, &'b [u8])> {
        let part = |part: &Part| match part {
            // Without the range, which is mended.
            Part::Segment { marker: SOS, content } if !jpeg.frame.is_progressive => {
                (SOS, &jpeg.bytes[content.start..content.end.saturating_sub(3).max(content.start)])
            }
            Part::Segment { marker, content } => (*marker, &jpeg.bytes[content.clone()]),
            Part::Scan(range) => (0, &jpeg.bytes[range.clone()]),
        };
        jpeg.parts
            .iter()
            .map(part)
            .filter(|(marker, _)| *marker == 0 || is_picture(*marker))
            .collect()
    }

    fn survives(bytes: &[u8]) {
        let Ok(jpeg) = Jpeg::read(bytes) else { return };
        let written = with_metadata(&jpeg, b"MM\0*\0\0\0\x08\0\0\0\0\0\0");
        let again = Jpeg::read(&written).expect("what was written can be read");
        assert_eq!(picture(&again), picture(&jpeg));
        assert!(again.exif.is_some() && again.profile.is_empty() && again.adobe.is_none());
    }

    /// One segment, scan or piece of garbage.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let content = prop::collection::vec(any::<u8>(), 0..40);
        let segment = (0xC0u8..=0xFE, content.clone()).prop_map(|(marker, content)| {
            let length = (content.len() as u16 + 2).to_be_bytes();
            [&[0xFF, marker], length.as_slice(), &content].concat()
        });
        let frame = (1u8..5, 1u8..5, any::<bool>()).prop_map(|(width, height, is_progressive)| {
            let marker = if is_progressive { SOF_PROGRESSIVE } else { SOF_BASELINE };
            vec![0xFF, marker, 0, 11, 8, 0, height, 0, width, 1, 1, 0x11, 0]
        });
        prop_oneof![4 => segment, 2 => frame, 1 => content]
    }

    proptest! {
        #[test]
        fn any_order_of_segments_is_refused_or_keeps_its_picture(
            pieces in prop::collection::vec(piece(), 0..12),
            is_ended in any::<bool>(),
        ) {
            let end: &[u8] = if is_ended { &[0xFF, EOI] } else { &[] };
            survives(&[&[0xFF, SOI], pieces.concat().as_slice(), end].concat());
        }

        #[test]
        fn garbage_is_refused_or_keeps_its_picture(garbage in prop::collection::vec(any::<u8>(), 0..300)) {
            survives(&[&[0xFF, SOI], garbage.as_slice()].concat());
        }
    }
}
