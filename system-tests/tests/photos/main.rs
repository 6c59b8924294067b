//! Real programs and real photos over a line that breaks: the connection is cut every so many bytes, the app is
//! killed at random, and in the end every photo is at the server, byte for byte, where it was taken.
//!
//! Small by default. `CAMPO_PHOTO_COUNT` (how many), `CAMPO_PHOTO_EDGE` (of what the camera wrote, in pixels),
//! `CAMPO_PHOTO_CUT` (bytes after which a connection is cut), `CAMPO_PHOTO_RATE` (bytes a second) and
//! `CAMPO_PHOTO_KILL_MS` (longest life of an app) make it large:
//!
//! ```sh
//! CAMPO_PHOTO_COUNT=500 CAMPO_PHOTO_EDGE=4000 CAMPO_PHOTO_CUT=262144 cargo xtask test --only system -- photos_survive
//! ```

mod clients;
#[path = "../crash/dice.rs"]
#[allow(dead_code, reason = "there is nothing to choose from")]
mod dice;
mod line;
#[path = "../crash/office.rs"]
#[allow(dead_code, reason = "nobody crashes PostgreSQL here")]
mod office;
#[path = "../crash/phone.rs"]
#[allow(dead_code, reason = "nothing is put here")]
mod phone;
#[path = "../../../mobile-photo/tests/photos/scene.rs"]
mod scene;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dice::Dice;
use exif::{In, Tag, Value};
use line::Line;
use office::{Engine, Office};
use phone::Phone;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

/// How often the app may be started again for each photo before something is wrong.
const LIVES_FOR_EACH: u64 = 12;
/// How much more than the photos may be sent: what is sent again after a cut, and all the rest of the protocol.
const SENT_MAX: f64 = 1.1;
/// What the protocol itself may cost besides, for each start of the app: a session, a push, a pull.
const START_BYTES_MAX: u64 = 24 * 1024;

#[test]
fn photos_survive_cuts_and_kills_on_sqlite() {
    survive(Engine::Sqlite);
}

#[test]
fn photos_survive_cuts_and_kills_on_postgres() {
    survive(Engine::Postgres);
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect(name))
}

fn survive(engine: Engine) {
    let count = setting("CAMPO_PHOTO_COUNT", 8);
    let edge = u32::try_from(setting("CAMPO_PHOTO_EDGE", 1_200)).expect("pixels");
    let cut = setting("CAMPO_PHOTO_CUT", 48 * 1024);
    let rate = setting("CAMPO_PHOTO_RATE", 0);
    let kill_ms = setting("CAMPO_PHOTO_KILL_MS", 400);
    let mut dice = Dice::new(setting("CAMPO_CRASH_SEED", 0x0f07));
    let folder = tempfile::tempdir().expect("a folder");
    let camera = camera(folder.path(), edge);
    let office = Office::open(engine, folder.path());
    let line = Line::open(&office.url(), cut, rate);
    let juan = Phone::new(folder.path(), "juan");
    let warehouse = warehouse(&office, &juan, folder.path(), &line.url());

    let mut taken: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for number in 0..count {
        // Every photo its own place; some of the apps are killed while they save.
        let place = (19.0 + number as f64 / 1_000.0, -99.0 - number as f64 / 1_000.0);
        let movement = check_in(&warehouse, &camera, number, place);
        let movement: Vec<&str> = movement.iter().map(String::as_str).collect();
        if dice.roll(8) == 0 {
            juan.does_until(dice.ms(kill_ms), &movement);
        } else {
            let made = juan.does(&movement);
            taken.insert(made["photos"][0].as_str().expect("an id").to_owned(), place);
        }
    }
    line.count_from_here();
    let (mut starts, mut kills) = (0_u64, 0);
    let began = Instant::now();
    while juan.does(&["status"])["photos"]["files"] != 0 || juan.does(&["pending"]) != json!([]) {
        assert!(starts < count * LIVES_FOR_EACH + 20, "{starts} starts, and something waits");
        starts += 1;
        kills += u64::from(juan.does_until(dice.ms(kill_ms), &["sync"]));
    }
    let sent = line.sent();
    line.holds_from_here();
    juan.does(&["sync"]);
    juan.does(&["sync"]);
    let photos = rows(&juan);
    assert!(photos.len() >= taken.len(), "{} of {} are there", photos.len(), taken.len());
    for (id, place) in &taken {
        let row = photos.get(id).unwrap_or_else(|| panic!("the photo {id} is lost"));
        // To what EXIF can hold, which is what a reader of the photo finds: 30 micrometres.
        let off = (row.latitude - place.0).abs().max((row.longitude - place.1).abs());
        assert!(off < 1e-9, "{id}: {} {} instead of {place:?}", row.latitude, row.longitude);
    }
    let mut bytes = 0;
    let laura = Phone::new(folder.path(), "laura");
    laura.does(&["sync"]);
    for (id, row) in &photos {
        let picture = fetched(&laura, id, &[]);
        let thumbnail = fetched(&laura, id, &["--thumbnail"]);
        assert_eq!(hash(&picture), row.sha256, "{id}");
        assert_eq!(hash(&thumbnail), row.thumbnail_sha256, "{id}");
        let (lat, lon) = position(&picture);
        assert!((lat - row.latitude).abs() < 1e-6 && (lon - row.longitude).abs() < 1e-6, "{id}");
        bytes += (picture.len() + thumbnail.len()) as u64;
    }
    assert_eq!(juan.does(&["problems"]), json!([]));
    office.is_sound();
    juan.is_sound();
    let allowed = bytes as f64 * SENT_MAX + (starts * START_BYTES_MAX) as f64;
    let times = sent as f64 / bytes as f64;
    println!(
        "{engine:?}: {} photos, {:.1} MB in {:.0} s; {starts} starts, {kills} kills, {} cuts; \
         {times:.3} times their bytes sent",
        photos.len(),
        bytes as f64 / 1e6,
        began.elapsed().as_secs_f64(),
        line.cuts(),
    );
    assert!((sent as f64) < allowed, "{sent} bytes were sent for {bytes}");
    // An app that is killed often does not live to see a line that seldom breaks.
    let seldom = cut > bytes / starts.max(1);
    assert!((line.cuts() > 0 || seldom) && kills > 0, "nothing was cut or killed");
}

/// The supervisor's warehouse, which the keeper holds, and the keeper's phone, which has the server at this address.
/// Answers how the fields of a movement begin.
fn warehouse(office: &Office, juan: &Phone, folder: &Path, url: &str) -> String {
    let laura = Phone::new(folder, "laura");
    office.hires("laura", "supervisor");
    office.hires("juan", "warehouse_keeper");
    laura.logs_in(&office.url());
    laura.does(&["sync"]);
    let warehouse = laura.puts(&("almacenes", json!({ "nombre": "Central" })));
    let article = laura.puts(&("articulos", json!({ "codigo": "CEM", "nombre": "Cemento" })));
    laura.does(&["sync"]);
    office.grants("laura", &warehouse);
    office.grants("juan", &warehouse);
    juan.logs_in(url);
    for _ in 0..5 {
        if juan.tries(&["sync"]).is_ok() {
            return format!(r#"{{"almacen_id":"{warehouse}","articulo_id":"{article}","#);
        }
    }
    panic!("the first sync does not get through");
}

fn check_in(warehouse: &str, camera: &Path, number: u64, (lat, lon): (f64, f64)) -> Vec<String> {
    let fields = format!(r#"{warehouse}"tipo":"salida","cantidad":"{}.000"}}"#, number + 1);
    let (lat, lon) = (lat.to_string(), lon.to_string());
    let camera = camera.display().to_string();
    let words =
        ["check-in", "movimientos", &fields, "--photo", &camera, "--lat", &lat, "--lon", &lon];
    words.map(str::to_owned).to_vec()
}

/// What a camera writes.
fn camera(folder: &Path, edge: u32) -> PathBuf {
    let (width, height) = (edge, edge * 3 / 4);
    let pixels = scene::scene(width, height);
    let path = folder.join("camera.jpg");
    let mut file = std::fs::File::create(&path).expect("a file");
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 94)
        .encode(&pixels, width, height, image::ExtendedColorType::Rgb8)
        .expect("a picture");
    path
}

struct Row {
    sha256: String,
    thumbnail_sha256: String,
    latitude: f64,
    longitude: f64,
}

/// All photos as their records say; every one has to be stored.
fn rows(phone: &Phone) -> BTreeMap<String, Row> {
    let sql =
        "SELECT id, sha256, miniatura_sha256, latitud, longitud, estado FROM movimiento_fotos";
    let found = phone.does(&["query", sql]);
    let text = |value: &Json| value.as_str().expect("a text").to_owned();
    let rows = found["rows"].as_array().expect("rows").iter().map(|row| {
        assert_eq!(row[5], "stored", "{row}");
        let known = Row {
            sha256: text(&row[1]),
            thumbnail_sha256: text(&row[2]),
            latitude: row[3].as_f64().expect("a position"),
            longitude: row[4].as_f64().expect("a position"),
        };
        (text(&row[0]), known)
    });
    rows.collect()
}

fn fetched(phone: &Phone, id: &str, more: &[&str]) -> Vec<u8> {
    let name = format!("movimiento_fotos/{id}");
    let got = phone.does(&[&["photo", "get", &name], more].concat());
    std::fs::read(got["file"].as_str().expect("a file")).expect("it is there")
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a photo says that it was taken.
fn position(jpeg: &[u8]) -> (f64, f64) {
    let exif = exif::Reader::new()
        .read_from_container(&mut std::io::Cursor::new(jpeg))
        .expect("a photo has its metadata");
    let degrees = |tag, reference, negative: &[u8]| {
        let Some(Value::Rational(parts)) = exif.get_field(tag, In::PRIMARY).map(|f| &f.value)
        else {
            panic!("a photo has its position");
        };
        let value = parts.iter().rev().fold(0.0, |sum, part| sum / 60.0 + part.to_f64());
        let sign = exif.get_field(reference, In::PRIMARY).map(|field| &field.value);
        let is_negative = matches!(sign, Some(Value::Ascii(text)) if text.concat() == negative);
        if is_negative { -value } else { value }
    };
    (
        degrees(Tag::GPSLatitude, Tag::GPSLatitudeRef, b"S"),
        degrees(Tag::GPSLongitude, Tag::GPSLongitudeRef, b"W"),
    )
}
