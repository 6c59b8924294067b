//! Insertions into scopes that their author has lost meanwhile.

use serde_json::{Value as Json, json};
use sync_protocol::wire::push::Transaction;
use sync_protocol::wire::receipt::{FieldOutcome, Receipt, ReceiptState};
use sync_protocol::wire::review::{
    CandidateReason, Conflict, ConflictStatus, Keep, ResolveManyRequest, ResolveRequest,
    ResolveResult, UndoRequest,
};
use sync_protocol::{RecordId, Scope};
use sync_server::review::{ListQuery, list, receipt, resolve, resolve_many, undo};

use crate::company::Company;
use crate::mutations::{delete, insert, update};
use crate::on_every_store;
use crate::torre::{Torre, conflict, conflicts, decide, report, torre};

fn waits(receipt: &Receipt) -> bool {
    let asks = |outcome: &Option<FieldOutcome>| {
        matches!(outcome, Some(FieldOutcome::InReview { question: None, .. }))
    };
    receipt.state == ReceiptState::InReview
        && receipt.mutations.iter().all(|m| asks(&m.row) && m.version.is_none())
}

on_every_store!(insertions_into_a_lost_scope_wait_for_a_decision);
async fn insertions_into_a_lost_scope_wait_for_a_decision(company: Company) {
    let mut torre = torre(&company).await;
    let ids: Vec<RecordId> = (0..50).map(|_| company.id()).collect();
    let edits: Vec<Transaction> = ids
        .iter()
        .map(|id| torre.juan.transaction(vec![report(torre.id, *id, json!({}))]))
        .collect();
    let receipts = torre.juan.push(edits.clone()).await;
    assert!(receipts.iter().all(waits), "{receipts:?}");
    assert_eq!(torre.juan.push(edits).await, receipts, "once more is no other");
    torre.juan.pull(1_000).await;
    assert!(torre.juan.rows.is_empty(), "nothing of it comes back to him");

    let all = conflicts(&torre.rosa).await;
    assert_eq!(all.len(), 50);
    let first = all.iter().find(|conflict| conflict.record == ids[0]).expect("one of it");
    assert_eq!(first.candidates[0].reason, Some(CandidateReason::ScopeLost));
    assert_eq!(first.candidates[0].by.user, Some(torre.juan.caller.user));
    assert_eq!((&first.current, &first.field), (&Json::Null, &None));
    assert_eq!(first.scopes, [Scope::entity("project", torre.id.0)]);
    assert_eq!(first.row["resumen"], "colado");
    assert_eq!(first.row["incidentes"], false, "with what a record has that nobody says");
    assert_eq!(first.candidates[0].value.get("incidentes"), None);

    // As he wants it, as she wants it, and not at all.
    let candidate = Keep::Candidate(receipts[0].id);
    let made = decide(&torre.rosa, ids[0], candidate).await.expect("made");
    assert_eq!(
        (made.status, made.row["resumen"].clone()),
        (ConflictStatus::Resolved, "colado".into())
    );
    let other = json!({ "proyecto_id": torre.id, "fecha": "2026-11-25", "resumen": "de Rosa" });
    decide(&torre.rosa, ids[1], Keep::Value(other)).await.expect("made");
    decide(&torre.rosa, ids[2], Keep::Server).await.expect("left out");
    torre.rosa.pull(1_000).await;
    assert_eq!(torre.rosa.value("avances", ids[0], "resumen"), "colado");
    assert_eq!(torre.rosa.value("avances", ids[1], "resumen"), "de Rosa");
    assert!(!torre.rosa.rows.contains_key(&("avances".to_owned(), ids[2])));
    torre.juan.pull(1_000).await;
    assert!(torre.juan.rows.is_empty());
    let state = |n: usize| torre.juan.settled[&receipts[n].id].state;
    assert_eq!(
        [state(0), state(1), state(2)],
        [ReceiptState::Applied, ReceiptState::Superseded, ReceiptState::Superseded]
    );

    // What is wrong with it is wrong with her decision, and nothing has happened.
    for (value, code) in [
        (json!({ "proyecto_id": torre.id }), "field_required"),
        (json!({ "proyecto_id": torre.id, "fecha": "ayer" }), "wrong_type"),
        (json!({ "proyecto_id": company.id(), "fecha": "2026-11-24" }), "unknown_reference"),
        (json!(7), "wrong_type"),
    ] {
        assert_eq!(
            decide(&torre.rosa, ids[3], Keep::Value(value)).await.expect_err("wrong").code,
            code
        );
    }
    assert_eq!(conflict(&torre.rosa, ids[3]).await.revision, 1);
    torre.rosa.pull(1_000).await;
    assert!(!torre.rosa.rows.contains_key(&("avances".to_owned(), ids[3])));
}

on_every_store!(a_decision_that_made_a_record_is_taken_back_and_taken_again);
async fn a_decision_that_made_a_record_is_taken_back_and_taken_again(company: Company) {
    let mut torre = torre(&company).await;
    let (kept, left) = (company.id(), company.id());
    let edits =
        [kept, left].map(|id| torre.juan.transaction(vec![report(torre.id, id, json!({}))]));
    let receipts = torre.juan.push(edits.to_vec()).await;
    for (record, keep) in [(kept, Keep::Candidate(receipts[0].id)), (left, Keep::Server)] {
        let decided = decide(&torre.rosa, record, keep).await.expect("decided");
        let request = UndoRequest { revision: decided.revision, reason: "no".to_owned() };
        let open = undo(torre.rosa.review(), decided.id, request).await.expect("undone");
        assert_eq!(open.status, ConflictStatus::Open);
        torre.rosa.pull(1_000).await;
        assert!(!torre.rosa.rows.contains_key(&("avances".to_owned(), record)));
        torre.juan.pull(1_000).await;
        assert_eq!(torre.juan.settled[&open.candidates[0].receipt].state, ReceiptState::InReview);
    }
    for (record, receipt) in [(kept, &receipts[0]), (left, &receipts[1])] {
        decide(&torre.rosa, record, Keep::Candidate(receipt.id)).await.expect("decided");
        torre.rosa.pull(1_000).await;
        assert_eq!(torre.rosa.value("avances", record, "resumen"), "colado");
        torre.juan.pull(1_000).await;
        assert_eq!(torre.juan.settled[&receipt.id].state, ReceiptState::Applied);
    }
    // Once somebody has gone on with it, it is there to stay.
    let decided = resolved(&torre, kept).await;
    let version = torre.rosa.version("avances", kept);
    let more = update("avances", kept, json!({ "resumen": "más" }), version);
    torre.rosa.edit(more, ReceiptState::Applied).await;
    let request = UndoRequest { revision: decided.revision, reason: "no".to_owned() };
    let refused = undo(torre.rosa.review(), decided.id, request).await.expect_err("changed");
    assert_eq!(refused.code, "changed_since");
}

async fn resolved(torre: &Torre<'_>, record: RecordId) -> Conflict {
    let query = ListQuery { status: vec![ConflictStatus::Resolved], ..ListQuery::default() };
    let all = list(torre.rosa.review(), query).await.expect("listed").conflicts;
    all.into_iter().find(|conflict| conflict.record == record).expect("one of it")
}

on_every_store!(what_builds_on_such_an_insertion_waits_with_it);
async fn what_builds_on_such_an_insertion_waits_with_it(company: Company) {
    let mut torre = torre(&company).await;
    let (avance, item, gone) = (company.id(), company.id(), company.id());
    let concept = |id: RecordId, of: RecordId| {
        insert("avance_items", id, json!({ "avance_id": of, "concepto": "Muro", "medida": "5" }))
    };
    // In one transaction, in another push, and by an edit of an edit.
    let made =
        torre.juan.transaction(vec![report(torre.id, avance, json!({})), concept(item, avance)]);
    let crew = json!({ "resumen": "corregido" });
    let mut grown = update("avances", avance, crew, 0);
    grown.elements.insert(
        "cuadrilla".to_owned(),
        serde_json::from_value(json!({ "add": ["Pedro"] })).expect("elements"),
    );
    let grown = torre.juan.transaction(vec![grown]);
    let first = torre.juan.push(vec![made, grown]).await;
    assert!(first.iter().all(waits), "{first:?}");
    let later = company.id();
    let taken_back = torre.juan.transaction(vec![report(torre.id, gone, json!({}))]);
    let deleted = torre.juan.transaction(vec![delete("avances", gone, 0)]);
    let below = torre.juan.transaction(vec![concept(later, avance)]);
    let second = torre.juan.push(vec![below, taken_back, deleted]).await;
    assert!(second.iter().all(waits), "{second:?}");

    let known = conflict(&torre.rosa, avance).await;
    assert_eq!(known.candidates.len(), 2);
    assert_eq!(known.candidates[1].value["resumen"], "corregido");
    assert_eq!(known.candidates[1].value["cuadrilla"]["add"], json!(["Pedro"]));
    assert_eq!(known.row["resumen"], "corregido");
    assert_eq!(known.row["fecha"], "2026-11-24");
    assert_eq!(known.row["cuadrilla"], json!(["Pedro"]));
    assert_eq!(conflict(&torre.rosa, later).await.row["proyecto_id"], json!(torre.id));
    // Others' are nothing to him.
    let luis = company.foreman("luis", torre.id).await;
    let scope = Scope::entity("project", torre.id.0);
    company.store.revoke(company.tenant, luis.caller.user, &scope).await.expect("revoked");
    for edit in
        [update("avances", avance, json!({ "resumen": "x" }), 0), concept(company.id(), avance)]
    {
        let refused = luis.push(vec![luis.transaction(vec![edit])]).await.remove(0);
        assert_eq!(refused.state, ReceiptState::Refused, "{refused:?}");
    }
    assert!(receipt(luis.review(), first[0].id).await.expect("asked").is_none());

    // A child without its parent cannot be made; decided together they can, in whatever order.
    let alone = decide(&torre.rosa, later, Keep::Candidate(second[0].id)).await;
    assert_eq!(alone.expect_err("no parent").code, "unknown_reference");
    let mut conflicts = std::collections::BTreeMap::new();
    for (record, receipt) in
        [(avance, &first[1]), (item, &first[0]), (later, &second[0]), (gone, &second[2])]
    {
        let known = conflict(&torre.rosa, record).await;
        let keep = Keep::Candidate(receipt.id);
        let reason = "visto".to_owned();
        conflicts.insert(known.id, ResolveRequest { revision: known.revision, keep, reason });
    }
    let request = ResolveManyRequest { conflicts };
    let answer = resolve_many(torre.rosa.review(), request).await.expect("decided");
    let failed = answer.results.values().find(|r| !matches!(r, ResolveResult::Resolved(_)));
    assert!(failed.is_none(), "{failed:?}");
    torre.rosa.pull(1_000).await;
    assert_eq!(torre.rosa.value("avances", avance, "resumen"), "corregido");
    assert_eq!(torre.rosa.value("avances", avance, "cuadrilla"), json!(["Pedro"]));
    for id in [item, later] {
        assert_eq!(torre.rosa.value("avance_items", id, "proyecto_id"), json!(torre.id));
    }
    assert!(!torre.rosa.rows.contains_key(&("avances".to_owned(), gone)));
    // The later word has the earlier one in it.
    torre.juan.pull(1_000).await;
    for receipt in first.iter().chain(&second) {
        assert_eq!(torre.juan.settled[&receipt.id].state, ReceiptState::Applied, "{receipt:?}");
    }
}

on_every_store!(what_was_never_held_is_refused_as_before);
async fn what_was_never_held_is_refused_as_before(company: Company) {
    let torre = torre(&company).await;
    let nave = company.id();
    torre
        .rosa
        .edit(insert("proyectos", nave, json!({ "nombre": "Nave" })), ReceiptState::Applied)
        .await;
    let set = |project: RecordId| json!({ "proyecto_id": project, "fecha": "2026-11-24" });
    for project in [nave, company.id()] {
        let edit = torre.juan.transaction(vec![insert("avances", company.id(), set(project))]);
        let refused = torre.juan.push(vec![edit]).await.remove(0);
        assert_eq!(refused.problem.map(|p| p.code), Some("unknown_reference".to_owned()));
    }
    // Who holds the scope of a record that waits, and decides nothing, does not see that it does.
    let avance = company.id();
    let edit = torre.juan.transaction(vec![report(torre.id, avance, json!({}))]);
    assert!(waits(&torre.juan.push(vec![edit]).await[0]));
    let luis = company.foreman("luis", torre.id).await;
    assert!(list(luis.review(), ListQuery::default()).await.expect("listed").conflicts.is_empty());
    // Another supervisor, of another project, neither.
    let eva = company.phone("eva", &["project:read", "project:write", "conflict:resolve"]).await;
    company.grant(&eva, Scope::entity("project", nave.0)).await;
    assert!(list(eva.review(), ListQuery::default()).await.expect("listed").conflicts.is_empty());
    let known = conflict(&torre.rosa, avance).await;
    let request = ResolveRequest { revision: 1, keep: Keep::Server, reason: "visto".to_owned() };
    let refused = resolve(eva.review(), known.id, request).await.expect_err("hidden");
    assert_eq!(refused.code, "unknown_conflict");
    // Where a natural key is taken meanwhile, there is no second one.
    let day = |id: RecordId| {
        let set = json!({ "proyecto_id": torre.id, "trabajador": "Pedro", "fecha": "2026-11-24" });
        insert("asistencias", id, set)
    };
    let (his, hers) = (company.id(), company.id());
    let edit = torre.juan.transaction(vec![day(his)]);
    let waiting = torre.juan.push(vec![edit]).await.remove(0);
    assert!(waits(&waiting), "{waiting:?}");
    torre.rosa.edit(day(hers), ReceiptState::Applied).await;
    let refused =
        decide(&torre.rosa, his, Keep::Candidate(waiting.id)).await.expect_err("there is one");
    assert_eq!(refused.code, "duplicate_key");
}
