//! What a phone does when the server fails, was restored, or says things that are not about edits.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use mobile_core::core::ConflictFilter;
use mobile_core::outbox::entry::State;
use model::{Fault, Phone, Server, object};
use serde_json::json;
use sync_protocol::problem::Problem;
use sync_protocol::wire::review::Keep;
use sync_protocol::{ConflictId, RecordId};
use uuid::Uuid;

const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

fn problem(status: u16, code: &str) -> Box<Problem> {
    Box::new(Problem::new(status, code, "No"))
}

#[tokio::test]
async fn a_backfill_shows_a_decided_edit_once() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    for n in 0..4 {
        ana.put("articulos", json!({ "nombre": format!("a{n}"), "existencia": 10 }));
    }
    ana.sync().await.expect("sync");
    let ids = ana.core.query("SELECT id FROM articulos ORDER BY id", &[]).expect("sql").rows;
    let first = ids[0][0].as_str().expect("an id").parse().expect("an id");
    ana.put("articulos", json!({ "id": first, "existencia": { "add": -3 } }));
    server.with(|s| {
        s.epoch += 1;
        s.epoch_code = "cursor_visibility_changed";
        s.page_rows = 2;
    });
    // The answer came; of the backfill, only the first page. (The pull that is told to begin anew
    // uses up the first fault.)
    server.fail_next(Fault::PullGarbageAfter(1));
    server.fail_next(Fault::PullGarbageAfter(1));
    ana.sync().await.expect_err("garbage");
    assert_eq!(ana.field(first, "existencia"), "7.00", "once, not twice");
    ana.put("articulos", json!({ "id": first, "existencia": { "add": -1 } }));
    assert_eq!(ana.field(first, "existencia"), "6.00");
    ana.sync().await.expect("sync");
    assert_eq!(ana.field(first, "existencia"), "6.00");
    assert!(ana.core.pending().expect("list").is_empty());
}

#[tokio::test]
async fn a_role_that_changes_again_while_a_round_begins_anew_does_not_end_it() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let ids: Vec<RecordId> =
        (0..4).map(|n| ana.put("articulos", json!({ "nombre": format!("a{n}") }))).collect();
    ana.sync().await.expect("sync");
    server.with(|s| {
        s.epoch += 1;
        s.epoch_code = "cursor_visibility_changed";
        s.page_rows = 1;
    });
    // The first pull is told to begin anew, and uses up a fault.
    for _ in 0..3 {
        server.fail_next(Fault::RoleChangesAfter(2));
    }
    ana.sync().await.expect("in one round");
    assert!(ids.iter().all(|id| ana.core.get("articulos", *id).is_ok()));
}

#[tokio::test]
async fn a_round_begins_anew_only_so_often() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    for n in 0..4 {
        ana.put("articulos", json!({ "nombre": format!("a{n}") }));
    }
    ana.sync().await.expect("sync");
    server.with(|s| {
        s.epoch += 1;
        s.epoch_code = "cursor_visibility_changed";
        s.page_rows = 1;
    });
    for _ in 0..50 {
        server.fail_next(Fault::RoleChangesAfter(1));
    }
    let error = ana.sync().await.expect_err("it would never end");
    assert_eq!(error.code(), "cursor_visibility_changed");
    assert!(server.with(|s| s.pulls) < 20);
}

#[tokio::test]
async fn a_field_that_may_not_be_read_any_more_leaves_with_the_first_page_beside_edits_too() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    for n in 0..3 {
        ana.put("articulos", json!({ "nombre": format!("a{n}"), "ficha": { "margen": 3 } }));
    }
    ana.sync().await.expect("sync");
    let ids = ana.core.query("SELECT id FROM articulos ORDER BY id", &[]).expect("sql").rows;
    let last: RecordId = ids[2][0].as_str().expect("an id").parse().expect("an id");
    ana.put("articulos", json!({ "id": last, "existencia": { "add": 1 } }));
    let beside = || {
        let engine = ana.core.engine().expect("somebody is signed in");
        let content = |db: &rusqlite::Connection| {
            let sql = "SELECT group_concat(content) FROM campo_server_row";
            Ok(db.query_row(sql, [], |row| row.get::<_, Option<String>>(0))?.unwrap_or_default())
        };
        engine.store().read(content).expect("sql")
    };
    assert!(beside().contains("margen"));
    server.with(|s| {
        s.epoch += 1;
        s.epoch_code = "cursor_visibility_changed";
        s.page_rows = 1;
        let articles = s.schema.collections.get_mut("articulos").expect("it is there");
        articles.fields.retain(|field| field.name != "ficha");
    });
    // Of the backfill only the first page comes, which has another row.
    server.fail_next(Fault::PullGarbageAfter(1));
    server.fail_next(Fault::PullGarbageAfter(1));
    ana.sync().await.expect_err("garbage");
    assert!(beside().contains("nombre"), "{}", beside());
    assert!(!beside().contains("margen"), "{}", beside());
    ana.sync().await.expect("sync");
    assert_eq!(ana.field(last, "existencia"), "1.00");
}

#[tokio::test]
async fn what_a_restored_server_lost_is_sent_again() {
    for (code, comes_back) in [("cursor_history_ended", true), ("cursor_visibility_changed", false)]
    {
        let server = Server::new();
        let dir = tempfile::tempdir().expect("dir");
        let ana = Phone::signed_in(&server, dir.path(), 1).await;
        let old = ana.put("articulos", json!({ "nombre": "vieja" }));
        ana.sync().await.expect("sync");
        ana.clock.advance(8 * DAY_US);
        server.with(|s| s.now_us += 8 * DAY_US);
        let settled = ana.put("articulos", json!({ "nombre": "nueva", "existencia": 4 }));
        ana.sync().await.expect("sync");
        let decided = ana.put("articulos", json!({ "nombre": "última" }));
        server.fail_next(Fault::PullCutAfter(0));
        ana.sync().await.expect_err("the checkpoint is lost");
        server.with(|s| {
            s.epoch += 1;
            s.epoch_code = code;
            s.rows.clear();
            s.receipts.clear();
            s.seen.clear();
        });
        ana.sync().await.expect("sync");
        ana.sync().await.expect("sync");
        let here = |id| ana.core.get("articulos", id).is_ok();
        assert_eq!((here(settled), here(old)), (comes_back, false), "{code}");
        if comes_back {
            assert!(here(decided));
            assert_eq!(ana.field(settled, "existencia"), "4.00");
            assert!(ana.core.pending().expect("list").is_empty());
            assert_eq!(server.with(|s| (s.rows.len(), s.seen.len())), (2, 3));
        }
    }
}

#[tokio::test]
async fn only_an_unreadable_push_refuses_an_edit() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    ana.put("articulos", json!({ "nombre": "a" }));
    let state = || ana.core.pending().expect("list").pop().map(|receipt| receipt.state);
    server.fail_next(Fault::PushFails(problem(422, "device_unknown")));
    assert_eq!(ana.sync().await.expect_err("it says no").code(), "device_unknown");
    assert!(state().is_some());
    server.fail_next(Fault::SessionEnded);
    server.fail_next(Fault::RefreshFails(problem(400, "malformed_json")));
    assert_eq!(ana.sync().await.expect_err("no session").code(), "malformed_json");
    assert!(state().is_some());
    // What the server may have read once, it cannot be unable to read.
    server.fail_next(Fault::PushAnswerLost);
    ana.sync().await.expect_err("the answer is lost");
    server.fail_next(Fault::PushFails(problem(413, "body_too_large")));
    assert_eq!(ana.sync().await.expect_err("it says no").code(), "body_too_large");
    assert_eq!(state(), None, "the pull has told what became of it");
    ana.sync().await.expect("sync");
    assert!(ana.core.problems().expect("list").is_empty());
}

#[tokio::test]
async fn an_unreadable_edit_that_may_have_been_sent_holds_up_nothing_else() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let large = ana.put("articulos", json!({ "nombre": "a" }));
    server.fail_next(Fault::PushLost);
    ana.sync().await.expect_err("its upload is cut");
    ana.put("articulos", json!({ "id": large, "existencia": { "add": 1 } }));
    for n in 0..6 {
        ana.put("articulos", json!({ "nombre": format!("b{n}") }));
    }
    // All eight, the first four, the first two, and the culprit alone.
    for _ in 0..4 {
        server.fail_next(Fault::PushFails(problem(413, "body_too_large")));
    }
    assert_eq!(ana.sync().await.expect_err("one is too large").code(), "body_too_large");
    assert_eq!(server.with(|s| s.rows.len()), 6, "the others went");
    let left = ana.core.pending().expect("list");
    let states: Vec<State> = left.iter().map(|receipt| receipt.state).collect();
    assert_eq!(states, [State::Sending, State::Waiting], "the culprit and its heir");
    ana.sync().await.expect("it can be read after all");
    assert!(ana.core.pending().expect("list").is_empty());
}

#[tokio::test]
async fn an_edit_at_which_the_server_fails_holds_up_nothing_else() {
    let server = Server::new();
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let ana = Phone::signed_in(&server, one.path(), 1).await;
    let ben = Phone::signed_in(&server, two.path(), 2).await;
    for n in 0..20 {
        let id = ana.put("articulos", json!({ "nombre": if n == 7 { "bomba" } else { "a" } }));
        if n == 7 {
            ana.put("articulos", json!({ "id": id, "existencia": { "add": 1 } }));
        }
    }
    let theirs = ben.put("articulos", json!({ "nombre": "de ben" }));
    ben.sync().await.expect("sync");
    assert_eq!(ana.sync().await.expect_err("it fails").code(), "internal");
    assert_eq!(ana.core.pending().expect("list").len(), 21);
    assert_eq!(ana.sync().await.expect_err("it fails at one").code(), "internal");
    let left: Vec<State> =
        ana.core.pending().expect("list").iter().map(|receipt| receipt.state).collect();
    assert_eq!(left, [State::Sending, State::Sending], "the culprit and its heir");
    assert!(ana.core.get("articulos", theirs).is_ok(), "and it pulls");
    // A server that fails at everything is not asked a thousand times.
    for _ in 0..20 {
        ana.put("articulos", json!({ "nombre": "bomba" }));
    }
    let before = server.with(|s| s.pushes);
    ana.sync().await.expect_err("it fails");
    assert!(server.with(|s| s.pushes) - before < 15);
}

#[tokio::test]
async fn a_correction_may_use_what_was_made_later() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let movement = ana.put("movimientos", json!({ "nota": "veneno" }));
    ana.put("movimientos", json!({ "id": movement, "nota": "después" }));
    assert_eq!(ana.sync().await.expect("sync").refused, 1);
    let article = ana.put("articulos", json!({ "nombre": "nuevo" }));
    let other = ana.put("articulos", json!({ "nombre": "otro" }));
    let refused = ana.core.problems().expect("list").remove(0);
    assert_eq!(refused.state, State::Refused);
    let correction = object(json!({ "nota": "bien", "articulo_id": article }));
    ana.core.retry(refused.id, Some(&correction)).expect("it can be corrected");
    let report = ana.sync().await.expect("sync");
    assert_eq!((report.applied, report.refused, report.parked), (4, 0, 0));
    assert_eq!(ana.core.get("movimientos", movement).expect("here")["nota"], "después");
    assert!(ana.core.get("articulos", other).is_ok());
}

#[tokio::test]
async fn one_refresh_serves_everybody_who_waits() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    server.with(|s| s.only_token = Some("none".into()));
    let before = server.with(|s| s.sessions);
    let all = ConflictFilter::default();
    let (one, two, three) =
        tokio::join!(ana.core.conflicts(&all), ana.core.conflicts(&all), ana.core.conflicts(&all));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(server.with(|s| s.sessions) - before, 1);
}

#[tokio::test]
async fn a_round_whose_token_cannot_be_renewed_leaves_nothing_running() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    // A token's end is known by the boot clock: after a restart it has to be renewed.
    ana.clock.reboot("later");
    let engine = ana.core.engine().expect("signed in");
    for _ in 0..50 {
        server.fail_next(Fault::RefreshFails(problem(500, "internal")));
        let error = ana.sync().await.expect_err("there is no good token");
        assert_eq!(error.code(), "internal");
        assert!(!engine.is_running(), "the next round would be refused");
    }
}

#[tokio::test]
async fn a_logout_is_not_undone_by_a_refresh() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    server.with(|s| s.only_token = Some("none".into()));
    let engine = ana.core.engine().expect("signed in");
    let all = ConflictFilter::default();
    let (list, logout) = tokio::join!(ana.core.conflicts(&all), async {
        // Behind the core's back, as another process does it, while the refresh is on its way.
        while server.with(|s| s.refreshes) == 0 {
            tokio::task::yield_now().await;
        }
        engine.store().write(|db| {
            mobile_core::store::meta::remove(db, mobile_core::store::meta::name::SESSION)
        })?;
        Ok::<_, mobile_core::CoreError>(())
    });
    logout.expect("written");
    assert_eq!(list.expect_err("signed out").code(), "signed_out");
    assert!(!ana.core.status().expect("status").signed_in);
}

#[tokio::test]
async fn a_decision_names_the_revision_that_the_person_saw() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let id = ConflictId(Uuid::from_u128(7));
    // The model has no conflicts to show; what counts is what it was asked.
    ana.core.resolve(id, 7, Keep::Server, "").await.expect_err("there is none");
    assert_eq!(server.with(|s| s.resolved.clone()), [7]);
}
