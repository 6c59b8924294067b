//! Records that the server merges into others, and edits that are decided but not settled.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use mobile_core::outbox::entry::State;
use model::{Fault, Phone, Server, object};
use serde_json::json;
use sync_protocol::wire::receipt::{FieldOutcome, ReceiptState};

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

/// A screen that was open while its record was merged into another one.
#[tokio::test]
async fn a_merged_record_may_be_edited_under_the_id_that_it_was_made_with() {
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (_server, ben, mine, theirs) = adopted((one.path(), two.path())).await;
    ben.sync().await.expect("sync");
    ben.put("articulos", json!({ "id": mine, "existencia": { "add": 2 } }));
    ben.put("movimientos", json!({ "articulo_id": mine, "nota": "entra" }));
    assert_eq!(ben.field(theirs, "existencia"), "7.00", "it is seen at once");
    let note = ben.core.query("SELECT articulo_id FROM movimientos", &[]).expect("it runs").rows;
    assert_eq!(note, [[json!(theirs)]]);
    let report = ben.sync().await.expect("sync");
    assert_eq!((report.applied, report.refused), (2, 0));
    assert_eq!(ben.field(theirs, "existencia"), "7.00");
}

#[tokio::test]
async fn a_merged_record_may_be_deleted_and_restored_under_the_id_that_it_was_made_with() {
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (_server, ben, mine, theirs) = adopted((one.path(), two.path())).await;
    ben.sync().await.expect("sync");
    ben.core.delete("articulos", mine).expect("it is here");
    ben.core.get("articulos", theirs).expect_err("out of sight");
    ben.core.restore("articulos", mine).expect("it is gone");
    assert_eq!(ben.field(theirs, "nombre"), "Tabla");
    let report = ben.sync().await.expect("sync");
    assert_eq!((report.applied, report.refused), (2, 0));
    let made = ben.core.restore("articulos", mine).expect_err("it is here");
    assert_eq!(made.code(), "record_exists");
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

/// What a supervisor decides, and takes back, of the only field of an edit that is in review.
fn decide(
    server: &Server,
    edit: sync_protocol::ReceiptId,
    undo: Option<FieldOutcome>,
) -> FieldOutcome {
    server.with(|s| {
        s.commit += 1;
        let kept = s.receipts.get_mut(&edit).expect("it arrived");
        kept.commit = s.commit;
        let fields = &mut kept.receipt.mutations[0].fields;
        let before = fields.values().next().expect("one field").clone();
        let FieldOutcome::InReview { conflict, .. } = undo.as_ref().unwrap_or(&before) else {
            unreachable!("it is in review")
        };
        let decided = FieldOutcome::Decided { conflict: *conflict, kept: false };
        let is_open = undo.is_some();
        kept.receipt.state =
            if is_open { ReceiptState::InReview } else { ReceiptState::Superseded };
        fields.insert("medida".to_owned(), undo.unwrap_or(decided));
        before
    })
}

/// Found by the simulator: the edit went under the id that its record was made with.
#[tokio::test]
async fn a_decision_about_a_merged_record_that_is_taken_back_is_seen_at_that_record() {
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (server, ben, mine, theirs) = adopted((one.path(), two.path())).await;
    let clock = std::sync::Arc::new(mobile_core::clock::ManualClock::new(model::START_US));
    let ana = Phone::open(&server, one.path(), 3, clock);
    ana.put("articulos", json!({ "id": theirs, "medida": "1.00" }));
    ana.sync().await.expect("sync");
    ben.put("articulos", json!({ "id": mine, "medida": "2.00" }));
    assert_eq!(ben.sync().await.expect("sync").in_review, 1);
    let receipts = ben.core.receipts().expect("list");
    let edit = receipts.iter().find(|edit| edit.state == State::InReview).expect("one").id;
    assert_eq!(ben.field(theirs, "medida"), "2.00");
    let open = decide(&server, edit, None);
    ben.sync().await.expect("sync");
    assert_eq!(ben.field(theirs, "medida"), "1.00");
    decide(&server, edit, Some(open));
    ben.sync().await.expect("sync");
    assert_eq!(ben.field(theirs, "medida"), "2.00");
    assert!(ben.core.get("articulos", mine).is_err());
}

/// An older copy takes back what it does not know to have been sent, of a record that was merged meanwhile.
#[tokio::test]
async fn what_was_taken_back_too_late_is_seen_at_the_adopting_record() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().expect("dir"));
    let (server, ben, mine, theirs) = adopted((dirs[0].path(), dirs[1].path())).await;
    let clock = || std::sync::Arc::new(mobile_core::clock::ManualClock::new(model::START_US));
    let ana = Phone::open(&server, dirs[0].path(), 3, clock());
    ana.put("articulos", json!({ "id": theirs, "medida": "1.00" }));
    ana.sync().await.expect("sync");
    ben.put("articulos", json!({ "id": mine, "medida": "2.00" }));
    model::copy_folder(dirs[1].path(), dirs[2].path());
    assert_eq!(ben.sync().await.expect("sync").in_review, 1);
    drop(ben);
    let ben = Phone::open(&server, dirs[2].path(), 9, clock());
    let waiting = ben.core.pending().expect("list");
    let edit = waiting.iter().find(|edit| edit.state == State::Waiting).expect("one").id;
    ben.core.discard(edit).expect("nobody has it, as far as it knows");
    // The merger comes first, then what became of the edit.
    for _ in 0..3 {
        ben.put("articulos", json!({ "nombre": "Clavo", "existencia": 1 }));
        ben.sync().await.expect("sync");
    }
    assert_eq!(ben.core.receipt(edit).expect("known").state, State::InReview);
    assert_eq!(ben.field(theirs, "medida"), "2.00");
    assert!(ben.core.get("articulos", mine).is_err());
}

#[tokio::test]
async fn an_adopted_row_of_a_backfill_does_not_show_beside_the_one_made_here() {
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (server, ben, mine, theirs) = adopted((one.path(), two.path())).await;
    ben.put("articulos", json!({ "id": mine, "existencia": { "add": 2 } }));
    ben.put("movimientos", json!({ "articulo_id": mine, "nota": "entra" }));
    let ana = Phone::open(
        &server,
        one.path(),
        3,
        std::sync::Arc::new(mobile_core::clock::ManualClock::new(model::START_US)),
    );
    ana.put("articulos", json!({ "nombre": "Clavo" }));
    ana.sync().await.expect("sync");
    server.with(|s| {
        s.epoch += 1;
        s.epoch_code = "cursor_visibility_changed";
        s.page_rows = 2;
    });
    // The push goes well; of the backfill comes the first page, with both articles. (The pull that is
    // told to begin anew uses up the first fault.)
    for _ in 0..2 {
        server.fail_next(Fault::PullGarbageAfter(1));
    }
    ben.sync().await.expect_err("garbage");
    let shown = ben.core.query("SELECT id, existencia FROM articulos WHERE nombre = 'Tabla'", &[]);
    let shown = shown.expect("it runs").rows;
    assert_eq!(shown, [[json!(theirs), json!("7.00")]], "once, with the edit on top");
    let note = ben.core.query("SELECT articulo_id FROM movimientos", &[]).expect("it runs").rows;
    assert_eq!(note, [[json!(theirs)]]);
    ben.sync().await.expect("sync");
    assert_eq!(ben.field(theirs, "existencia"), "7.00");
    assert!(ben.core.pending().expect("list").is_empty());
    let state = ben.core.receipts().expect("list").iter().map(|r| r.state).collect::<Vec<_>>();
    assert!(state.iter().all(|state| *state == State::Applied), "{state:?}");
}

/// What an edit that is made between the answer and the checkpoint builds on: whatever is not settled,
/// although it is decided.
#[tokio::test]
async fn heirs_of_a_decided_edit_name_it_until_it_is_settled() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let id = ana.put("articulos", json!({ "nombre": "Tabla", "existencia": 5 }));
    server.fail_next(Fault::PullCutAfter(0));
    ana.sync().await.expect_err("the checkpoint is lost");
    let made = ana.core.receipts().expect("list").remove(0);
    assert_eq!((made.state, made.settled), (State::Applied, false));
    ana.put("articulos", json!({ "id": id, "existencia": { "add": 2 } }));
    ana.put("articulos", json!({ "id": id, "existencia": { "add": 1 } }));
    ana.put("movimientos", json!({ "articulo_id": id }));
    let bases = |n: usize| ana.core.receipts().expect("list")[n].builds_on.clone();
    let first = ana.core.receipts().expect("list")[1].id;
    assert_eq!(bases(1), [made.id]);
    let mut both = vec![made.id, first];
    both.sort();
    assert_eq!(bases(2), both, "the latest, and the one that makes the record");
    assert_eq!(bases(3), [made.id]);
    ana.sync().await.expect("sync");
    ana.put("articulos", json!({ "id": id, "existencia": { "add": 1 } }));
    assert!(bases(4).is_empty(), "what is settled is no news to anybody");
}
