//! Databases that were copied or restored from a backup lose and double nothing (DESIGN I14).
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use std::path::Path;
use std::sync::Arc;

use mobile_core::clock::ManualClock;
use mobile_core::outbox::entry::State;
use mobile_core::outbox::{push, stream};
use model::{Fault, Phone, START_US, Server};
use serde_json::json;
use sync_protocol::{RecordId, StreamId};

/// Opens a copy on another phone, which was started at another time.
async fn open(server: &Arc<Server>, dir: &Path, seed: u64) -> Phone {
    let clock = Arc::new(ManualClock::new(START_US));
    clock.reboot("the other phone's");
    Phone::open(server, dir, seed, clock)
}

fn stream(phone: &Phone) -> StreamId {
    phone.core.status().expect("status").stream.expect("it has synced")
}

fn units(server: &Server, record: RecordId) -> i64 {
    server
        .with(|s| s.rows[&("articulos".into(), record)].fields["existencia"].units())
        .expect("a number")
}

fn states(phone: &Phone) -> Vec<State> {
    phone.core.receipts().expect("list").iter().map(|receipt| receipt.state).collect()
}

/// A phone with an article of 10 pieces that the server has.
async fn with_stock(server: &Arc<Server>, dir: &Path) -> (Phone, RecordId) {
    let ana = Phone::signed_in(server, dir, 1).await;
    let id = ana.put("articulos", json!({ "nombre": "Tabla", "existencia": 10, "medida": 1 }));
    ana.sync().await.expect("sync");
    (ana, id)
}

#[tokio::test]
async fn a_folder_copied_with_pending_edits_sends_them_once() {
    for copy_first in [false, true] {
        let server = Server::new();
        let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let (ana, id) = with_stock(&server, one.path()).await;
        ana.put("articulos", json!({ "id": id, "existencia": { "add": -3 } }));
        ana.put("articulos", json!({ "id": id, "existencia": { "add": -1 } }));
        model::copy_folder(one.path(), two.path());
        let twin = open(&server, two.path(), 7).await;
        let (first, second) = if copy_first { (&twin, &ana) } else { (&ana, &twin) };
        first.sync().await.expect("sync");
        second.sync().await.expect("sync");
        assert_eq!(units(&server, id), 600);
        for phone in [&ana, &twin] {
            assert_eq!(phone.field(id, "existencia"), "6.00", "shown once as well");
            assert!(phone.core.pending().expect("list").is_empty());
            assert_eq!(states(phone), [State::Applied; 3]);
        }
        assert_ne!(stream(&ana), stream(&twin));
    }
}

#[tokio::test]
async fn edits_of_two_copies_are_concurrent() {
    let server = Server::new();
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (ana, id) = with_stock(&server, one.path()).await;
    model::copy_folder(one.path(), two.path());
    let twin = open(&server, two.path(), 7).await;
    ana.put("articulos", json!({ "id": id, "medida": 2, "nombre": "Tablón" }));
    twin.put("articulos", json!({ "id": id, "medida": 3, "existencia": { "add": 1 } }));
    let before = stream(&ana);
    assert_eq!(ana.sync().await.expect("sync").applied, 1);
    assert_eq!(twin.sync().await.expect("sync").in_review, 1);
    assert_eq!(stream(&ana), before, "the first one that writes keeps the stream");
    server.with(model::State::decide_all);
    ana.sync().await.expect("sync");
    twin.sync().await.expect("sync");
    assert_eq!(ana.field(id, "medida"), "3.00");
    assert_eq!(
        ana.core.list("articulos").expect("rows"),
        twin.core.list("articulos").expect("rows")
    );
    // From here on each has its own: nobody draws another one.
    let streams = (stream(&ana), stream(&twin));
    for phone in [&ana, &twin, &ana] {
        phone.put("articulos", json!({ "id": id, "existencia": { "add": 1 } }));
        phone.sync().await.expect("sync");
    }
    assert_eq!((stream(&ana), stream(&twin)), streams);
    assert_eq!(units(&server, id), 1400);
}

#[tokio::test]
async fn an_older_copy_that_is_restored_repeats_and_hides_nothing() {
    let server = Server::new();
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (ana, id) = with_stock(&server, one.path()).await;
    ana.put("articulos", json!({ "id": id, "existencia": { "add": -3 } }));
    model::copy_folder(one.path(), two.path());
    ana.sync().await.expect("sync");
    ana.put("articulos", json!({ "id": id, "medida": 2 }));
    ana.put("articulos", json!({ "nombre": "Clavo", "existencia": 5 }));
    ana.sync().await.expect("sync");
    let before = stream(&ana);
    drop(ana);
    // The phone is set back to the copy, and goes on in ignorance of what it made since.
    std::fs::remove_dir_all(one.path()).expect("a folder");
    model::copy_folder(two.path(), one.path());
    let ana = open(&server, one.path(), 9).await;
    assert_eq!(states(&ana), [State::Applied, State::Waiting]);
    ana.put("articulos", json!({ "id": id, "medida": 4 }));
    let report = ana.sync().await.expect("sync");
    assert_eq!((report.applied, report.in_review), (1, 1), "the lost measure is not hidden");
    assert_ne!(stream(&ana), before);
    assert_eq!(units(&server, id), 700);
    assert_eq!(ana.field(id, "existencia"), "7.00");
    assert_eq!(ana.core.list("articulos").expect("rows").rows.len(), 2, "what it lost is back");
    server.with(model::State::decide_all);
    ana.sync().await.expect("sync");
    assert!(ana.core.pending().expect("list").is_empty());
}

#[tokio::test]
async fn what_was_in_review_at_the_copy_is_told_to_both() {
    let server = Server::new();
    let dirs = [0, 1, 2].map(|_| tempfile::tempdir().expect("dir"));
    let (ana, id) = with_stock(&server, dirs[0].path()).await;
    let ben = Phone::signed_in(&server, dirs[2].path(), 2).await;
    ben.put("articulos", json!({ "id": id, "medida": 2 }));
    ana.put("articulos", json!({ "id": id, "medida": 3 }));
    ben.sync().await.expect("sync");
    assert_eq!(ana.sync().await.expect("sync").in_review, 1);
    model::copy_folder(dirs[0].path(), dirs[1].path());
    let twin = open(&server, dirs[1].path(), 7).await;
    for (phone, nombre) in [(&ana, "a"), (&twin, "b")] {
        phone.put("articulos", json!({ "nombre": nombre }));
        phone.sync().await.expect("sync");
        assert_eq!(phone.field(id, "medida"), "3.00", "the author's own value");
    }
    server.with(model::State::decide_all);
    for phone in [&ana, &twin] {
        phone.sync().await.expect("sync");
        assert_eq!(states(phone)[1], State::Applied);
        assert_eq!(phone.core.get("articulos", id).expect("here")["_pending"], 0);
    }
}

/// The older copy has nothing to send, and the server takes what it waits for as told.
#[tokio::test]
async fn what_another_copy_was_told_is_asked_about() {
    let server = Server::new();
    let dirs = [0, 1, 2].map(|_| tempfile::tempdir().expect("dir"));
    let (ana, id) = with_stock(&server, dirs[0].path()).await;
    let ben = Phone::signed_in(&server, dirs[2].path(), 2).await;
    ben.put("articulos", json!({ "id": id, "medida": 2 }));
    ben.sync().await.expect("sync");
    ana.put("articulos", json!({ "id": id, "existencia": { "add": -3 } }));
    ana.put("articulos", json!({ "id": id, "medida": 3 }));
    server.fail_next(Fault::PullCutAfter(0));
    ana.sync().await.expect_err("the line broke before the checkpoint");
    model::copy_folder(dirs[0].path(), dirs[1].path());
    ana.sync().await.expect("sync");
    server.with(model::State::decide_all);
    ana.put("articulos", json!({ "nombre": "Clavo" }));
    ana.sync().await.expect("sync");
    ana.sync().await.expect("sync");
    let before = stream(&ana);
    drop(ana);
    server.with(|s| {
        s.epoch += 1;
        s.epoch_code = "cursor_visibility_changed";
    });
    let ana = open(&server, dirs[1].path(), 9).await;
    ana.sync().await.expect("sync");
    assert_ne!(stream(&ana), before);
    ana.sync().await.expect("sync");
    assert!(ana.core.pending().expect("list").is_empty(), "{:?}", states(&ana));
    assert_eq!(states(&ana), [State::Applied; 3], "also what was decided meanwhile");
    assert_eq!(units(&server, id), 700);
    assert_eq!(ana.field(id, "existencia"), "7.00");
    assert_eq!(ana.core.get("articulos", id).expect("here")["_pending"], 0);
}

/// The older copy does not know that it has sent the edit, and takes it back without asking.
#[tokio::test]
async fn what_an_older_copy_discards_is_told_as_what_became_of_it() {
    // It hears of it by a pull, or asks about it with the next push, as another stream.
    for pushes in [false, true] {
        let server = Server::new();
        let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let (ana, id) = with_stock(&server, one.path()).await;
        ana.put("articulos", json!({ "id": id, "existencia": { "add": -3 } }));
        ana.put("articulos", json!({ "id": id, "nombre": "Tablero" }));
        model::copy_folder(one.path(), two.path());
        ana.sync().await.expect("sync");
        drop(ana);
        let ana = open(&server, two.path(), 9).await;
        let waiting: Vec<_> = ana.core.pending().expect("list").iter().map(|r| r.id).collect();
        for id in waiting {
            ana.core.discard(id).expect("nobody has it, as far as it knows");
        }
        assert_eq!(ana.field(id, "existencia"), "10.00");
        if pushes {
            ana.put("articulos", json!({ "id": id, "existencia": { "add": -1 } }));
        }
        ana.sync().await.expect("sync");
        let left = if pushes { 600 } else { 700 };
        assert_eq!(units(&server, id), left);
        assert_eq!(ana.field(id, "existencia"), format!("{}.00", left / 100), "shown once");
        assert_eq!(ana.field(id, "nombre"), "Tablero");
        assert!(states(&ana).iter().all(|state| *state == State::Applied), "{:?}", states(&ana));
        assert!(ana.core.pending().expect("list").is_empty());
        assert_eq!(ana.core.get("articulos", id).expect("here")["_pending"], 0);
    }
}

/// What no other copy has sent stays discarded, also at the server.
#[tokio::test]
async fn what_only_a_copy_had_and_discarded_stays_discarded() {
    let server = Server::new();
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (ana, id) = with_stock(&server, one.path()).await;
    model::copy_folder(one.path(), two.path());
    ana.put("articulos", json!({ "id": id, "existencia": { "add": -2 } }));
    ana.sync().await.expect("sync");
    let twin = open(&server, two.path(), 9).await;
    twin.put("articulos", json!({ "id": id, "existencia": { "add": -3 } }));
    let mistake = twin.core.pending().expect("list")[0].id;
    twin.core.discard(mistake).expect("nobody has it");
    twin.put("articulos", json!({ "id": id, "existencia": { "add": -1 } }));
    twin.sync().await.expect("sync");
    assert_eq!(states(&twin), [State::Applied, State::Discarded, State::Applied]);
    assert_eq!(twin.field(id, "existencia"), "7.00");
    assert_eq!(units(&server, id), 700);
}

/// The server has told of it, although its receipt is not kept for ever.
#[tokio::test]
async fn what_was_refused_and_discarded_long_ago_is_not_asked_about_again() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let (ana, id) = with_stock(&server, dir.path()).await;
    ana.put("articulos", json!({ "id": id, "nombre": "veneno" }));
    ana.sync().await.expect("sync");
    let refused = ana.core.problems().expect("list")[0].id;
    ana.core.discard(refused).expect("it was refused");
    ana.sync().await.expect("sync");
    let store = ana.core.engine().expect("signed in").store().clone();
    for later_us in [0, 8 * 24 * 3_600 * 1_000_000] {
        store.write(|db| push::forget_content(db, START_US + later_us)).expect("forgotten");
        store.write(|db| stream::forget_old(db)).expect("as another stream");
        assert_eq!(states(&ana), [State::Applied, State::Discarded]);
    }
    assert!(ana.core.receipt(refused).expect("here").mutations.is_empty(), "its content is gone");
}

/// A decision can be taken back, which the server tells the streams that have asked.
#[tokio::test]
async fn another_stream_asks_about_what_was_decided_as_well() {
    let server = Server::new();
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("dir"));
    let (ana, id) = with_stock(&server, dirs[0].path()).await;
    let ben = Phone::signed_in(&server, dirs[1].path(), 2).await;
    ben.put("articulos", json!({ "id": id, "medida": 2 }));
    ana.put("articulos", json!({ "id": id, "medida": 3 }));
    ben.sync().await.expect("sync");
    assert_eq!(ana.sync().await.expect("sync").in_review, 1);
    server.with(model::State::decide_all);
    ana.sync().await.expect("sync");
    assert_eq!(states(&ana), [State::Applied, State::Applied]);
    let store = ana.core.engine().expect("signed in").store().clone();
    store.write(|db| stream::forget_old(db)).expect("as another stream");
    assert_eq!(states(&ana), [State::Applied, State::Waiting]);
    ana.sync().await.expect("sync");
    assert_eq!(states(&ana), [State::Applied, State::Applied]);
    assert_eq!(ana.core.get("articulos", id).expect("here")["_pending"], 0, "it shows nothing");
}

#[tokio::test]
async fn lost_answers_and_a_restored_server_are_no_copies() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let (ana, id) = with_stock(&server, dir.path()).await;
    let before = stream(&ana);
    let take = || ana.put("articulos", json!({ "id": id, "existencia": { "add": -1 } }));
    for fault in [Fault::PushAnswerLost, Fault::PushAnswerLost, Fault::PushNeverArrives] {
        take();
        server.fail_next(fault);
        ana.sync().await.expect_err("no answer");
    }
    take();
    ana.sync().await.expect("sync");
    assert_eq!(units(&server, id), 600);
    // The server is set back to an earlier push of this stream.
    let pushes = server.with(|s| s.last_push.clone());
    take();
    ana.sync().await.expect("sync");
    server.with(|s| s.last_push = pushes);
    take();
    ana.sync().await.expect("sync");
    assert_eq!(units(&server, id), 400);
    assert_eq!(stream(&ana), before);
}
