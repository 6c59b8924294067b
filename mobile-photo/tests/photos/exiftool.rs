//! exiftool (Debian: libimage-exiftool-perl), which has seen more photos than anybody, agrees. `cargo xtask test` installs
//! it where it may; without it these tests say so and pass.

use std::process::Command;

use exif::Tag;
use mobile_photo::{Budget, Capture};

use super::inputs::*;

/// What exiftool says about a JPEG: group and tag with its value in numbers. None if it is not there.
fn told(jpeg: &[u8]) -> Option<Vec<(String, String)>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    std::fs::write(&path, jpeg).unwrap();
    let output = Command::new("exiftool").args(["-a", "-G1", "-n", "-s"]).arg(&path).output();
    let Ok(output) = output else {
        eprintln!("exiftool is not installed: not asked (apt-get install libimage-exiftool-perl)");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        Some((name.split_whitespace().collect::<Vec<_>>().join(" "), value.trim().to_owned()))
    };
    Some(text.lines().filter_map(line).collect())
}

fn value<'t>(told: &'t [(String, String)], name: &str) -> &'t str {
    let found = told.iter().find(|(tag, _)| tag == name);
    &found.unwrap_or_else(|| panic!("exiftool sees no {name}: {told:?}")).1
}

/// Groups that a prepared photo may have.
fn only_what_stays(told: &[(String, String)]) {
    for (tag, _) in told {
        let group = tag.split(['[', ']']).nth(1).unwrap();
        assert!(
            matches!(
                group,
                "ExifTool" | "System" | "File" | "JFIF" | "ExifIFD" | "GPS" | "Composite"
            ),
            "{tag}"
        );
        assert!(!tag.ends_with(" Warning") && !tag.ends_with(" Error"), "{told:?}");
    }
}

#[test]
fn exiftool_finds_what_stays_and_nothing_else() {
    for image in [scene_image(320, 240), scene_image(1700, 900)] {
        let input =
            with_segment(&jpeg_with(&image, &exif_block(&camera_fields(), true)), 0xFE, b"SECRET");
        let prepared = prepare(&input);
        let (Some(before), Some(after)) = (told(&input), told(&prepared.photo)) else { return };
        only_what_stays(&after);
        let same = [
            "[ExifIFD] DateTimeOriginal",
            "[ExifIFD] OffsetTimeOriginal",
            "[GPS] GPSLatitudeRef",
            "[GPS] GPSLatitude",
            "[GPS] GPSLongitudeRef",
            "[GPS] GPSLongitude",
            "[GPS] GPSAltitude",
            "[GPS] GPSAltitudeRef",
            "[GPS] GPSImgDirection",
            "[GPS] GPSImgDirectionRef",
            "[GPS] GPSHPositioningError",
        ];
        for tag in same {
            assert_eq!(value(&before, tag), value(&after, tag), "{tag}");
        }
        let position = prepared.position.unwrap();
        let seen: f64 = value(&after, "[Composite] GPSLatitude").parse().unwrap();
        assert!((seen - position.lat).abs() < 1e-9);
        assert!(before.iter().any(|(tag, _)| tag == "[IFD0] Make"));
        only_what_stays(&told(&prepared.thumbnail).unwrap());
    }
}

#[test]
fn exiftool_reads_what_the_app_filled_in() {
    let given = Capture { mocked: Some(true), ..capture() };
    let input = jpeg_with(&scene_image(200, 150), &exif_block(&[text(Tag::Make, "SECRET")], false));
    let prepared = mobile_photo::prepare(&input[..], &given, &Budget::default()).unwrap();
    let Some(after) = told(&prepared.photo) else { return };
    only_what_stays(&after);
    for (tag, expected) in [
        ("[ExifIFD] DateTimeOriginal", "2026:11:25 07:30:05"),
        ("[ExifIFD] SubSecTimeOriginal", "123"),
        ("[ExifIFD] OffsetTimeOriginal", "-05:00"),
        ("[GPS] GPSAltitude", "161.5"),
        ("[GPS] GPSImgDirection", "271.25"),
        ("[GPS] GPSImgDirectionRef", "M"),
        ("[GPS] GPSHPositioningError", "4.75"),
        ("[GPS] GPSProcessingMethod", "MOCKED"),
    ] {
        assert_eq!(value(&after, tag), expected, "{tag}");
    }
    let longitude: f64 = value(&after, "[Composite] GPSLongitude").parse().unwrap();
    assert!((longitude - -77.042_793).abs() < 1e-9);
}
