//! Rounds against the model server: what is kept, shown and said when things go wrong.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use std::sync::Arc;

use mobile_core::clock::ManualClock;
use mobile_core::outbox::entry::State;
use mobile_core::outbox::push;
use mobile_core::store::meta;
use mobile_core::{CoreError, pull};
use model::{Fault, Phone, START_US, Server, object};
use serde_json::json;
use sync_protocol::Value;
use sync_protocol::problem::Problem;
use sync_protocol::schema::Schema;
use sync_protocol::wire::pull::PullPage;
use sync_protocol::wire::receipt::{Receipt, ReceiptState};

fn article(n: usize) -> serde_json::Value {
    json!({ "nombre": format!("artículo {n}"), "existencia": "10" })
}

#[tokio::test]
async fn an_edit_reaches_the_other_phone() {
    let server = Server::new();
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let ana = Phone::signed_in(&server, one.path(), 1).await;
    let id = ana.put(
        "articulos",
        json!({
            "nombre": "Tabla", "existencia": "12.5", "etiquetas": ["pino", "obra"], "medida": 3.25,
            "contado_el": "2026-11-24", "activo": true, "visto": "2026-11-24T10:00:00-06:00",
            "ficha": { "b": 1, "a": [true, null] }
        }),
    );
    let before = ana.core.get("articulos", id).expect("shown at once");
    assert_eq!(before["_pending"], 1);
    let report = ana.sync().await.expect("sync");
    assert_eq!((report.sent, report.applied, report.settled), (1, 1, 1));
    let ben = Phone::signed_in(&server, two.path(), 2).await;
    let mut here = ana.core.get("articulos", id).expect("still here");
    assert_eq!(here["_pending"], 0);
    assert_eq!(here, ben.core.get("articulos", id).expect("came"));
    here.remove("_version");
    assert_eq!(here["existencia"], "12.50");
    assert_eq!(here["visto"], "2026-11-24T16:00:00.000000Z");
    assert!(ana.core.pending().expect("list").is_empty());
    assert_eq!(ana.core.receipts().expect("list")[0].state, State::Applied);
    // The next push tells the server that the outcome is durable here.
    ana.sync().await.expect("sync");
    assert_eq!(server.with(|s| s.seen.len()), 1);
}

#[tokio::test]
async fn a_lost_answer_is_not_applied_twice_nor_shown_twice() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let id = ana.put("articulos", article(1));
    ana.sync().await.expect("sync");
    ana.put("articulos", json!({ "id": id, "existencia": { "add": "-3" } }));
    assert_eq!(ana.field(id, "existencia"), "7.00");
    server.fail_next(Fault::PushAnswerLost);
    let error = ana.sync().await.expect_err("the answer is lost");
    assert_eq!(error.code(), "interrupted");
    assert!(error.retryable());
    assert_eq!(ana.field(id, "existencia"), "7.00");
    let waiting = &ana.core.pending().expect("list")[0];
    assert_eq!(waiting.state, State::Sending, "it may have arrived");
    let mut live = ana.core.watch("SELECT existencia FROM articulos").expect("sql");
    ana.sync().await.expect("sync");
    assert!(live.changed().await);
    assert_eq!(ana.field(id, "existencia"), "7.00");
    let units = server.with(|s| s.rows[&("articulos".into(), id)].fields["existencia"].units());
    assert_eq!(units, Some(700));
    assert!(ana.core.pending().expect("list").is_empty());
}

#[tokio::test]
async fn one_poison_edit_parks_only_what_builds_on_it() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let mut poison = None;
    for n in 0..979 {
        if n == 500 {
            let id = ana.put("articulos", json!({ "nombre": "veneno" }));
            for heir in 0..20 {
                if heir % 2 == 0 {
                    ana.put("articulos", json!({ "id": id, "existencia": { "add": 1 } }));
                } else {
                    ana.put("movimientos", json!({ "articulo_id": id, "nota": "entra" }));
                }
            }
            poison = Some(id);
        }
        ana.put("articulos", article(n));
    }
    let poison = poison.expect("made");
    let report = ana.sync().await.expect("sync");
    assert_eq!((report.applied, report.refused, report.parked), (979, 1, 20));
    let problems = ana.core.problems().expect("list");
    assert_eq!(problems.len(), 21);
    assert!(problems.iter().all(|p| p.problem.is_some()), "each says why");
    let refused = problems.iter().find(|p| p.state == State::Refused).expect("one is refused");
    assert_eq!(refused.problem.as_ref().map(|p| p.code.as_str()), Some("poison"));
    // A later edit that refers to the refused record waits with the others; it is not even sent.
    ana.put("movimientos", json!({ "articulo_id": poison, "nota": "después" }));
    ana.sync().await.expect("sync");
    assert_eq!(ana.core.problems().expect("list").len(), 22);
    let correction = object(json!({ "nombre": "Antídoto" }));
    ana.core.retry(refused.id, Some(&correction)).expect("it can be corrected");
    assert_eq!(ana.core.get("articulos", poison).expect("shown again")["existencia"], "10.00");
    let report = ana.sync().await.expect("sync");
    assert_eq!((report.applied, report.refused, report.parked), (22, 0, 0));
    assert!(ana.core.problems().expect("list").is_empty());
    assert!(ana.core.pending().expect("list").is_empty());
    assert_eq!(ana.field(poison, "existencia"), "10.00");
    let counts = ana.core.status().expect("status").receipts;
    assert_eq!((counts["applied"], counts["refused"]), (1_001, 1), "in = out");
}

#[tokio::test]
async fn nothing_overtakes_an_edit_that_has_to_come_again() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let id = ana.put("articulos", article(0));
    ana.sync().await.expect("sync");
    // More edits of one row than one push takes; somebody holds the row during the first push only.
    for n in 0..1_005 {
        ana.put("articulos", json!({ "id": id, "nombre": format!("nombre {n}") }));
    }
    ana.put("articulos", article(1));
    server.with(|state| state.in_use = Some(id));
    let report = ana.sync().await.expect("sync");
    assert_eq!((report.applied, report.parked), (1, 1_000), "the rest of the heirs was not sent");
    let waiting = ana.core.pending().expect("list");
    let reason = waiting[0].waiting_for.as_ref().map(|why| why.code.as_str());
    assert_eq!(reason, Some("busy"));
    let report = ana.sync().await.expect("sync");
    assert_eq!((report.applied, report.parked), (1_005, 0));
    assert!(ana.core.pending().expect("list").is_empty());
    assert_eq!(ana.field(id, "nombre"), "nombre 1004");
}

#[tokio::test]
async fn what_is_put_off_says_why_until_it_goes_through() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    ana.put("articulos", article(0));
    let edit = ana.core.pending().expect("list").remove(0);
    let store = Arc::clone(ana.core.engine().expect("signed in").store());
    // What it builds on is not refused any more: that reason is over.
    let shown = [("conflict_full", "conflict_full"), ("builds_on_held", "builds_on_held")];
    for (told, shown) in [&shown[..], &[("builds_on_refused", "next_sync")]].concat() {
        let receipt = Receipt {
            id: edit.id,
            state: ReceiptState::Parked,
            problem: Some(Problem::new(409, told, "It has to wait").retryable()),
            mutations: Vec::new(),
            held: false,
            settled_at_us: START_US,
        };
        store.write(|db| push::record(db, &model::schema(), &[receipt])).expect("written");
        let why = ana.core.receipt(edit.id).expect("known").waiting_for.expect("says why");
        assert_eq!(why.code, shown);
    }
    ana.sync().await.expect("sync");
    assert!(ana.core.pending().expect("list").is_empty());
}

#[tokio::test]
async fn the_backlog_drains_by_itself_after_a_server_error() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    for n in 0..20 {
        ana.put("articulos", article(n));
    }
    server.fail_next(Fault::PushFails(Box::new(Problem::new(
        500,
        "internal",
        "The server failed",
    ))));
    let error = ana.sync().await.expect_err("the server failed");
    assert!(error.retryable());
    let pending = ana.core.pending().expect("list");
    assert_eq!(pending.len(), 20);
    let why = pending[0].waiting_for.as_ref().expect("says why");
    assert_eq!(why.code, "internal");
    ana.sync().await.expect("sync");
    assert!(ana.core.pending().expect("list").is_empty());
}

#[tokio::test]
async fn a_push_that_cannot_be_read_is_halved_to_its_culprit() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    for n in 0..4 {
        ana.put("articulos", article(n));
    }
    let too_large = || Fault::PushFails(Box::new(Problem::new(413, "body_too_large", "Too large")));
    // 4 fail, 2 fail, 1 fails alone; the other three go through.
    for _ in 0..3 {
        server.fail_next(too_large());
    }
    let report = ana.sync().await.expect("sync");
    assert_eq!((report.applied, report.refused), (3, 1));
    assert_eq!(ana.core.problems().expect("list").len(), 1);
}

#[tokio::test]
async fn without_network_nothing_is_tried_and_everything_says_so() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    ana.put("articulos", article(1));
    ana.core.engine().expect("signed in").set_network(Some(false));
    assert_eq!(ana.sync().await.expect_err("no network").code(), "no_network");
    let pending = ana.core.pending().expect("list");
    assert_eq!(pending[0].waiting_for.as_ref().map(|w| w.code.as_str()), Some("no_network"));
    assert_eq!(pending[0].state, State::Waiting);
    ana.core.engine().expect("signed in").set_network(Some(true));
    server.fail_next(Fault::PushNeverArrives);
    assert_eq!(ana.sync().await.expect_err("refused").code(), "cannot_connect");
    let pending = ana.core.pending().expect("list");
    assert_eq!(pending[0].state, State::Waiting, "it provably did not arrive");
    ana.core.discard(pending[0].id).expect("so it can be taken back");
    assert!(ana.core.list("articulos").expect("list").rows.is_empty());
}

#[tokio::test]
async fn an_ended_session_is_renewed_within_the_round() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    ana.put("articulos", article(1));
    server.fail_next(Fault::SessionEnded);
    assert_eq!(ana.sync().await.expect("sync").applied, 1);
    server.fail_next(Fault::SessionEnded);
    server.fail_next(Fault::SessionEnded);
    ana.put("articulos", article(2));
    let error = ana.sync().await.expect_err("ended for good");
    assert_eq!((error.code(), error.retryable()), ("session_ended", false));
    assert_eq!(ana.core.pending().expect("list").len(), 1, "the edit is kept");
}

#[tokio::test]
async fn a_cut_or_garbled_delta_shows_nothing_until_its_checkpoint() {
    let server = Server::new();
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let ana = Phone::signed_in(&server, one.path(), 1).await;
    let ben = Phone::signed_in(&server, two.path(), 2).await;
    let ids: Vec<_> = (0..10).map(|n| ana.put("articulos", article(n))).collect();
    ana.sync().await.expect("sync");
    server.with(|s| s.page_rows = 3);
    server.fail_next(Fault::PullGarbageAfter(2));
    let error = ben.sync().await.expect_err("garbage");
    assert_eq!(error.code(), "unusable_answer");
    assert!(ben.core.list("articulos").expect("list").rows.is_empty(), "staged, not shown");
    // The phone is killed and started again between two pages; meanwhile a row moves on.
    let clock = Arc::clone(&ben.clock);
    drop(ben);
    server.with(|s| s.sql("articulos", ids[0], "nombre", Value::Text("otro".into())));
    let ben = Phone::open(&server, two.path(), 3, clock);
    assert!(ben.core.list("articulos").expect("list").rows.is_empty());
    server.fail_next(Fault::PullCutAfter(1));
    ben.sync().await.expect("it goes on by itself");
    assert_eq!(ben.core.list("articulos").expect("list").rows.len(), 10);
    assert_eq!(ben.field(ids[0], "nombre"), "otro");
}

#[tokio::test]
async fn a_first_sync_that_is_cut_goes_on_where_it_was() {
    let server = Server::new();
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let ana = Phone::signed_in(&server, one.path(), 1).await;
    let ids: Vec<_> = (0..30).map(|n| ana.put("articulos", article(n))).collect();
    ana.sync().await.expect("sync");
    server.with(|s| s.page_rows = 4);
    let ben = Phone::open(&server, two.path(), 2, Arc::new(ManualClock::new(START_US)));
    ben.login().await;
    server.fail_next(Fault::PullGarbageAfter(3));
    ben.sync().await.expect_err("garbage");
    assert_eq!(ben.core.list("articulos").expect("list").rows.len(), 12, "early rows show");
    assert_eq!(ben.core.status().expect("status").incomplete_scopes, ["tenant"]);
    server.with(|s| s.sql("articulos", ids[1], "nombre", Value::Text("otro".into())));
    server.fail_next(Fault::PullCutAfter(3));
    ben.sync().await.expect("it goes on by itself");
    assert_eq!(ben.core.list("articulos").expect("list").rows.len(), 30);
    assert_eq!(ben.field(ids[1], "nombre"), "otro");
    assert!(ben.core.status().expect("status").incomplete_scopes.is_empty());
}

#[tokio::test]
async fn what_a_person_decides_on_stays_in_its_authors_view() {
    let server = Server::new();
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let ana = Phone::signed_in(&server, one.path(), 1).await;
    let id = ana.put("articulos", article(1));
    ana.sync().await.expect("sync");
    let ben = Phone::signed_in(&server, two.path(), 2).await;
    ana.put("articulos", json!({ "id": id, "medida": "1.00" }));
    ben.put("articulos", json!({ "id": id, "medida": "2.00", "existencia": { "add": -1 } }));
    ana.sync().await.expect("sync");
    let report = ben.sync().await.expect("sync");
    assert_eq!(report.in_review, 1);
    assert_eq!(ben.field(id, "medida"), "2.00", "the author's own value");
    assert_eq!(ben.field(id, "existencia"), "9.00", "the rest took effect, once");
    let receipt = &ben.core.receipts().expect("list")[0];
    assert_eq!(receipt.state, State::InReview);
    let seen = &receipt.mutations[0].seen["medida"];
    assert!(seen.is_null(), "what its author saw goes along");
    server.with(model::State::decide_all);
    ben.sync().await.expect("sync");
    ana.sync().await.expect("sync");
    assert_eq!(ben.core.receipts().expect("list")[0].state, State::Applied);
    assert_eq!(ana.field(id, "medida"), "2.00");
    assert_eq!(ben.core.get("articulos", id).expect("here")["_pending"], 0);
}

#[tokio::test]
async fn a_wrong_clock_changes_no_time_and_an_uncertain_one_says_so() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let clock = Arc::new(ManualClock::new(0));
    let ana = Phone::open(&server, dir.path(), 1, Arc::clone(&clock));
    ana.login().await;
    ana.sync().await.expect("sync");
    ana.put("articulos", article(1));
    let sent = |phone: &Phone| phone.core.receipts().expect("list").pop().expect("one").edited_us;
    ana.sync().await.expect("sync");
    let time = sent(&ana).expect("fixed");
    assert!((START_US..START_US + 2_000_000).contains(&time), "{time}");
    // A boot without contact, with a clock that is years ahead; then another boot.
    clock.reboot("lost");
    clock.set_wall(START_US * 2);
    ana.put("articulos", article(2));
    ana.put("articulos", article(3));
    clock.reboot("found");
    server.with(|s| s.now_us += 60_000_000);
    ana.sync().await.expect("sync");
    let time = sent(&ana).expect("fixed");
    assert!((START_US..=START_US + 60_000_000).contains(&time), "bounded: {time}");
}

#[tokio::test]
async fn a_phone_that_sleeps_during_its_first_contact_learns_no_wrong_time() {
    const HOURS_US: i64 = 3 * 60 * 60 * 1_000_000;
    for late in [1, 2, 9] {
        let server = Server::new();
        let dir = tempfile::tempdir().expect("dir");
        let ana = Phone::signed_in(&server, dir.path(), 1).await;
        ana.clock.reboot("another");
        ana.put("articulos", article(1));
        for _ in 0..late {
            server.fail_next(Fault::AnswerLate(HOURS_US));
        }
        ana.sync().await.expect("sync");
        let edited_us = ana.core.receipts().expect("list")[0].edited_us.expect("fixed");
        let sent = server.with(|s| s.rows.values().next().expect("one").meta.clone());
        assert_eq!(sent.born.at_us, edited_us);
        if late < 3 {
            assert!((edited_us - START_US).abs() < 2_000_000, "certain and right: {edited_us}");
        }
        assert_eq!(
            sent.born.uncertain,
            late > 3,
            "a line that is always slow makes no time certain"
        );
    }
}

#[tokio::test]
async fn an_ended_history_is_begun_anew_and_edits_stay() {
    let server = Server::new();
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let ana = Phone::signed_in(&server, one.path(), 1).await;
    let ben = Phone::signed_in(&server, two.path(), 2).await;
    let ids: Vec<_> = (0..5).map(|n| ana.put("articulos", article(n))).collect();
    ana.sync().await.expect("sync");
    ben.sync().await.expect("sync");
    server.with(|s| {
        s.epoch += 1;
        s.commit += 1;
        s.rows.remove(&("articulos".to_owned(), ids[0]));
    });
    ben.core.engine().expect("signed in").set_network(Some(false));
    let own = ben.put("articulos", article(9));
    ben.core.engine().expect("signed in").set_network(Some(true));
    server.with(|s| s.page_rows = 2);
    ben.sync().await.expect("sync");
    let rows = ben.core.list("articulos").expect("list").rows;
    assert_eq!(rows.len(), 5, "one was lost with the history, one is new");
    assert!(ben.core.get("articulos", ids[0]).is_err());
    assert!(ben.core.get("articulos", own).is_ok());
}

#[tokio::test]
async fn a_new_field_comes_with_the_schema_and_a_hidden_one_goes() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let id = ana.put("articulos", article(1));
    ana.sync().await.expect("sync");
    ana.put("articulos", json!({ "id": id, "medida": "5.00", "nombre": "otro" }));
    server.with(|s| {
        let mut fields = model::schema().collections["articulos"].fields.clone();
        let mut color = fields[0].clone();
        color.name = "color".into();
        color.required = false;
        fields.retain(|f| f.name != "ficha");
        fields.push(color);
        let articles = s.schema.collections.get_mut("articulos").expect("there");
        articles.fields = fields;
        for row in s.rows.values_mut() {
            row.fields.insert("color".into(), Value::Null);
        }
    });
    ana.sync().await.expect("sync");
    ana.put("articulos", json!({ "id": id, "color": "rojo" }));
    ana.sync().await.expect("sync");
    let row = ana.core.get("articulos", id).expect("here");
    assert_eq!((&row["color"], &row["medida"]), (&json!("rojo"), &json!("5.00")));
    assert!(ana.core.query("SELECT ficha FROM articulos", &[]).is_err());
}

#[tokio::test]
async fn only_one_round_runs_at_a_time() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let (first, second) = tokio::join!(ana.sync(), ana.sync());
    assert!(first.is_ok());
    assert!(matches!(second, Err(CoreError::AlreadyRunning)));
}

#[tokio::test]
async fn edits_of_what_was_hidden_show_when_it_comes_back() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let id = ana.put("articulos", article(1));
    ana.sync().await.expect("sync");
    ana.put("articulos", json!({ "id": id, "visto": "2026-11-24T10:00:00Z" }));
    let note = ana.put("movimientos", json!({ "nota": "entra" }));
    let whole = model::schema();
    let store = Arc::clone(ana.core.engine().expect("signed in").store());
    let see = |schema: &Schema| {
        let cursor = store.read(|db| meta::get(db, meta::name::CURSOR)).expect("readable");
        let page = PullPage {
            schema: Some(schema.clone()),
            cursor: cursor.clone().expect("in step"),
            ..PullPage::default()
        };
        pull::apply(&store, &page, cursor.as_deref()).expect("applied");
    };
    let mut less = whole.clone();
    less.collections.remove("movimientos");
    let articles = less.collections.get_mut("articulos").expect("there");
    articles.fields.retain(|field| field.name != "visto");
    see(&less);
    assert!(!ana.core.get("articulos", id).expect("here").contains_key("visto"));
    see(&whole);
    assert_eq!(ana.field(id, "visto"), "2026-11-24T10:00:00.000000Z");
    let nota = || ana.core.get("movimientos", note).expect("here")["nota"].clone();
    assert_eq!(nota(), "entra");
    // Nothing of it is taken for the server's.
    ana.core.discard(ana.core.pending().expect("list")[1].id).expect("it was not sent");
    assert!(ana.core.get("movimientos", note).is_err());
}
