//! Two processes with one database: an app and its extension, or two command lines.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use std::path::Path;
use std::sync::Arc;

use mobile_core::outbox::entry::State;
use model::{Fault, Phone, Server};
use serde_json::json;

/// The second process.
fn beside(server: &Arc<Server>, dir: &Path, first: &Phone) -> Phone {
    Phone::open(server, dir, 2, Arc::clone(&first.clock))
}

#[tokio::test]
async fn what_another_process_has_sent_is_not_taken_for_unsent() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let twin = beside(&server, dir.path(), &ana);
    let id = ana.put("articulos", json!({ "nombre": "Tabla", "existencia": 10 }));
    ana.sync().await.expect("sync");
    ana.put("articulos", json!({ "id": id, "existencia": { "add": -3 } }));
    let edit = ana.core.pending().expect("list").remove(0);
    // Both take it along; the first one does not arrive, the second one does, without an answer.
    server.fail_next(Fault::PushNeverArrives);
    server.fail_next(Fault::PushAnswerLost);
    let (first, second) = tokio::join!(ana.sync(), twin.sync());
    assert_eq!(first.expect_err("it did not arrive").code(), "cannot_connect");
    assert_eq!(second.expect_err("its answer is lost").code(), "interrupted");
    assert_eq!(ana.core.receipt(edit.id).expect("known").state, State::Sending);
    ana.core.discard(edit.id).expect("the server is asked");
    ana.sync().await.expect("sync");
    assert_eq!(ana.core.receipt(edit.id).expect("known").state, State::Applied, "it was too late");
    assert_eq!(ana.field(id, "existencia"), "7.00");
}
