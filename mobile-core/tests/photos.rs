//! Photos on a phone: saved with their record, sent in order and in pieces, kept until the server has them.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use std::path::Path;
use std::sync::Arc;

use mobile_core::core::PhotoView;
use mobile_core::photos::files::hash;
use mobile_core::photos::queue::State;
use mobile_core::photos::sweep;
use mobile_core::photos::{
    NewPhoto, Origin, Origins, PhotoName, Position, Prepared, TakenAt, Treatment, Variant,
};
use mobile_core::random::SystemRandom;
use mobile_core::store::registry::Registry;
use mobile_core::store::{aside, meta};
use mobile_core::sync::Phase;
use mobile_core::transport::TransportError;
use model::{Fault, Phone, Server, object};
use serde_json::{Map, json};
use sha2::{Digest as _, Sha256};
use sync_protocol::RecordId;
use sync_protocol::problem::Problem;
use time::UtcOffset;
use time::macros::datetime;

/// A photo of so many bytes, all of its own.
fn photo(seed: u8, bytes: usize) -> NewPhoto {
    let content = |salt: u8, length: usize| -> Vec<u8> {
        (0..length).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed ^ salt)).collect()
    };
    let (picture, thumbnail) = (content(0, bytes), content(0x80, bytes / 10 + 1));
    let position =
        Position { lat: 19.43, lon: -99.13, altitude: None, direction: None, accuracy: Some(8.0) };
    let prepared = Prepared {
        sha256: Sha256::digest(&picture).into(),
        thumbnail_sha256: Sha256::digest(&thumbnail).into(),
        photo: picture,
        thumbnail,
        width: 1600,
        height: 1200,
        taken_at: TakenAt { local: datetime!(2026-11-24 08:00), offset: None },
        position: Some(position),
        mocked: None,
        origins: Origins {
            taken_at: Origin::Camera,
            position: Some(Origin::Capture),
            altitude: None,
            direction: None,
        },
        treatment: Treatment::Kept,
    };
    let zone = UtcOffset::from_hms(-6, 0, 0).expect("a zone");
    NewPhoto { prepared, zone, fields: Map::new() }
}

fn article(phone: &Phone, name: &str) -> RecordId {
    phone.put("articulos", json!({ "nombre": name }))
}

fn views(phone: &Phone) -> Vec<PhotoView> {
    phone.core.photos().expect("a list")
}

fn waiting(phone: &Phone) -> usize {
    views(phone).iter().filter(|view| view.item.state == State::Waiting).count()
}

/// Files in the photo folders of a phone.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for tenant in std::fs::read_dir(dir).expect("a folder").flatten().filter(|e| e.path().is_dir())
    {
        for entry in std::fs::read_dir(tenant.path()).expect("a folder").flatten() {
            if entry.path().is_dir() {
                let inside = std::fs::read_dir(entry.path()).expect("a folder").flatten();
                found.extend(inside.map(|e| e.file_name().to_string_lossy().into_owned()));
            }
        }
    }
    found.sort();
    found
}

async fn ana(dir: &Path) -> (Arc<Server>, Phone) {
    let server = Server::new();
    let phone = Phone::signed_in(&server, dir, 1).await;
    (server, phone)
}

#[tokio::test]
async fn a_record_and_its_photos_are_one_act_and_reach_the_server() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    let fields = object(json!({ "nombre": "puerta" }));
    let photos = [photo(1, 5_000), photo(2, 3_000)];
    let made = ana.core.check_in("articulos", &fields, None, None, &photos).expect("made");
    assert_eq!(ana.core.receipts().expect("list").len(), 1, "one receipt");
    assert_eq!(made.photos.len(), 2);
    let row = ana.core.get("articulo_fotos", made.photos[0]).expect("its record");
    assert_eq!(row["articulo_id"], json!(made.record));
    assert_eq!(row["bytes"], 5_000);
    assert_eq!(row["estado"], "pending");
    assert_eq!(
        row["tomada"], "2026-11-24T14:00:00.000000Z",
        "a camera without a zone means the local one"
    );
    assert_eq!(row["latitud"], 19.43);
    assert_eq!(waiting(&ana), 4);
    assert_eq!(views(&ana)[0].waiting_for.as_ref().map(|why| why.code.as_str()), Some("record"));
    let report = ana.sync().await.expect("a sync");
    assert_eq!(report.photos, 4);
    assert_eq!(waiting(&ana), 0);
    server.with(|state| assert_eq!(state.uploads.stored.len(), 4));
    ana.sync().await.expect("another");
    let row = ana.core.get("articulo_fotos", made.photos[0]).expect("its record");
    assert_eq!(row["estado"], "stored");
    assert_eq!(server.with(|state| state.uploads.requests), 4, "and nothing is sent twice");
}

#[tokio::test]
async fn what_fails_saves_neither_record_nor_photo() {
    let dir = tempfile::tempdir().expect("dir");
    let (_, ana) = ana(dir.path()).await;
    let wrong = object(json!({ "nombre": 5 }));
    let refused = ana.core.check_in("articulos", &wrong, None, None, &[photo(1, 100)]);
    assert_eq!(refused.expect_err("a number").code(), "wrong_type");
    let missing = ana.core.add_photo("articulos", RecordId(uuid::Uuid::nil()), &photo(1, 100));
    assert_eq!(missing.expect_err("no such record").code(), "no_such_record");
    let other = ana.core.transaction(|edit| {
        let record = edit.insert("articulos", &object(json!({ "nombre": "a" })))?;
        edit.attach("articulos", record, &photo(2, 100))?;
        edit.attach("movimientos", record, &photo(2, 100))
    });
    assert_eq!(other.expect_err("movements have none").code(), "no_photos");
    assert!(views(&ana).is_empty());
    assert!(ana.core.list("articulo_fotos").expect("list").rows.is_empty());
}

#[tokio::test]
async fn thumbnails_go_before_pictures_and_small_ones_before_large() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    let photo_of = |seed, bytes| ana.core.add_photo("articulos", record, &photo(seed, bytes));
    let large = photo_of(1, 9_000).expect("added");
    let small = photo_of(2, 1_000).expect("added");
    let urgent = photo_of(3, 20_000).expect("added");
    assert_eq!(ana.core.send_photo_now("articulo_fotos", urgent).expect("hurried"), 2);
    ana.sync().await.expect("a sync");
    let order = server.with(|state| {
        state.uploads.order.iter().map(|n| (n.record, n.variant)).collect::<Vec<_>>()
    });
    let (thumbnail, picture) = (Variant::Thumbnail, Variant::Photo);
    let expected = [
        (urgent, thumbnail),
        (urgent, picture),
        (small, thumbnail),
        (large, thumbnail),
        (small, picture),
        (large, picture),
    ];
    assert_eq!(order, expected);
}

#[tokio::test]
async fn an_upload_goes_on_at_the_byte_where_it_was_cut() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    let made = ana.core.add_photo("articulos", record, &photo(1, 2_000_000)).expect("added");
    for _ in 0..12 {
        server.fail_next(Fault::UploadCutAfter(256 * 1024 + 1));
    }
    server.fail_next(Fault::UploadAnswerLost);
    let mut failures = 0;
    while waiting(&ana) > 0 {
        failures += u32::from(ana.sync().await.is_err());
        assert!(failures < 20, "it never ends");
    }
    assert!(failures >= 9, "the line was cut {failures} times");
    server.with(|state| {
        let name = PhotoName {
            collection: "articulo_fotos".into(),
            record: made,
            variant: Variant::Photo,
        };
        assert_eq!(state.uploads.stored[&name].len(), 2_000_000);
        assert_eq!(state.uploads.bytes_sent, 2_000_000 + 200_001, "no byte twice");
    });
}

#[tokio::test]
async fn a_photo_waits_for_its_record_and_survives_its_refusal() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    let fields = object(json!({ "nombre": "veneno" }));
    let made = ana.core.check_in("articulos", &fields, None, None, &[photo(1, 500)]).expect("made");
    ana.sync().await.expect("a sync");
    let problems = ana.core.problems().expect("list");
    assert_eq!(problems.len(), 1, "the model refuses that name: {problems:?}");
    assert_eq!(server.with(|state| state.uploads.requests), 0, "no byte before the record");
    ana.core.set_photo_space(0).expect("set");
    ana.sync().await.expect("a sync");
    assert_eq!(waiting(&ana), 2, "it is kept, also where there is no room");
    assert_eq!(files(dir.path()).len(), 2);
    let right = object(json!({ "nombre": "bueno" }));
    let receipt = made.receipt.expect("a receipt");
    ana.core.retry(receipt, Some(&right)).expect("corrected");
    ana.sync().await.expect("a sync");
    assert_eq!(waiting(&ana), 0);
    server.with(|state| assert_eq!(state.uploads.stored.len(), 2));
}

#[tokio::test]
async fn a_discarded_record_takes_its_photo_along() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    let fields = object(json!({ "nombre": "puerta" }));
    let made = ana.core.check_in("articulos", &fields, None, None, &[photo(1, 500)]).expect("made");
    ana.core.discard(made.receipt.expect("a receipt")).expect("discarded");
    assert!(views(&ana).is_empty(), "at once: a sign-out need not wait for a network");
    ana.sync().await.expect("a sync");
    assert!(views(&ana).is_empty());
    assert!(files(dir.path()).is_empty());
    assert_eq!(server.with(|state| state.uploads.requests), 0);
}

#[tokio::test]
async fn the_server_asks_for_a_photo_by_its_record() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    let made = ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
    ana.sync().await.expect("a sync");
    ana.sync().await.expect("it is known to be stored");
    server.with(|state| {
        state.uploads.stored.clear();
        let pending = sync_protocol::Value::Text("pending".into());
        state.sql("articulo_fotos", made, "estado", pending);
    });
    ana.sync().await.expect("a sync");
    server.with(|state| assert_eq!(state.uploads.stored.len(), 2));
    ana.sync().await.expect("a sync");
    assert_eq!(waiting(&ana), 0);
}

#[tokio::test]
async fn only_stored_pictures_make_room_and_come_back_when_somebody_looks() {
    let dir = tempfile::tempdir().expect("dir");
    let (_, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    let add = |seed| ana.core.add_photo("articulos", record, &photo(seed, 1_000)).expect("added");
    let [first, second] = [add(1), add(2)];
    ana.sync().await.expect("a sync");
    ana.core.set_photo_space(0).expect("set");
    assert_eq!(files(dir.path()).len(), 4, "until the record says so too, everything stays");
    ana.core.set_photo_space(10_000).expect("set");
    ana.sync().await.expect("a sync");
    let third = add(3);
    // The first was looked at last.
    let path = ana.core.photo("articulo_fotos", first, Variant::Photo).await.expect("here");
    assert_eq!(std::fs::read(path).expect("a file").len(), 1_000);
    ana.core.set_photo_space(2_400).expect("set");
    let here: Vec<(RecordId, Variant)> =
        views(&ana).iter().map(|view| (view.item.name.record, view.item.name.variant)).collect();
    assert!(here.contains(&(third, Variant::Photo)), "what waits stays");
    assert!(here.contains(&(first, Variant::Photo)), "and what was used last");
    assert!(!here.contains(&(second, Variant::Photo)), "the longest unused goes first");
    assert_eq!(files(dir.path()).len(), 5);
    ana.core.set_photo_space(0).expect("set");
    let again = ana.core.photo("articulo_fotos", second, Variant::Photo).await.expect("fetched");
    assert_eq!(std::fs::read(again).expect("what is shown is there").len(), 1_000);
}

#[tokio::test]
async fn equal_pictures_share_a_file_and_the_last_one_takes_it_along() {
    let dir = tempfile::tempdir().expect("dir");
    let (_, ana) = ana(dir.path()).await;
    let fields = object(json!({ "nombre": "uno" }));
    let one = ana.core.check_in("articulos", &fields, None, None, &[photo(1, 500)]).expect("made");
    let two = ana.core.check_in("articulos", &fields, None, None, &[photo(1, 500)]).expect("made");
    assert_eq!(files(dir.path()).len(), 2);
    ana.core.discard(one.receipt.expect("a receipt")).expect("discarded");
    ana.sync().await.expect("a sync");
    assert_eq!(files(dir.path()).len(), 2, "the other one needs them");
    ana.core.delete("articulo_fotos", two.photos[0]).expect("deleted");
    ana.sync().await.expect("a sync");
    assert!(files(dir.path()).is_empty());
}

#[tokio::test]
async fn pictures_wait_for_a_free_network_and_thumbnails_do_not() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    ana.core.set_photos_unmetered(true).expect("set");
    ana.core.engine().expect("signed in").set_metered(Some(true));
    let record = article(&ana, "puerta");
    ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
    ana.sync().await.expect("a sync");
    let view = views(&ana).into_iter().find(|view| view.item.state == State::Waiting).expect("one");
    assert_eq!(view.item.name.variant, Variant::Photo);
    assert_eq!(view.waiting_for.expect("why").code, "wifi_only");
    assert_eq!(ana.core.photos_waiting().expect("counts").held_back, 1);
    ana.core.engine().expect("signed in").set_metered(Some(false));
    ana.sync().await.expect("a sync");
    assert_eq!(waiting(&ana), 0);
    server.with(|state| assert_eq!(state.uploads.stored.len(), 2));
}

#[tokio::test]
async fn nobody_signs_out_over_a_photo_that_was_not_sent() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    let picture = photo(1, 500);
    ana.core.add_photo("articulos", record, &picture).expect("added");
    server.with(|state| state.uploads.is_full = true);
    ana.sync().await.expect("the quota is no failure of the sync");
    let why = views(&ana)[0].waiting_for.clone().expect("why");
    assert_eq!(why.code, "photo_quota");
    assert_eq!(ana.core.logout().await.expect_err("unsent").code(), "unsent_edits");
    let to = dir.path().join("rescue.json");
    let exported = ana.core.export(&to).expect("exported");
    assert_eq!(exported.photos, 2);
    let copy = dir
        .path()
        .join("rescue.json.photos")
        .join(format!("{}.jpg", hash(&picture.prepared.photo)));
    assert_eq!(std::fs::read(copy).expect("a copy"), picture.prepared.photo);
    ana.core.logout().await.expect("what was exported may go");
    let left: Vec<String> =
        files(dir.path()).into_iter().filter(|name| !name.ends_with(".jpg")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_damaged_queue_is_written_anew_and_no_photo_is_lost() {
    for sql in [
        "DELETE FROM campo_photo",
        "UPDATE campo_photo SET state = 'x'",
        "UPDATE campo_photo SET state = 'stored'",
        "UPDATE campo_photo SET record = 'x'",
        "UPDATE campo_photo SET bytes = NULL || 'x'",
        "UPDATE OR REPLACE campo_photo SET variant = 'photo'",
        "UPDATE campo_photo SET sha256 = '0000000000000000000000000000000000000000000000000000000000000000'",
        "UPDATE campo_photo SET collection = 'articulos'",
        "DELETE FROM campo_meta WHERE name = 'schema'",
    ] {
        let dir = tempfile::tempdir().expect("dir");
        let (server, ana) = ana(dir.path()).await;
        let record = article(&ana, "puerta");
        ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
        ana.core.add_photo("articulos", record, &photo(2, 500)).expect("added");
        let engine = ana.core.engine().expect("signed in");
        let _ = engine.store().write(|db| {
            db.execute_batch("PRAGMA ignore_check_constraints = ON")?;
            Ok(db.execute(sql, [])?)
        });
        let cancel = tokio_util::sync::CancellationToken::new();
        ana.core.verify(&cancel).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        ana.sync().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let stored = server.with(|state| state.uploads.stored.len());
        assert_eq!(stored, 4, "{sql}");
        assert_eq!(waiting(&ana), 0, "{sql}");
    }
}

#[tokio::test]
async fn trouble_with_photos_holds_up_no_edits() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
    let problem = Problem::new(507, "photo_storage_failed", "The object store failed").retryable();
    for error in [
        TransportError::Problem(Box::new(problem)),
        TransportError::Busy { retry_after_s: Some(600), problem: None },
        TransportError::Garbage("a proxy's page".to_owned()),
    ] {
        let code = error.code().to_owned();
        server.fail_next(Fault::UploadFails(error));
        let report = ana.sync().await.expect("edits and rows came through");
        assert_eq!(report.photos, 0);
        let told: Vec<String> =
            views(&ana).into_iter().filter_map(|v| Some(v.waiting_for?.code)).collect();
        assert!(told.contains(&code), "{told:?}");
    }
    assert_eq!(ana.sync().await.expect("a sync").photos, 2);
}

#[tokio::test]
async fn what_was_let_go_of_before_a_crash_goes_with_the_next_round() {
    let dir = tempfile::tempdir().expect("dir");
    let (_, ana) = ana(dir.path()).await;
    let engine = ana.core.engine().expect("signed in");
    let left = hash(b"left");
    let photos = engine.store().photos();
    std::fs::create_dir_all(photos.folder()).expect("a folder");
    std::fs::write(photos.path(&left), b"left").expect("a file");
    let sql = "INSERT INTO campo_photo_released (sha256) VALUES (?1)";
    engine.store().write(|db| Ok(db.execute(sql, [&left])?)).expect("let go of");
    ana.sync().await.expect("a sync");
    assert!(files(dir.path()).is_empty());
}

#[tokio::test]
async fn a_file_that_nothing_explains_stays_for_a_day_of_verified_rows() {
    let dir = tempfile::tempdir().expect("dir");
    let (_, ana) = ana(dir.path()).await;
    let engine = ana.core.engine().expect("signed in");
    let store = engine.store();
    std::fs::create_dir_all(store.photos().folder()).expect("a folder");
    std::fs::write(store.photos().path(&hash(b"left")), b"left").expect("a file");
    let verified = |us: i64| {
        store.write(|db| meta::set(db, meta::name::VERIFIED_US, &us.to_string())).expect("set");
    };
    let hour = 3_600_000_000;
    for (verified_us, is_there) in [(hour, true), (20 * hour, true), (26 * hour, false)] {
        verified(verified_us);
        sweep::orphans(store).expect("looked");
        assert_eq!(files(dir.path()).len(), usize::from(is_there), "at {verified_us}");
    }
}

/// A backup has an older database beside newer photos: the limit of space is no reason to lose them.
#[tokio::test]
async fn photos_that_an_older_database_does_not_know_come_back_with_their_records() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    ana.core.set_photos_unmetered(true).expect("set");
    ana.core.engine().expect("signed in").set_metered(Some(true));
    ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
    ana.sync().await.expect("the record and the thumbnail");
    let engine = ana.core.engine().expect("signed in");
    let sql = "DELETE FROM campo_photo; DELETE FROM articulo_fotos; DELETE FROM campo_mutation;
               DELETE FROM campo_meta WHERE name = 'cursor'";
    engine.store().write(|db| Ok(db.execute_batch(sql)?)).expect("as it was before");
    ana.core.set_photo_space(10).expect("set");
    assert_eq!(files(dir.path()).len(), 2, "nothing is removed that is not understood");
    engine.set_metered(Some(false));
    drop(engine);
    let clock = Arc::clone(&ana.clock);
    drop(ana);
    let ana = Phone::open(&server, dir.path(), 2, clock);
    ana.sync().await.expect("the record comes, and its line");
    ana.sync().await.expect("sent");
    server.with(|state| assert_eq!(state.uploads.stored.len(), 2));
}

#[tokio::test]
async fn a_damaged_line_beside_one_that_shares_its_file_is_mended() {
    for sql in [
        "UPDATE campo_photo SET record = 'x' WHERE record = (SELECT max(record) FROM campo_photo)",
        "DELETE FROM campo_photo WHERE record = (SELECT max(record) FROM campo_photo)",
        "UPDATE campo_photo SET failure = 'x', state = 'x'",
        "UPDATE articulo_fotos SET sha256 = 'f' || substr(sha256, 2)",
    ] {
        let dir = tempfile::tempdir().expect("dir");
        let (server, ana) = ana(dir.path()).await;
        let record = article(&ana, "puerta");
        ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
        ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
        let engine = ana.core.engine().expect("signed in");
        let _ = engine.store().write(|db| Ok(db.execute(sql, [])?));
        let cancel = tokio_util::sync::CancellationToken::new();
        ana.core.verify(&cancel).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        ana.sync().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(server.with(|state| state.uploads.stored.len()), 4, "{sql}");
        assert_eq!(waiting(&ana), 0, "{sql}");
    }
}

#[tokio::test]
async fn a_photo_that_the_server_will_not_have_is_not_sent_again_with_every_round() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    let made = ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
    let refused = Problem::new(422, "photo_not_an_image", "This is no picture");
    let attempts = |n| {
        for _ in 0..n {
            server
                .fail_next(Fault::UploadFails(TransportError::Problem(Box::new(refused.clone()))));
        }
    };
    attempts(2);
    ana.sync().await.expect("a sync");
    for _ in 0..5 {
        ana.sync().await.expect("a sync");
    }
    assert_eq!(server.with(|state| state.uploads.requests), 0, "refused once, and left alone");
    assert_eq!(waiting(&ana), 2);
    ana.core.send_photo_now("articulo_fotos", made).expect("a person wants it");
    ana.sync().await.expect("a sync");
    assert_eq!(waiting(&ana), 0);
}

#[tokio::test]
async fn a_photo_whose_file_is_gone_keeps_nobody_from_signing_out_for_ever() {
    let dir = tempfile::tempdir().expect("dir");
    let (_, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
    ana.sync().await.expect("a sync");
    ana.core.add_photo("articulos", record, &photo(2, 500)).expect("added");
    let gone = views(&ana).into_iter().find(|v| v.item.state == State::Waiting).expect("one");
    std::fs::remove_file(gone.path).expect("somebody cleaned up");
    assert_eq!(ana.core.logout().await.expect_err("unsent").code(), "unsent_edits");
    ana.core.export(&dir.path().join("rescue.json")).expect("exported");
    ana.core.logout().await.expect("nothing is left to be saved");
}

#[tokio::test]
async fn a_deleted_record_takes_its_photos_along() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    let fields = object(json!({ "nombre": "puerta" }));
    let made = ana.core.check_in("articulos", &fields, None, None, &[photo(1, 500)]).expect("made");
    ana.sync().await.expect("a sync");
    ana.sync().await.expect("a sync");
    let receipt = ana.core.delete("articulos", made.record).expect("deleted");
    let mutations = ana.core.receipt(receipt).expect("a receipt").mutations;
    let of: Vec<&str> = mutations.iter().map(|m| m.collection.as_str()).collect();
    assert_eq!(of, ["articulo_fotos", "articulos"], "children first, in one transaction");
    ana.sync().await.expect("a sync");
    assert!(files(dir.path()).is_empty());
    server.with(|state| {
        let key = ("articulo_fotos".to_owned(), made.photos[0]);
        assert!(state.rows[&key].meta.deleted.is_some());
    });
}

#[tokio::test]
async fn what_is_fetched_after_somebody_signed_out_does_not_stay() {
    let dir = tempfile::tempdir().expect("dir");
    let (_, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    let made = ana.core.add_photo("articulos", record, &photo(1, 1_000)).expect("added");
    ana.sync().await.expect("a sync");
    ana.sync().await.expect("a sync");
    ana.core.set_photo_space(0).expect("evicted");
    let (fetched, left) =
        tokio::join!(ana.core.photo("articulo_fotos", made, Variant::Photo), ana.core.logout());
    left.expect("signed out");
    assert!(fetched.is_err(), "{fetched:?}");
    assert!(files(dir.path()).is_empty());
}

#[tokio::test]
async fn edits_do_not_wait_for_pictures() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    for seed in 0..20 {
        ana.core.add_photo("articulos", record, &photo(seed, 2_000_000)).expect("added");
    }
    let core = &ana.core;
    ana.clock.advance(1_000_000);
    let cancel = tokio_util::sync::CancellationToken::new();
    let mut progress = core.engine().expect("signed in").progress();
    let edits = async {
        loop {
            progress.changed().await.expect("the engine lives");
            let left = progress.borrow_and_update().photos_left;
            assert!(left > 0 || progress.borrow().phase != Phase::Idle, "it was too late");
            if left > 0 {
                core.insert("articulos", &object(json!({ "nombre": "urgente" }))).expect("saved");
                return;
            }
        }
    };
    let (synced, ()) = tokio::join!(core.sync(&cancel), edits);
    synced.expect("a sync");
    assert!(server.with(|state| state.uploads.stored.len()) < 40, "the round ends early");
    assert!(core.photos_waiting().expect("counts").files > 0);
    ana.sync().await.expect("the next round");
    assert_eq!(waiting(&ana), 0);
}

#[tokio::test]
async fn photos_of_a_database_that_is_set_aside_stay_with_it_until_they_are_exported() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let (path, clock) = {
        let ana = Phone::signed_in(&server, dir.path(), 1).await;
        let record = article(&ana, "puerta");
        ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
        let path = ana.core.engine().expect("signed in").store().path().to_owned();
        (path, Arc::clone(&ana.clock))
    };
    std::fs::write(&path, b"no database").expect("damaged");
    let registry = Registry::load(dir.path(), &SystemRandom).expect("a registry");
    let person = registry.active.clone().expect("somebody is active");
    aside::set_aside(&registry, dir.path(), &person).expect("renamed").expect("it is damaged");
    // The one that begins anew has photos of its own, and removes none that it does not know.
    let ana = Phone::open(&server, dir.path(), 2, clock);
    ana.login().await;
    ana.sync().await.expect("a sync");
    let record = article(&ana, "ventana");
    ana.core.add_photo("articulos", record, &photo(2, 700)).expect("added");
    ana.sync().await.expect("a sync");
    ana.core.set_photo_space(0).expect("swept");
    assert_eq!(files(dir.path()).len(), 4);
    assert_eq!(ana.core.logout().await.expect_err("not exported").code(), "set_aside_not_exported");
    let to = dir.path().join("rescue.json");
    ana.core.export(&to).expect("exported");
    let copies = dir.path().join("rescue.json.1.db.photos");
    assert_eq!(std::fs::read_dir(copies).expect("a folder").count(), 2);
    ana.core.logout().await.expect("what was exported may go");
    let left: Vec<String> =
        files(dir.path()).into_iter().filter(|name| !name.ends_with(".jpg")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!path.with_extension("photos").exists());
}
