//! Conflicts from their opening to the decision and back.

use serde_json::json;
use sync_protocol::RecordId;
use sync_protocol::limits::CONFLICT_CANDIDATES_MAX;
use sync_protocol::wire::receipt::{FieldOutcome, ReceiptState};
use sync_protocol::wire::review::{
    ClaimRequest, ConflictStatus, Keep, NoteRequest, ResolveRequest, UndoRequest,
};
use sync_server::review::{ListQuery, answer, ask, claim, list, resolve, show, undo};

use crate::company::{Company, Phone};
use crate::mutations::{delete, insert, update};
use crate::on_every_store;

/// Two foremen on one project, an item that both have seen at version 1, and a supervisor.
async fn site(company: &Company) -> (Phone<'_>, Phone<'_>, Phone<'_>, RecordId) {
    let project = company.id();
    let mut juan = company.foreman("juan", project).await;
    let mut ana = company.foreman("ana", project).await;
    let all = ["project:read", "project:write", "conflict:resolve"];
    let laura = company.phone("laura", &all).await;
    company.grant(&laura, sync_protocol::Scope::entity("project", project.0)).await;
    let [report, item] = [company.id(), company.id()];
    let made = juan
        .push(vec![juan.transaction(vec![
            insert("proyectos", project, json!({ "nombre": "Torre" })),
            insert("avances", report, json!({ "proyecto_id": project, "fecha": "2026-11-24" })),
            insert(
                "avance_items",
                item,
                json!({ "avance_id": report, "concepto": "Muro", "medida": "5" }),
            ),
        ])])
        .await;
    assert_eq!(made[0].state, ReceiptState::Applied, "{made:?}");
    juan.pull(100).await;
    ana.pull(100).await;
    (juan, ana, laura, item)
}

/// One more foreman on Juan's project.
async fn third_foreman<'a>(company: &'a Company, juan: &Phone<'_>) -> Phone<'a> {
    let project = juan.rows.keys().find(|(name, _)| name == "proyectos").expect("a project").1;
    company.foreman("pedro", project).await
}

fn decision(revision: i64, keep: Keep) -> ResolveRequest {
    ResolveRequest { revision, keep, reason: "medido de nuevo".to_owned() }
}

on_every_store!(a_decision_reaches_every_phone_and_the_authors_receipt);
async fn a_decision_reaches_every_phone_and_the_authors_receipt(company: Company) {
    let (mut juan, mut ana, laura, item) = site(&company).await;
    juan.edit(update("avance_items", item, json!({ "medida": "6" }), 1), ReceiptState::Applied)
        .await;
    company.advance(1_000);
    let late = update("avance_items", item, json!({ "medida": "7" }), 1);
    let receipt = ana.edit(late, ReceiptState::InReview).await;

    let listed = list(laura.review(), ListQuery::default()).await.expect("listed").conflicts;
    assert_eq!(listed.len(), 1);
    let conflict = &listed[0];
    assert_eq!(
        (&conflict.current, &conflict.candidates[0].value),
        (&json!("6.00"), &json!("7.00"))
    );
    assert_eq!(conflict.current_by.as_ref().and_then(|by| by.user), Some(juan.caller.user));
    assert_eq!(conflict.candidates[0].by.user, Some(ana.caller.user));
    assert_eq!(conflict.row["concepto"], json!("Muro"));
    let id = conflict.id;

    // Ana sees the conflict of her own edit, Juan, who has no candidate in it, does not.
    assert_eq!(list(ana.review(), ListQuery::default()).await.expect("listed").conflicts.len(), 1);
    assert!(list(juan.review(), ListQuery::default()).await.expect("listed").conflicts.is_empty());
    assert_eq!(show(juan.review(), id).await.expect_err("hidden").code, "unknown_conflict");
    let keep = Keep::Candidate(receipt.id);
    let forbidden = resolve(ana.review(), id, decision(1, keep.clone())).await;
    assert_eq!(forbidden.expect_err("no supervisor").code, "forbidden");

    claim(laura.review(), id, ClaimRequest::default()).await.expect("claimed");
    let question = NoteRequest { text: "¿Con qué cinta?".to_owned() };
    ask(laura.review(), id, question).await.expect("asked");
    ana.pull(100).await;
    let asked = |ana: &Phone<'_>| ana.settled[&receipt.id].mutations[0].fields["medida"].clone();
    let question = Some("¿Con qué cinta?".to_owned());
    assert_eq!(asked(&ana), FieldOutcome::InReview { conflict: id, question });
    let reply = NoteRequest { text: "La de 10 m".to_owned() };
    let answered = answer(ana.review(), id, reply).await.expect("answered");
    assert_eq!((answered.revision, answered.notes.len()), (4, 2));
    ana.pull(100).await;
    assert_eq!(asked(&ana), FieldOutcome::InReview { conflict: id, question: None });
    let stale = resolve(laura.review(), id, decision(1, keep.clone())).await.expect_err("stale");
    assert_eq!((stale.status, stale.code.as_str()), (409, "conflict_changed"));
    assert_eq!(stale.more["revision"], json!(4));

    company.advance(1_000);
    let decided = resolve(laura.review(), id, decision(4, keep)).await.expect("decided");
    assert_eq!(decided.status, ConflictStatus::Resolved);
    for phone in [&mut juan, &mut ana] {
        phone.pull(100).await;
        assert_eq!(phone.value("avance_items", item, "medida"), json!("7.00"));
    }
    let told = &ana.settled[&receipt.id];
    assert_eq!(told.state, ReceiptState::Applied);
    let outcome = FieldOutcome::Decided { conflict: id, kept: true };
    assert_eq!(told.mutations[0].fields["medida"], outcome);

    company.advance(1_000);
    let back = UndoRequest { revision: decided.revision, reason: "me equivoqué".to_owned() };
    let open = undo(laura.review(), id, back).await.expect("undone");
    assert_eq!(open.status, ConflictStatus::Open);
    ana.pull(100).await;
    assert_eq!(ana.value("avance_items", item, "medida"), json!("6.00"));
    assert_eq!(ana.settled[&receipt.id].state, ReceiptState::InReview);
}

on_every_store!(a_deletion_does_not_undo_a_restoration_that_its_author_has_not_seen);
async fn a_deletion_does_not_undo_a_restoration_that_its_author_has_not_seen(company: Company) {
    let (mut juan, ana, _, item) = site(&company).await;
    juan.edit(delete("avance_items", item, 1), ReceiptState::Applied).await;
    let restore = sync_protocol::wire::push::Mutation {
        kind: sync_protocol::wire::push::MutationKind::Restore,
        ..delete("avance_items", item, 2)
    };
    juan.edit(restore, ReceiptState::Applied).await;
    company.advance(1_000);
    ana.edit(delete("avance_items", item, 1), ReceiptState::InReview).await;
    juan.pull(100).await;
    assert_eq!(juan.version("avance_items", item), 3, "it is there");
    // Whoever brought it back may delete it again, and so may who has seen it.
    juan.edit(delete("avance_items", item, 1), ReceiptState::Applied).await;
}

on_every_store!(keeping_an_edit_brings_back_the_deleted_row_and_its_parent);
async fn keeping_an_edit_brings_back_the_deleted_row_and_its_parent(company: Company) {
    let (mut juan, ana, laura, item) = site(&company).await;
    let report = juan.value("avance_items", item, "avance_id");
    let report: RecordId = report.as_str().expect("an id").parse().expect("a uuid");
    let both = vec![delete("avance_items", item, 1), delete("avances", report, 1)];
    let gone = juan.push(vec![juan.transaction(both)]).await;
    assert_eq!(gone[0].state, ReceiptState::Applied, "{gone:?}");
    company.advance(1_000);
    let edit = update("avance_items", item, json!({ "cantidad": "4" }), 1);
    let receipt = ana.edit(edit, ReceiptState::InReview).await;
    let listed = list(laura.review(), ListQuery::default()).await.expect("listed").conflicts;
    assert_eq!(listed.len(), 1, "the deleted row's conflict is listed");
    let keep = decision(listed[0].revision, Keep::Candidate(receipt.id));
    resolve(laura.review(), listed[0].id, keep).await.expect("decided");
    juan.pull(100).await;
    assert_eq!(juan.value("avance_items", item, "cantidad"), json!("4.000"));
    assert!(juan.rows.contains_key(&("avances".to_owned(), report)));
}

on_every_store!(fields_that_were_merged_are_listed_for_information);
async fn fields_that_were_merged_are_listed_for_information(company: Company) {
    let (juan, ana, laura, item) = site(&company).await;
    juan.edit(update("avance_items", item, json!({ "notas": "a" }), 1), ReceiptState::Applied)
        .await;
    ana.edit(update("avance_items", item, json!({ "unidad": "m2" }), 1), ReceiptState::Applied)
        .await;
    let open = list(laura.review(), ListQuery::default()).await.expect("listed");
    assert!(open.conflicts.is_empty());
    let query = ListQuery { status: vec![ConflictStatus::Informational], ..ListQuery::default() };
    let merged = list(laura.review(), query).await.expect("listed").conflicts;
    assert_eq!(merged.len(), 1);
    assert_eq!(merged[0].candidates[0].value, json!({ "unidad": "m2" }));
}

on_every_store!(an_own_value_must_be_one_that_its_decider_might_write);
async fn an_own_value_must_be_one_that_its_decider_might_write(company: Company) {
    let (juan, ana, laura, item) = site(&company).await;
    juan.edit(update("avance_items", item, json!({ "notas": "a" }), 1), ReceiptState::Applied)
        .await;
    ana.edit(delete("avance_items", item, 1), ReceiptState::InReview).await;
    let listed = list(laura.review(), ListQuery::default()).await.expect("listed").conflicts;
    let id = listed[0].id;
    for (value, code) in [
        (json!({ "precio_unitario": "1" }), "unknown_field"),
        (json!({ "proyecto_id": company.id() }), "field_read_only"),
        (json!({ "avance_id": company.id() }), "unknown_reference"),
    ] {
        let refused = resolve(laura.review(), id, decision(1, Keep::Value(value))).await;
        assert_eq!(refused.expect_err("not hers to write").code, code);
    }
    let value = Keep::Value(json!({ "notas": "las dos" }));
    resolve(laura.review(), id, decision(1, value)).await.expect("decided");

    let report = juan.value("avance_items", item, "avance_id");
    let report: RecordId = report.as_str().expect("an id").parse().expect("a uuid");
    juan.edit(update("avances", report, json!({ "resumen": "a" }), 1), ReceiptState::Applied).await;
    ana.edit(delete("avances", report, 1), ReceiptState::InReview).await;
    let open = ListQuery { status: vec![ConflictStatus::Open], ..ListQuery::default() };
    let id = list(laura.review(), open).await.expect("listed").conflicts[0].id;
    for (element, code) in [("a\u{0}b".to_owned(), "nul_character"), ("x".repeat(121), "too_long")]
    {
        let value = Keep::Value(json!({ "cuadrilla": { "add": [element] } }));
        let refused = resolve(laura.review(), id, decision(1, value)).await;
        assert_eq!(refused.expect_err("no element").code, code);
    }
}

on_every_store!(a_decision_cannot_be_undone_over_a_later_edit);
/// The later edit was made before the decision, on a phone that was offline: its time says nothing.
async fn a_decision_cannot_be_undone_over_a_later_edit(company: Company) {
    let (juan, ana, laura, item) = site(&company).await;
    juan.edit(update("avance_items", item, json!({ "notas": "a" }), 1), ReceiptState::Applied)
        .await;
    ana.edit(delete("avance_items", item, 1), ReceiptState::InReview).await;
    let listed = list(laura.review(), ListQuery::default()).await.expect("listed").conflicts;
    let value = Keep::Value(json!({ "notas": "las dos" }));
    company.advance(1_000_000);
    let decided = resolve(laura.review(), listed[0].id, decision(1, value)).await.expect("decided");
    let mut late =
        juan.transaction(vec![update("avance_items", item, json!({ "unidad": "m" }), 1)]);
    late.edited.at_us -= 900_000;
    assert_eq!(juan.push(vec![late]).await[0].state, ReceiptState::Applied);
    company.advance(1_000_000);
    let back = UndoRequest { revision: decided.revision, reason: "me equivoqué".to_owned() };
    let refused = undo(laura.review(), listed[0].id, back).await.expect_err("changed since");
    assert_eq!(refused.code, "changed_since");
}

on_every_store!(a_conflict_that_is_full_lets_further_edits_wait);
async fn a_conflict_that_is_full_lets_further_edits_wait(company: Company) {
    let (juan, ana, laura, item) = site(&company).await;
    juan.edit(update("avance_items", item, json!({ "medida": "6" }), 1), ReceiptState::Applied)
        .await;
    let measure = |n: usize| {
        ana.transaction(vec![update(
            "avance_items",
            item,
            json!({ "medida": (n + 100).to_string() }),
            1,
        )])
    };
    let all: Vec<_> = (0..CONFLICT_CANDIDATES_MAX).map(measure).collect();
    for receipt in ana.push(all).await {
        assert_eq!(receipt.state, ReceiptState::InReview);
    }
    let one_more = measure(1_000);
    let other_field = update("avance_items", item, json!({ "concepto": "Otro" }), 1);
    let mut heir = ana.transaction(vec![other_field]);
    heir.builds_on = vec![one_more.id];
    let push = async || ana.push(vec![one_more.clone(), heir.clone()]).await;
    let receipts = push().await;
    let codes: Vec<&str> = receipts
        .iter()
        .map(|r| r.problem.as_ref().map_or("no problem", |problem| problem.code.as_str()))
        .collect();
    assert_eq!(codes, ["conflict_full", "builds_on_held"]);
    assert!(receipts.iter().all(|r| r.state == ReceiptState::Parked), "{receipts:?}");

    let conflict = list(laura.review(), ListQuery::default()).await.expect("listed").conflicts;
    assert_eq!(conflict[0].candidates.len(), CONFLICT_CANDIDATES_MAX);
    let decided = decision(conflict[0].revision, Keep::Server);
    resolve(laura.review(), conflict[0].id, decided).await.expect("decided");
    // They were not kept, so the same ones go through now: the first as a new conflict.
    let states: Vec<_> = push().await.iter().map(|receipt| receipt.state).collect();
    assert_eq!(states, [ReceiptState::InReview, ReceiptState::Applied]);
}

on_every_store!(a_repeated_seen_does_not_hide_what_a_decision_changed);
async fn a_repeated_seen_does_not_hide_what_a_decision_changed(company: Company) {
    let (juan, mut ana, laura, item) = site(&company).await;
    juan.edit(update("avance_items", item, json!({ "medida": "6" }), 1), ReceiptState::Applied)
        .await;
    company.advance(1_000);
    let late = update("avance_items", item, json!({ "medida": "7" }), 1);
    let receipt = ana.edit(late, ReceiptState::InReview).await.id;
    let listed = list(laura.review(), ListQuery::default()).await.expect("listed").conflicts;
    let id = listed[0].id;
    let kept = decision(1, Keep::Candidate(receipt));
    resolve(laura.review(), id, kept).await.expect("decided");
    ana.pull(100).await;
    assert_eq!(ana.settled[&receipt].state, ReceiptState::Applied);
    ana.see(vec![receipt]).await;

    let taken_back = UndoRequest { revision: 2, reason: "no".to_owned() };
    undo(laura.review(), id, taken_back).await.expect("undone");
    resolve(laura.review(), id, decision(3, Keep::Server)).await.expect("decided");
    // The answer to what Ana said was lost, so she says it again; then she has to begin anew.
    ana.see(vec![receipt]).await;
    ana.cursor = None;
    ana.pull(100).await;
    assert_eq!(ana.settled[&receipt].state, ReceiptState::Superseded);
}

on_every_store!(only_who_decides_sees_where_an_author_was);
async fn only_who_decides_sees_where_an_author_was(company: Company) {
    let (juan, ana, laura, item) = site(&company).await;
    let pedro = third_foreman(&company, &juan).await;
    juan.edit(update("avance_items", item, json!({ "medida": "6" }), 1), ReceiptState::Applied)
        .await;
    company.advance(1_000);
    let here =
        sync_protocol::wire::push::Position { latitude: 19.4, longitude: -99.1, accuracy_m: None };
    let change = |medida: &str| vec![update("avance_items", item, json!({ "medida": medida }), 1)];
    for phone in [&ana, &pedro] {
        let mut edit =
            phone.transaction(change(if phone.caller.user == ana.caller.user { "7" } else { "8" }));
        edit.position = Some(here);
        assert_eq!(phone.push(vec![edit]).await[0].state, ReceiptState::InReview);
    }
    let id = list(laura.review(), ListQuery::default()).await.expect("listed").conflicts[0].id;
    let seen = async |phone: &Phone<'_>| {
        let conflict = show(phone.review(), id).await.expect("shown");
        let by = conflict.candidates.into_iter().map(|candidate| candidate.by);
        by.map(|by| (by.user, by.position.is_some(), by.device.is_some())).collect::<Vec<_>>()
    };
    let [a, p] = [Some(ana.caller.user), Some(pedro.caller.user)];
    assert_eq!(seen(&laura).await, [(a, true, true), (p, true, true)]);
    assert_eq!(seen(&ana).await, [(a, true, true), (p, false, false)]);
}

on_every_store!(a_decision_is_not_taken_back_while_the_next_conflict_is_open);
async fn a_decision_is_not_taken_back_while_the_next_conflict_is_open(company: Company) {
    let (juan, ana, laura, item) = site(&company).await;
    juan.edit(update("avance_items", item, json!({ "medida": "6" }), 1), ReceiptState::Applied)
        .await;
    company.advance(1_000);
    let late = |medida: &str| update("avance_items", item, json!({ "medida": medida }), 1);
    ana.edit(late("7"), ReceiptState::InReview).await;
    let first = list(laura.review(), ListQuery::default()).await.expect("listed").conflicts[0].id;
    let decided = resolve(laura.review(), first, decision(1, Keep::Server)).await.expect("decided");
    let pedro = third_foreman(&company, &juan).await;
    pedro.edit(late("8"), ReceiptState::InReview).await;
    let back = || UndoRequest { revision: decided.revision, reason: "otra vez".to_owned() };
    let refused = undo(laura.review(), first, back()).await.expect_err("another is open");
    assert_eq!((refused.status, refused.code.as_str()), (409, "conflict_open"));
    let open = ListQuery { status: vec![ConflictStatus::Open], ..ListQuery::default() };
    let open = list(laura.review(), open).await.expect("listed").conflicts;
    assert_eq!(refused.more["conflict"], json!(open[0].id.to_string()));
    resolve(laura.review(), open[0].id, decision(1, Keep::Server)).await.expect("decided");
    undo(laura.review(), first, back()).await.expect("undone");
}
