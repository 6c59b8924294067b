//! Queues that take several pushes: the next one is prepared while one is at the server.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use mobile_core::outbox::entry::State;
use model::{Fault, Phone, Server};
use serde_json::json;

/// Bytes of an edit: a push takes a mebibyte.
const EDIT_BYTES: usize = 50_000;
/// So many of them.
const PUSH: usize = 20;
/// More than one push takes.
const MANY: usize = 30;

fn put_many(phone: &Phone, from: usize, to: usize) {
    for n in from..to {
        let sheet = json!({ "a": "x".repeat(EDIT_BYTES) });
        phone.put("articulos", json!({ "nombre": format!("artículo {n}"), "ficha": sheet }));
    }
}

/// How many edits are in each state, and whether the server may have them.
fn outbox(phone: &Phone) -> Vec<(String, bool, usize)> {
    let store = phone.core.engine().expect("signed in").store().clone();
    let counted = store.read(|db| {
        let mut statement = db.prepare(
            "SELECT state, maybe_sent, count(*) FROM campo_outbox GROUP BY 1, 2 ORDER BY 1, 2",
        )?;
        let rows = statement.query_map([], |row| {
            let count: u32 = row.get(2)?;
            Ok((row.get(0)?, row.get(1)?, count as usize))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    });
    counted.expect("read")
}

/// Attempts that were drawn, and those of them that were answered.
fn marks(phone: &Phone) -> (usize, usize) {
    let store = phone.core.engine().expect("signed in").store().clone();
    let counted = store.read(|db| {
        let sql = "SELECT count(*), coalesce(sum(answered), 0) FROM campo_push";
        Ok(db.query_row(sql, [], |row| {
            let (drawn, answered): (u32, u32) = (row.get(0)?, row.get(1)?);
            Ok((drawn as usize, answered as usize))
        })?)
    });
    counted.expect("read")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_queue_goes_in_as_many_pushes_as_it_needs() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    put_many(&ana, 0, 2 * MANY);
    let before = server.with(|s| s.pushes);
    let report = ana.sync().await.expect("sync");
    assert_eq!((report.sent, report.applied), (2 * MANY as u64, 2 * MANY as u64));
    assert_eq!(server.with(|s| s.pushes) - before, 3);
    assert_eq!(marks(&ana), (3, 3), "each attempt once");
    assert!(ana.core.pending().expect("list").is_empty());
    // What it has seen goes with the next ones, each receipt once.
    put_many(&ana, 0, MANY);
    let told = server.with(|s| s.seen.len());
    ana.sync().await.expect("sync");
    assert_eq!(server.with(|s| s.seen.len()) - told, 2 * MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_builds_on_a_refused_edit_is_not_sent_although_it_was_prepared() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    put_many(&ana, 0, 10);
    let poison = ana.put("articulos", json!({ "nombre": "veneno" }));
    put_many(&ana, 10, MANY);
    ana.put("articulos", json!({ "id": poison, "existencia": { "add": 1 } }));
    let before = server.with(|s| s.pushes);
    let report = ana.sync().await.expect("sync");
    assert_eq!((report.applied, report.refused, report.parked), (MANY as u64, 1, 0));
    assert_eq!(server.with(|s| s.pushes) - before, 2);
    let heir = ana.core.pending().expect("list").pop().expect("waits");
    assert_eq!(heir.state, State::Parked);
    let expected = [("applied", true, MANY), ("parked", false, 1), ("refused", true, 1)];
    let expected = expected.map(|(state, sent, n)| (state.to_owned(), sent, n));
    assert_eq!(outbox(&ana), expected, "it was taken back before it went");
    assert_eq!(marks(&ana), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_fails_takes_back_what_was_prepared_behind_it() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    put_many(&ana, 0, MANY);
    server.fail_next(Fault::PushLost);
    assert_eq!(ana.sync().await.expect_err("lost").code(), "interrupted");
    let expected = [("sending".to_owned(), true, PUSH), ("waiting".to_owned(), false, MANY - PUSH)];
    assert_eq!(outbox(&ana), expected);
    assert_eq!(marks(&ana), (1, 0));
    server.fail_next(Fault::PushNeverArrives);
    ana.sync().await.expect_err("no connection");
    assert_eq!(outbox(&ana), expected, "the first push may have arrived");
    let report = ana.sync().await.expect("sync");
    assert_eq!((report.sent, report.applied), (MANY as u64, MANY as u64));
}
