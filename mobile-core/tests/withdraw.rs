//! Edits that their author takes back although they may have been sent.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use mobile_core::outbox::entry::State;
use mobile_core::verify::mend;
use model::{Fault, Phone, Server, object};
use serde_json::json;
use sync_protocol::RecordId;

fn units(server: &Server, record: RecordId) -> Option<i64> {
    server.with(|s| s.rows[&("articulos".into(), record)].fields["existencia"].units())
}

/// A phone with an article of 10 pieces, of which it has taken 3 by an edit that got no answer.
async fn unanswered(
    dir: &std::path::Path,
    fault: Fault,
) -> (std::sync::Arc<Server>, Phone, RecordId) {
    let server = Server::new();
    let ana = Phone::signed_in(&server, dir, 1).await;
    let id = ana.put("articulos", json!({ "nombre": "Tabla", "existencia": 10 }));
    ana.sync().await.expect("sync");
    ana.put("articulos", json!({ "id": id, "existencia": { "add": -3 } }));
    server.fail_next(fault);
    ana.sync().await.expect_err("no answer");
    (server, ana, id)
}

#[tokio::test]
async fn what_did_not_arrive_is_withdrawn_and_what_did_is_told() {
    for arrived in [false, true] {
        let dir = tempfile::tempdir().expect("dir");
        let fault = if arrived { Fault::PushAnswerLost } else { Fault::PushLost };
        let (server, ana, id) = unanswered(dir.path(), fault).await;
        let edit = ana.core.pending().expect("list").remove(0);
        assert_eq!(edit.state, State::Sending);
        ana.core.discard(edit.id).expect("it can be taken back");
        ana.core.discard(edit.id).expect("twice is once");
        assert_eq!(ana.field(id, "existencia"), "10.00", "it leaves the view at once");
        let waiting = ana.core.receipt(edit.id).expect("known").waiting_for.expect("says why");
        assert_eq!(waiting.code, "withdrawal");
        // What is made meanwhile is not held up.
        ana.put("articulos", json!({ "id": id, "existencia": { "add": -1 } }));
        // This answer is lost as well.
        server.fail_next(Fault::PushAnswerLost);
        ana.sync().await.expect_err("no answer");
        ana.sync().await.expect("sync");
        let (state, left) = if arrived { (State::Applied, 600) } else { (State::Discarded, 900) };
        let receipt = ana.core.receipt(edit.id).expect("known");
        assert_eq!((receipt.state, receipt.settled), (state, true));
        assert!(receipt.receipt.is_some(), "the server has said so");
        assert_eq!(units(&server, id), Some(left));
        assert_eq!(ana.field(id, "existencia"), format!("{}.00", left / 100));
        assert!(ana.core.pending().expect("list").is_empty());
        let again = ana.core.discard(edit.id).expect_err("it is over");
        assert_eq!(again.code(), "wrong_state");
    }
}

#[tokio::test]
async fn what_was_taken_back_too_late_and_refused_can_be_corrected_and_has_its_copy() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    ana.put("articulos", json!({ "nombre": "veneno" }));
    server.fail_next(Fault::PushAnswerLost);
    ana.sync().await.expect_err("no answer");
    let edit = ana.core.pending().expect("list").remove(0);
    ana.core.discard(edit.id).expect("it can be taken back");
    ana.sync().await.expect("sync");
    assert_eq!(ana.core.receipt(edit.id).expect("known").state, State::Refused);
    let store = ana.core.engine().expect("signed in").store().clone();
    assert_eq!(store.write_schema(|db| mend::all(db)).expect("whole"), 0, "nothing is missing");
    ana.core.retry(edit.id, Some(&object(json!({ "nombre": "Tabla" })))).expect("corrected");
    assert_eq!(ana.sync().await.expect("sync").applied, 1);
}

#[tokio::test]
async fn a_record_that_later_edits_need_is_not_withdrawn_before_them() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let id = ana.put("articulos", json!({ "nombre": "Tabla", "existencia": 10 }));
    let note = ana.put("movimientos", json!({ "articulo_id": id, "nota": "entra" }));
    server.fail_next(Fault::PushLost);
    ana.sync().await.expect_err("no answer");
    let [made, heir] = ana.core.pending().expect("list").try_into().expect("two");
    assert_eq!(ana.core.discard(made.id).expect_err("it has an heir").code(), "has_heirs");
    ana.core.discard(heir.id).expect("nothing needs it");
    assert_eq!(ana.core.discard(made.id).expect_err("not yet over").code(), "has_heirs");
    server.fail_next(Fault::PullCutAfter(0));
    ana.sync().await.expect_err("the pull is cut");
    assert_eq!(ana.core.receipt(heir.id).expect("known").state, State::Discarded);
    assert!(ana.core.get("movimientos", note).is_err());
    ana.sync().await.expect("sync");
    assert_eq!(units(&server, id), Some(1000));
    assert_eq!(server.with(|s| s.rows.len()), 1);
}

#[tokio::test]
async fn what_is_taken_back_while_the_server_puts_it_off_has_no_effect() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let id = ana.put("articulos", json!({ "nombre": "Tabla", "existencia": 10 }));
    ana.sync().await.expect("sync");
    ana.put("articulos", json!({ "id": id, "existencia": { "add": -3 } }));
    let edit = ana.core.pending().expect("list").remove(0);
    server.with(|s| s.in_use = Some(id));
    let before = server.with(|s| s.pushes_begun);
    let (synced, ()) = tokio::join!(ana.sync(), async {
        while server.with(|s| s.pushes_begun) == before {
            tokio::task::yield_now().await;
        }
        ana.core.discard(edit.id).expect("it can be taken back");
    });
    assert_eq!(synced.expect("sync").parked, 1, "somebody holds the row");
    ana.sync().await.expect("sync");
    assert_eq!(ana.core.receipt(edit.id).expect("known").state, State::Discarded);
    assert_eq!(units(&server, id), Some(1000));
    assert_eq!(ana.field(id, "existencia"), "10.00");
    assert!(ana.core.pending().expect("list").is_empty());
}
