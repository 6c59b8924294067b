//! Saved with their record, and sent: in order, in pieces, after the edits.

use crate::model::{Fault, object};
use mobile_core::photos::queue::State;
use mobile_core::photos::{PhotoName, Variant};
use mobile_core::sync::Phase;
use mobile_core::transport::TransportError;
use serde_json::json;
use sync_protocol::RecordId;
use sync_protocol::problem::Problem;

use crate::shot::{ana, article, files, photo, views, waiting};

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
