//! Records that the server merges into others, and edits that are decided but not settled.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use mobile_core::outbox::entry::State;
use model::{Fault, Phone, Server, object};
use serde_json::json;

/// Two phones; one has sent an article that the other has under another id, and the answer came but
/// the checkpoint did not.
async fn adopted(
    dirs: (&std::path::Path, &std::path::Path),
) -> (std::sync::Arc<Server>, Phone, sync_protocol::RecordId, sync_protocol::RecordId) {
    let server = Server::new();
    server.with(|s| s.adopt = true);
    let ana = Phone::signed_in(&server, dirs.0, 1).await;
    let theirs = ana.put("articulos", json!({ "nombre": "Tabla", "existencia": 5 }));
    let ben = Phone::signed_in(&server, dirs.1, 2).await;
    ana.sync().await.expect("sync");
    let mine = ben.put("articulos", json!({ "nombre": "Tabla" }));
    server.fail_next(Fault::PullCutAfter(0));
    ben.sync().await.expect_err("the checkpoint is lost");
    assert_eq!(ben.core.receipts().expect("list")[0].state, State::Applied);
    (server, ben, mine, theirs)
}

#[tokio::test]
async fn an_edit_between_the_answer_and_the_checkpoint_reaches_the_adopting_record() {
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (_server, ben, mine, theirs) = adopted((one.path(), two.path())).await;
    ben.put("articulos", json!({ "id": mine, "existencia": { "add": 2 } }));
    // The second one builds on the first and has to name the insertion all the same.
    ben.put("articulos", json!({ "id": mine, "existencia": { "add": 1 } }));
    ben.put("movimientos", json!({ "articulo_id": mine, "nota": "entra" }));
    let report = ben.sync().await.expect("sync");
    assert_eq!((report.applied, report.refused), (3, 0));
    assert_eq!(ben.field(theirs, "existencia"), "8.00");
    assert!(ben.core.get("articulos", mine).is_err());
}

#[tokio::test]
async fn a_refused_edit_is_corrected_under_the_adopting_record() {
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (_server, ben, mine, theirs) = adopted((one.path(), two.path())).await;
    ben.put("articulos", json!({ "id": mine, "nombre": "veneno" }));
    assert_eq!(ben.sync().await.expect("sync").refused, 1);
    let refused = ben.core.problems().expect("list").pop().expect("one");
    let correction = object(json!({ "nombre": "Tablón" }));
    ben.core.retry(refused.id, Some(&correction)).expect("its record is here");
    let report = ben.sync().await.expect("sync");
    assert_eq!((report.applied, report.refused), (1, 0));
    assert_eq!(ben.field(theirs, "nombre"), "Tablón");
}
