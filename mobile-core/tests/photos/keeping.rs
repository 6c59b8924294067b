//! Kept until the server has them, and gone when they should be.

use crate::model::object;
use mobile_core::photos::Variant;
use mobile_core::photos::files::hash;
use mobile_core::photos::queue::State;
use serde_json::json;
use sync_protocol::RecordId;

use crate::shot::{ana, article, files, photo, views, waiting};

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
async fn an_edit_that_fails_leaves_no_picture_behind() {
    let dir = tempfile::tempdir().expect("dir");
    let (_, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    let nowhere = RecordId(uuid::Uuid::from_u128(7));
    let failed = ana.core.transaction(|edit| {
        edit.attach("articulos", record, &photo(1, 500))?;
        edit.attach("articulos", nowhere, &photo(2, 500))
    });
    assert_eq!(failed.expect_err("there is no such record").code(), "no_such_record");
    assert!(views(&ana).is_empty());
    assert!(files(dir.path()).is_empty(), "{:?}", files(dir.path()));
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
