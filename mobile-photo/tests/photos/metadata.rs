//! What stays of what a camera writes, what the app fills in, and what is gone.

use exif::{In, Tag};
use mobile_photo::{Budget, Capture, Direction, North, Origin, Position};
use time::macros::datetime;

use super::inputs::*;

fn read(jpeg: &[u8]) -> exif::Exif {
    exif::Reader::new().read_from_container(&mut std::io::Cursor::new(jpeg)).unwrap()
}

/// A tag as the second reader shows it.
fn shown(exif: &exif::Exif, tag: Tag) -> String {
    let field = exif.get_field(tag, In::PRIMARY).unwrap_or_else(|| panic!("{tag} is not there"));
    field.display_value().to_string()
}

/// Both ways: one fits and is kept, one is encoded again.
fn inputs(block: &[u8]) -> [Vec<u8>; 2] {
    [jpeg_with(&scene_image(320, 240), block), jpeg_with(&scene_image(1800, 1000), block)]
}

#[test]
fn time_and_place_of_the_camera_stay() {
    for little_endian in [true, false] {
        for input in inputs(&exif_block(&camera_fields(), little_endian)) {
            let prepared = prepare(&input);
            let position = prepared.position.unwrap();
            assert!((position.lat - -(16.0 + 23.0 / 60.0 + 45.1234 / 3600.0)).abs() < 1e-9);
            assert!((position.lon - -(71.0 + 32.0 / 60.0 + 12.345 / 3600.0)).abs() < 1e-9);
            assert_eq!(position.altitude, Some(2335.25));
            assert_eq!(position.direction, Some(Direction { degrees: 179.5, north: North::True }));
            assert_eq!(position.accuracy, Some(6.5));
            assert_eq!(prepared.taken_at.local, datetime!(2026-11-20 16:45:59.07));
            let moment = datetime!(2026-11-20 21:45:59.07 UTC).unix_timestamp_nanos() / 1000;
            assert_eq!(prepared.taken_at.unix_us().map(i128::from), Some(moment));
            let origins = prepared.origins;
            assert_eq!(origins.taken_at, Origin::Camera);
            let all = [origins.position, origins.altitude, origins.direction];
            assert_eq!(all, [Some(Origin::Camera); 3]);

            let written = read(&prepared.photo);
            assert_eq!(shown(&written, Tag::DateTimeOriginal), "2026-11-20 16:45:59");
            assert_eq!(shown(&written, Tag::SubSecTimeOriginal), "\"070\"");
            assert_eq!(shown(&written, Tag::OffsetTimeOriginal), "\"-05:00\"");
            assert_eq!(shown(&written, Tag::GPSLatitude), "16 deg 23 min 45.1234 sec");
            assert_eq!(shown(&written, Tag::GPSLatitudeRef), "S");
            assert_eq!(shown(&written, Tag::GPSLongitude), "71 deg 32 min 12.345 sec");
            assert_eq!(shown(&written, Tag::GPSLongitudeRef), "W");
            assert_eq!(shown(&written, Tag::GPSAltitude), "2335.25");
            assert_eq!(shown(&written, Tag::GPSImgDirection), "179.5");
            assert_eq!(shown(&written, Tag::GPSHPositioningError), "6.5");
        }
    }
}

#[test]
fn the_app_fills_in_what_the_camera_did_not_write() {
    for input in inputs(&exif_block(&[text(Tag::Make, "SECRET-MAKER")], true)) {
        let prepared = prepare(&input);
        let (position, given) = (prepared.position.unwrap(), capture().position.unwrap());
        assert!((position.lat - given.lat).abs() < 1e-9 && (position.lon - given.lon).abs() < 1e-9);
        assert_eq!(position.altitude, given.altitude);
        assert_eq!(position.direction, given.direction);
        assert_eq!(position.accuracy, given.accuracy);
        assert_eq!(prepared.taken_at.local, datetime!(2026-11-25 07:30:05.123));
        assert_eq!(prepared.origins.taken_at, Origin::Capture);
        assert_eq!(prepared.origins.position, Some(Origin::Capture));
        let written = read(&prepared.photo);
        assert_eq!(shown(&written, Tag::GPSImgDirectionRef), "magnetic direction");
        assert_eq!(shown(&written, Tag::OffsetTimeOriginal), "\"-05:00\"");
    }
}

#[test]
fn without_any_exif_the_app_is_all_there_is() {
    let prepared = prepare(&jpeg(&scene_image(320, 240)));
    assert_eq!(prepared.origins.position, Some(Origin::Capture));
    let nothing = Capture { position: None, mocked: None, ..capture() };
    let input = jpeg(&scene_image(320, 240));
    let prepared = mobile_photo::prepare(&input[..], &nothing, &Budget::default()).unwrap();
    assert_eq!((prepared.position, prepared.origins.position), (None, None));
    assert_eq!((prepared.origins.altitude, prepared.mocked), (None, None));
    assert!(read(&prepared.photo).get_field(Tag::GPSVersionID, In::PRIMARY).is_none());
}

/// The circle of the device's position says nothing about the camera's point.
#[test]
fn accuracy_stays_with_its_position_and_altitude_is_filled_in() {
    let only_place: Vec<exif::Field> = camera_fields()
        .into_iter()
        .filter(|field| {
            !matches!(
                field.tag,
                Tag::GPSHPositioningError | Tag::GPSAltitude | Tag::GPSImgDirection
            )
        })
        .collect();
    for input in inputs(&exif_block(&only_place, false)) {
        let prepared = prepare(&input);
        let position = prepared.position.unwrap();
        assert_eq!(position.accuracy, None);
        assert_eq!(position.altitude, Some(161.5));
        assert_eq!(prepared.origins.position, Some(Origin::Camera));
        assert_eq!(prepared.origins.altitude, Some(Origin::Capture));
        assert_eq!(prepared.origins.direction, Some(Origin::Capture));
    }
}

/// What cameras write before they have found the sky, and with a clock that was never set.
#[test]
fn nonsense_counts_as_not_written() {
    let latitude = |value: &[(u32, u32)]| rationals(Tag::GPSLatitude, value);
    let longitude = || rationals(Tag::GPSLongitude, &[(0, 1), (0, 1), (0, 1)]);
    for bad in [
        latitude(&[(0, 1), (0, 1), (0, 1)]),
        latitude(&[(0, 0), (0, 0), (0, 0)]),
        latitude(&[(91, 1), (0, 1), (0, 1)]),
        latitude(&[(u32::MAX, 1), (u32::MAX, 1), (u32::MAX, 1)]),
        latitude(&[]),
        text(Tag::GPSLatitude, "12"),
    ] {
        let block = exif_block(
            &[
                text(Tag::DateTimeOriginal, "0000:00:00 00:00:00"),
                text(Tag::GPSLatitudeRef, "N"),
                bad,
                text(Tag::GPSLongitudeRef, "E"),
                longitude(),
            ],
            true,
        );
        let prepared = prepare(&jpeg_with(&scene_image(64, 48), &block));
        assert_eq!(prepared.origins.position, Some(Origin::Capture));
        assert_eq!(prepared.origins.taken_at, Origin::Capture);
    }
    for date in
        ["    :  :     :  :  ", "2026:13:01 00:00:00", "2026:02:30 00:00:00", "2026:11:20", "", "x"]
    {
        let block = exif_block(&[text(Tag::DateTimeOriginal, date)], true);
        let prepared = prepare(&jpeg_with(&scene_image(64, 48), &block));
        assert_eq!(prepared.origins.taken_at, Origin::Capture, "{date:?}");
    }
}

#[test]
fn positions_come_back_as_they_are_told() {
    let input = jpeg(&scene_image(64, 48));
    let places = [
        (90.0, 180.0),
        (-90.0, -180.0),
        (0.0, 0.000_000_1),
        (-0.000_000_1, 0.0),
        (19.432_607_7, -99.133_208),
        (59.999_999_999_9, 119.999_999_999_9),
    ];
    for (index, (lat, lon)) in (0u32..).zip(places) {
        let position = Position {
            lat,
            lon,
            altitude: Some(-12.3456 + f64::from(index)),
            direction: Some(Direction { degrees: 359.999_9, north: North::True }),
            accuracy: Some(0.0),
        };
        let given = Capture { position: Some(position), ..capture() };
        let prepared = mobile_photo::prepare(&input[..], &given, &Budget::default()).unwrap();
        let told = prepared.position.unwrap();
        assert!((told.lat - lat).abs() < 2e-10 && (told.lon - lon).abs() < 2e-10, "{told:?}");
        assert_eq!(told.direction, Some(Direction { degrees: 0.0, north: North::True }));
        // Whoever reads the photo finds the same, to the last bit.
        let again = prepare(&prepared.photo);
        assert_eq!(again.position, Some(told));
        assert_eq!(again.origins.position, Some(Origin::Camera));
    }
}

#[test]
fn positions_that_are_none_are_refused() {
    let good = capture().position.unwrap();
    let north = North::True;
    for position in [
        Position { lat: 90.1, ..good },
        Position { lon: -180.1, ..good },
        Position { lat: f64::NAN, ..good },
        Position { lon: f64::INFINITY, ..good },
        Position { altitude: Some(f64::NAN), ..good },
        Position { accuracy: Some(-1.0), ..good },
        Position { direction: Some(Direction { degrees: 360.0, north }), ..good },
    ] {
        let given = Capture { position: Some(position), ..capture() };
        let input = jpeg(&scene_image(64, 48));
        let refused = mobile_photo::prepare(&input[..], &given, &Budget::default()).unwrap_err();
        assert_eq!(refused.code(), "photo_position_invalid");
    }
}

#[test]
fn a_location_that_was_made_up_is_told() {
    for (position, input) in
        [(capture().position, jpeg(&scene_image(64, 48))), (None, jpeg(&scene_image(1800, 900)))]
    {
        let given = Capture { mocked: Some(true), position, ..capture() };
        let prepared = mobile_photo::prepare(&input[..], &given, &Budget::default()).unwrap();
        assert_eq!(prepared.mocked, Some(true));
        let written = read(&prepared.photo);
        let method = written.get_field(Tag::GPSProcessingMethod, In::PRIMARY).unwrap();
        assert!(
            matches!(&method.value, exif::Value::Undefined(value, _) if value == b"ASCII\0\0\0MOCKED")
        );
        // It stays told, whatever a later caller knows.
        assert_eq!(prepare(&prepared.photo).mocked, Some(true));
    }
    let honest = prepare(&jpeg(&scene_image(64, 48)));
    assert_eq!(honest.mocked, Some(false));
    assert!(read(&honest.photo).get_field(Tag::GPSProcessingMethod, In::PRIMARY).is_none());
}

/// Everything that a file can hold beside its picture has the word SECRET in it; none of it may come out.
#[test]
fn nothing_else_comes_out() {
    for image in [scene_image(320, 240), scene_image(1800, 1000)] {
        let mut writer = exif::experimental::Writer::new();
        let fields = camera_fields();
        fields.iter().for_each(|field| writer.push_field(field));
        let inner = with_segment(&jpeg(&scene_image(160, 120)), 0xFE, b"SECRET-THUMBNAIL");
        writer.set_jpeg(&inner, In::THUMBNAIL);
        let mut block = std::io::Cursor::new(Vec::new());
        writer.write(&mut block, false).unwrap();

        let mut input = jpeg_with(&image, &block.into_inner());
        let xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>SECRET-XMP</x:xmpmeta>";
        input = with_segment(&input, 0xE1, xmp);
        input = with_segment(&input, 0xE1, b"http://ns.adobe.com/xmp/extension/\0SECRET-MORE");
        input = with_segment(&input, 0xED, b"Photoshop 3.0\x008BIM\x04\x04SECRET-IPTC");
        input = with_segment(&input, 0xE2, b"ICC_PROFILE\0\x01\x01SECRET-PROFILE");
        input = with_segment(&input, 0xE2, b"MPF\0SECRET-SECOND-PICTURE");
        input = with_segment(&input, 0xE0, b"JFXX\0\x10SECRET-JFXX");
        input = with_segment(&input, 0xEF, b"SECRET-APP15");
        input = with_segment(&input, 0xFE, b"SECRET-COMMENT");
        input.extend(b"SECRET-FILM");
        assert!(contains(&input, b"SECRET-THUMBNAIL"));

        let prepared = prepare(&input);
        pictures(&prepared, &Budget::default());
        for (output, markers) in
            [(&prepared.photo, &[0xE0, 0xE1][..]), (&prepared.thumbnail, &[0xE0])]
        {
            assert!(!contains(output, b"SECRET"));
            let found: Vec<u8> = segments(output).iter().map(|(marker, _)| *marker).collect();
            let application: Vec<u8> =
                found.into_iter().filter(|m| matches!(m, 0xE0..=0xEF | 0xFE)).collect();
            assert_eq!(application, markers);
        }
        let fields: Vec<Tag> = read(&prepared.photo).fields().map(|field| field.tag).collect();
        let allowed = [
            Tag::ExifVersion,
            Tag::DateTimeOriginal,
            Tag::SubSecTimeOriginal,
            Tag::OffsetTimeOriginal,
            Tag::GPSVersionID,
            Tag::GPSLatitudeRef,
            Tag::GPSLatitude,
            Tag::GPSLongitudeRef,
            Tag::GPSLongitude,
            Tag::GPSAltitudeRef,
            Tag::GPSAltitude,
            Tag::GPSImgDirectionRef,
            Tag::GPSImgDirection,
            Tag::GPSHPositioningError,
        ];
        assert!(fields.iter().all(|tag| allowed.contains(tag)), "{fields:?}");
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

#[test]
fn png_and_webp_keep_time_and_place_too() {
    let image = image::DynamicImage::ImageRgb8(scene_image(300, 200));
    let block = exif_block(&camera_fields(), true);
    let png = png_with_exif(&saved(&image, image::ImageFormat::Png), &block);
    let webp = saved(&image, image::ImageFormat::WebP);
    let named = [b"Exif\0\0".as_slice(), &block].concat();
    for input in
        [png, webp_with_exif(&webp, &block, 300, 200), webp_with_exif(&webp, &named, 300, 200)]
    {
        let prepared = prepare(&input);
        assert_eq!(prepared.origins.position, Some(Origin::Camera));
        assert_eq!(prepared.origins.taken_at, Origin::Camera);
        assert!(!contains(&prepared.photo, b"SECRET"));
    }
}
