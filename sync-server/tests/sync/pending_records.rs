//! Records that wait to be made, where it gets difficult: decisions taken back and again, other authors, parents that
//! move, scopes that come back, races, and what nobody may learn.

use serde_json::{Value as Json, json};
use sync_protocol::wire::receipt::{Receipt, ReceiptState};
use sync_protocol::wire::review::{ConflictStatus, Keep};
use sync_protocol::{RecordId, Scope};
use sync_server::review::receipt;

use crate::company::Company;
use crate::mutations::{add, insert, update};
use crate::on_every_store;
use crate::psql::psql;
use crate::torre::{SUPERVISOR, Torre, back, conflict, conflicts, decide, report, torre};

/// A report and an edit of it, which was decided for, and the decision taken back.
async fn made_and_undone(t: &Torre<'_>, id: RecordId) -> [Receipt; 2] {
    let first = t.juan.edit(report(t.id, id, json!({})), ReceiptState::InReview).await;
    let second = t
        .juan
        .edit(update("avances", id, json!({ "clima": "lluvia" }), 0), ReceiptState::InReview)
        .await;
    let decided = decide(&t.rosa, id, Keep::Candidate(second.id)).await.expect("made");
    back(&t.rosa, &decided).await.expect("undone");
    [first, second]
}

on_every_store!(another_candidate_after_an_undo_is_what_its_author_wanted);
async fn another_candidate_after_an_undo_is_what_its_author_wanted(company: Company) {
    let mut t = torre(&company).await;
    let id = company.id();
    let [first, _] = made_and_undone(&t, id).await;
    decide(&t.rosa, id, Keep::Candidate(first.id)).await.expect("made");
    t.rosa.pull(100).await;
    assert_eq!(t.rosa.value("avances", id, "clima"), Json::Null, "the first one says no weather");
}

on_every_store!(a_slip_in_an_immutable_field_can_be_corrected_by_undo);
async fn a_slip_in_an_immutable_field_can_be_corrected_by_undo(company: Company) {
    let t = torre(&company).await;
    let id = company.id();
    let more = json!({ "firma": "Juan" });
    let first = t.juan.edit(report(t.id, id, more), ReceiptState::InReview).await;
    let slip = json!({ "proyecto_id": t.id, "fecha": "2026-11-24", "firma": "Jaun" });
    let decided = decide(&t.rosa, id, Keep::Value(slip)).await.expect("made");
    back(&t.rosa, &decided).await.expect("undone");
    decide(&t.rosa, id, Keep::Candidate(first.id)).await.expect("made as its author wants it");
}

on_every_store!(what_belongs_to_a_record_that_waits_waits_when_the_scope_came_back);
async fn what_belongs_to_a_record_that_waits_waits_when_the_scope_came_back(company: Company) {
    let t = torre(&company).await;
    let (id, item) = (company.id(), company.id());
    t.juan.edit(report(t.id, id, json!({})), ReceiptState::InReview).await;
    company.grant(&t.juan, Scope::entity("project", t.id.0)).await;
    let set = json!({ "avance_id": id, "concepto": "Muro", "medida": "5" });
    t.juan.edit(insert("avance_items", item, set), ReceiptState::InReview).await;
}

on_every_store!(a_counter_beyond_its_limits_goes_on_counting);
async fn a_counter_beyond_its_limits_goes_on_counting(company: Company) {
    let all = ["sale:read", "sale:write", "catalog:write", "conflict:resolve"];
    let rosa = company.phone("rosa", &all).await;
    let till = company.phone("till", &all[..2]).await;
    let [branch, product, stock] = [company.id(), company.id(), company.id()];
    let made = rosa
        .push(vec![rosa.transaction(vec![
            insert("sucursales", branch, json!({ "nombre": "Centro" })),
            insert("productos", product, json!({ "sku": "P1", "nombre": "Taladro" })),
        ])])
        .await;
    assert_eq!(made[0].state, ReceiptState::Applied, "{made:?}");
    let scope = Scope::entity("branch", branch.0);
    company.grant(&till, scope.clone()).await;
    company.store.revoke(company.tenant, till.caller.user, &scope).await.expect("revoked");
    let set = json!({ "sucursal_id": branch, "producto_id": product, "cantidad": "2" });
    till.edit(insert("inventario", stock, set), ReceiptState::InReview).await;
    till.edit(add("inventario", stock, "cantidad", "-5"), ReceiptState::InReview).await;
    till.edit(add("inventario", stock, "cantidad", "4"), ReceiptState::InReview).await;
    let known = conflict(&rosa, stock).await;
    assert_eq!(known.row["cantidad"], "1.000");
    let second = decide(&rosa, stock, Keep::Candidate(known.candidates[1].receipt)).await;
    assert_eq!(second.expect("made").row["cantidad"], "-3.000");
}

on_every_store!(the_supervisor_can_look_up_the_receipt);
async fn the_supervisor_can_look_up_the_receipt(company: Company) {
    let t = torre(&company).await;
    let id = company.id();
    let first = t.juan.edit(report(t.id, id, json!({})), ReceiptState::InReview).await;
    let found = receipt(t.rosa.review(), first.id).await.expect("asked");
    assert!(found.is_some(), "she decides about it");
}

on_every_store!(receipts_after_an_undo_and_a_late_edit);
async fn receipts_after_an_undo_and_a_late_edit(company: Company) {
    let mut t = torre(&company).await;
    let id = company.id();
    let [first, second] = made_and_undone(&t, id).await;
    let third = update("avances", id, json!({ "incidentes": true }), 0);
    let third = t.juan.edit(third, ReceiptState::InReview).await;
    decide(&t.rosa, id, Keep::Candidate(third.id)).await.expect("made");
    t.rosa.pull(100).await;
    t.juan.pull(100).await;
    assert_eq!(t.rosa.value("avances", id, "clima"), "lluvia");
    assert_eq!(t.rosa.value("avances", id, "incidentes"), true);
    let states: Vec<_> =
        [first, second, third].iter().map(|r| t.juan.settled[&r.id].state).collect();
    assert_eq!(states, [ReceiptState::Applied; 3], "all of it is in the record");
}

on_every_store!(a_child_whose_parent_moved_can_be_decided_by_who_holds_the_parent);
async fn a_child_whose_parent_moved_can_be_decided_by_who_holds_the_parent(company: Company) {
    let t = torre(&company).await;
    let (nave, parent, item) = (company.id(), company.id(), company.id());
    t.rosa
        .edit(insert("proyectos", nave, json!({ "nombre": "Nave" })), ReceiptState::Applied)
        .await;
    t.rosa.edit(report(t.id, parent, json!({})), ReceiptState::Applied).await;
    let set = json!({ "avance_id": parent, "concepto": "Muro", "medida": "5" });
    let first = t.juan.edit(insert("avance_items", item, set), ReceiptState::InReview).await;
    t.rosa
        .edit(update("avances", parent, json!({ "proyecto_id": nave }), 1), ReceiptState::Applied)
        .await;
    let eva = company.phone("eva", &SUPERVISOR).await;
    company.grant(&eva, Scope::entity("project", nave.0)).await;
    let tina = company.phone("tina", &SUPERVISOR).await;
    company.grant(&tina, Scope::entity("project", t.id.0)).await;
    assert!(conflicts(&tina).await.is_empty(), "it would not be hers");
    let seen = conflict(&eva, item).await;
    assert_eq!(seen.row["proyecto_id"], json!(nave));
    decide(&eva, item, Keep::Candidate(first.id)).await.expect("made");
}

on_every_store!(an_edit_of_a_pending_record_reaches_no_scope_that_was_never_held);
async fn an_edit_of_a_pending_record_reaches_no_scope_that_was_never_held(company: Company) {
    let t = torre(&company).await;
    let (nave, id) = (company.id(), company.id());
    t.rosa
        .edit(insert("proyectos", nave, json!({ "nombre": "Nave" })), ReceiptState::Applied)
        .await;
    let eva = company.phone("eva", &SUPERVISOR).await;
    company.grant(&eva, Scope::entity("project", nave.0)).await;
    let direct = t.juan.transaction(vec![report(nave, company.id(), json!({}))]);
    assert_eq!(t.juan.push(vec![direct]).await[0].state, ReceiptState::Refused);
    t.juan.edit(report(t.id, id, json!({})), ReceiptState::InReview).await;
    let moved = t.juan.transaction(vec![update("avances", id, json!({ "proyecto_id": nave }), 0)]);
    let moved = t.juan.push(vec![moved]).await.remove(0);
    let seen = conflicts(&eva).await;
    assert!(seen.is_empty(), "{:?}: eva sees {:?}", moved.state, seen[0].candidates);
}

on_every_store!(where_a_hidden_record_went_is_told_to_nobody);
async fn where_a_hidden_record_went_is_told_to_nobody(company: Company) {
    let t = torre(&company).await;
    // Juan holds another project with a report, and knew a report of the tower which has moved since.
    let (casa, nave) = (company.id(), company.id());
    for id in [casa, nave] {
        t.rosa.edit(insert("proyectos", id, json!({ "nombre": "X" })), ReceiptState::Applied).await;
    }
    company.grant(&t.juan, Scope::entity("project", casa.0)).await;
    let (known, own, moved, item) = (company.id(), company.id(), company.id(), company.id());
    t.rosa.edit(report(t.id, known, json!({})), ReceiptState::Applied).await;
    t.rosa.edit(report(casa, own, json!({})), ReceiptState::Applied).await;
    t.rosa.edit(report(nave, moved, json!({})), ReceiptState::Applied).await;
    let set = json!({ "avance_id": known, "concepto": "Muro", "medida": "5" });
    t.juan.edit(insert("avance_items", item, set), ReceiptState::InReview).await;
    for parent in [own, moved] {
        let edit = update("avance_items", item, json!({ "avance_id": parent }), 0);
        t.juan.push(vec![t.juan.transaction(vec![edit])]).await;
    }
    for seen in conflicts(&t.juan).await {
        assert_ne!(
            seen.row["proyecto_id"],
            json!(nave),
            "he never held it, and is told where it is"
        );
    }
}

on_every_store!(a_sale_of_a_seller_who_lost_the_branch_waits);
async fn a_sale_of_a_seller_who_lost_the_branch_waits(company: Company) {
    let all = ["sale:read", "sale:write", "catalog:write", "conflict:resolve"];
    let rosa = company.phone("rosa", &all).await;
    let till = company.phone("till", &all[..2]).await;
    let [branch, sale] = [company.id(), company.id()];
    rosa.edit(insert("sucursales", branch, json!({ "nombre": "Centro" })), ReceiptState::Applied)
        .await;
    let scope = Scope::entity("branch", branch.0);
    company.grant(&till, scope.clone()).await;
    company.grant(&till, format!("user:{}", till.caller.user).parse().expect("a scope")).await;
    company.store.revoke(company.tenant, till.caller.user, &scope).await.expect("revoked");
    let set = json!({ "sucursal_id": branch, "vendedor_id": till.caller.user, "folio": "F1",
        "total": "100", "momento": "2026-11-24T12:00:00Z" });
    let sold = till.push(vec![till.transaction(vec![insert("ventas", sale, set)])]).await.remove(0);
    assert_ne!(sold.state, ReceiptState::Refused, "{:?}", sold.problem);
}

on_every_store!(undo_of_a_parent_says_what_is_in_the_way);
async fn undo_of_a_parent_says_what_is_in_the_way(company: Company) {
    let t = torre(&company).await;
    let (id, item) = (company.id(), company.id());
    let first = t.juan.edit(report(t.id, id, json!({})), ReceiptState::InReview).await;
    let set = json!({ "avance_id": id, "concepto": "Muro", "medida": "5" });
    let second = t.juan.edit(insert("avance_items", item, set), ReceiptState::InReview).await;
    let parent = decide(&t.rosa, id, Keep::Candidate(first.id)).await.expect("made");
    decide(&t.rosa, item, Keep::Candidate(second.id)).await.expect("made");
    let said = back(&t.rosa, &parent).await.expect_err("it has children");
    assert_eq!(said.code, "has_children");
}

const NOON_US: i64 = 1_795_521_600_000_000;

on_every_store!(flags_of_a_photo_that_a_decision_makes);
async fn flags_of_a_photo_that_a_decision_makes(company: Company) {
    use sync_server::clock::Clock as _;
    company.advance(NOON_US - company.clock.now_us());
    let mut t = torre(&company).await;
    let (id, photo) = (company.id(), company.id());
    let set = json!({ "avance_id": id, "sha256": "1".repeat(64), "bytes": 10,
        "miniatura_sha256": "2".repeat(64), "miniatura_bytes": 10, "ancho": 100, "alto": 100,
        "tomada": "2026-11-24T12:00:00Z" });
    let both =
        t.juan.transaction(vec![report(t.id, id, json!({})), insert("avance_fotos", photo, set)]);
    let pushed = t.juan.push(vec![both]).await.remove(0);
    assert_eq!(pushed.state, ReceiptState::InReview, "{pushed:?}");
    company.advance(5 * 3_600_000_000);
    for record in [id, photo] {
        decide(&t.rosa, record, Keep::Candidate(pushed.id)).await.expect("made");
    }
    t.rosa.pull(100).await;
    let told = |_: &sync_protocol::schema::Collection| true;
    let missing =
        sync_server::photos::missing::page(&*company.store, company.tenant, told, None, 10)
            .await
            .expect("told");
    assert_eq!(missing.photos[0].user, Some(t.juan.caller.user), "who is to send it");
    assert_eq!(
        t.rosa.value("avance_fotos", photo, "avisos"),
        Json::Null,
        "taken while it happened"
    );
}

/// A decision that stands still before its commit: somebody holds the receipt that it rewrites.
#[tokio::test]
async fn an_edit_that_comes_while_the_record_is_made_is_handed_over() {
    let company = Company::new(crate::company::postgres().await).await;
    let t = torre(&company).await;
    let id = company.id();
    let first = t.juan.edit(report(t.id, id, json!({})), ReceiptState::InReview).await;
    let mut held = psql(&[format!(
        "SELECT 1 FROM sync.receipts WHERE tenant_id = '{}' AND id = '{}' FOR UPDATE",
        company.tenant, first.id
    )])
    .await;
    let wait = |ms| tokio::time::sleep(std::time::Duration::from_millis(ms));
    let edits = [
        t.juan.transaction(vec![update("avances", id, json!({ "clima": "lluvia" }), 0)]),
        t.juan.transaction(vec![insert(
            "avance_items",
            company.id(),
            json!({ "avance_id": id, "concepto": "Muro", "medida": "5" }),
        )]),
    ];
    let child = t.juan.again(&company);
    let other = company.phone("sofia", &SUPERVISOR).await;
    company.grant(&other, Scope::entity("project", t.id.0)).await;
    let (made, pushed, below, second, ()) = tokio::join!(
        decide(&t.rosa, id, Keep::Candidate(first.id)),
        async {
            wait(300).await;
            t.juan.push(vec![edits[0].clone()]).await.remove(0)
        },
        async {
            wait(300).await;
            child.push(vec![edits[1].clone()]).await.remove(0)
        },
        async {
            wait(300).await;
            decide(&other, id, Keep::Server).await
        },
        async {
            wait(900).await;
            sqlx::raw_sql("COMMIT").execute(&mut held).await.expect("psql");
        },
    );
    made.expect("made");
    assert!(second.expect_err("too late").code == "conflict_changed");
    // Afterwards the same edits are handed over:
    let late = t.juan.transaction(vec![update("avances", id, json!({ "clima": "lluvia" }), 0)]);
    assert_eq!(t.juan.push(vec![late]).await[0].state, ReceiptState::InReview);
    assert_eq!((pushed.state, below.state), (ReceiptState::InReview, ReceiptState::InReview));
}

on_every_store!(the_id_of_what_waits_is_in_use);
async fn the_id_of_what_waits_is_in_use(company: Company) {
    let t = torre(&company).await;
    let id = company.id();
    let first =
        t.juan.edit(report(t.id, id, json!({ "firma": "J" })), ReceiptState::InReview).await;
    let again = report(t.id, id, json!({ "firma": "K" }));
    let again = t.juan.push(vec![t.juan.transaction(vec![again])]).await.remove(0);
    assert_eq!(again.problem.map(|p| p.code), Some("record_exists".to_owned()));
    decide(&t.rosa, id, Keep::Candidate(first.id)).await.expect("made");
}

on_every_store!(edits_of_a_pending_record_follow_the_merge_rules);
async fn edits_of_a_pending_record_follow_the_merge_rules(company: Company) {
    let t = torre(&company).await;
    let id = company.id();
    t.juan.edit(report(t.id, id, json!({ "avance_pct": 80 })), ReceiptState::InReview).await;
    t.juan
        .edit(update("avances", id, json!({ "avance_pct": 50 }), 0), ReceiptState::InReview)
        .await;
    let known = conflict(&t.rosa, id).await;
    assert_eq!(known.row["avance_pct"], 80, "the furthest report stays, also without concurrency");
}

on_every_store!(an_immutable_field_of_a_pending_record_stays);
async fn an_immutable_field_of_a_pending_record_stays(company: Company) {
    let t = torre(&company).await;
    let id = company.id();
    t.juan.edit(report(t.id, id, json!({ "firma": "Juan" })), ReceiptState::InReview).await;
    let other = t.juan.transaction(vec![update("avances", id, json!({ "firma": "Pedro" }), 0)]);
    let other = t.juan.push(vec![other]).await.remove(0);
    let known = conflict(&t.rosa, id).await;
    assert_eq!(known.row["firma"], "Juan", "{:?}", other.state);
}

on_every_store!(a_supervisor_who_may_not_see_a_field_can_decide);
async fn a_supervisor_who_may_not_see_a_field_can_decide(company: Company) {
    let juan =
        company.phone("juan", &["project:read", "catalog:write", "cost:read", "cost:write"]).await;
    let rosa = company.phone("rosa", &["project:read", "catalog:write", "conflict:resolve"]).await;
    for phone in [&juan, &rosa] {
        company.grant(phone, Scope::tenant()).await;
    }
    company
        .store
        .revoke(company.tenant, juan.caller.user, &Scope::tenant())
        .await
        .expect("revoked");
    let id = company.id();
    let set = json!({ "clave": "C1", "nombre": "Cemento", "costo": "12.00" });
    let first = juan.edit(insert("materiales", id, set), ReceiptState::InReview).await;
    let known = conflict(&rosa, id).await;
    assert!(known.row.get("costo").is_none() && known.candidates[0].value.get("costo").is_none());
    let said = decide(&rosa, id, Keep::Candidate(first.id)).await.map(|c| c.status);
    assert_eq!(said, Ok(ConflictStatus::Resolved));
}

on_every_store!(what_is_decided_against_is_not_there);
async fn what_is_decided_against_is_not_there(company: Company) {
    let mut t = torre(&company).await;
    let (id, item) = (company.id(), company.id());
    let first = t.juan.edit(report(t.id, id, json!({})), ReceiptState::InReview).await;
    let set = json!({ "avance_id": id, "concepto": "Muro", "medida": "5" });
    let second = t.juan.edit(insert("avance_items", item, set), ReceiptState::InReview).await;
    let parent = decide(&t.rosa, id, Keep::Candidate(first.id)).await.expect("made");
    let child = decide(&t.rosa, item, Keep::Candidate(second.id)).await.expect("made");
    back(&t.rosa, &child).await.expect("undone");
    back(&t.rosa, &parent).await.expect("undone");
    // The item alone has no report to belong to.
    let alone = decide(&t.rosa, item, Keep::Candidate(second.id)).await;
    assert!(alone.expect_err("no report").code == "unknown_reference");
    decide(&t.rosa, id, Keep::Server).await.expect("decided");
    t.rosa.pull(100).await;
    t.juan.pull(100).await;
    let there = t.rosa.rows.contains_key(&("avances".to_owned(), id));
    let state = t.juan.settled[&first.id].state;
    assert_eq!(there, state == ReceiptState::Applied, "there: {there}, the receipt says {state:?}");
}

on_every_store!(a_set_that_grows_beyond_its_limit_keeps_what_it_had);
async fn a_set_that_grows_beyond_its_limit_keeps_what_it_had(company: Company) {
    let t = torre(&company).await;
    let id = company.id();
    let names = |from: usize, to: usize| (from..to).map(|n| format!("P{n:04}")).collect::<Vec<_>>();
    t.juan
        .edit(report(t.id, id, json!({ "cuadrilla": names(0, 999) })), ReceiptState::InReview)
        .await;
    for (from, to) in [(999, 1_002), (1_002, 1_003)] {
        let mut grown = update("avances", id, json!({}), 0);
        grown.elements.insert(
            "cuadrilla".to_owned(),
            serde_json::from_value(json!({ "add": names(from, to) })).expect("elements"),
        );
        // More than a set holds is refused, as ever; the next edit fits.
        let fits = to - from == 1;
        let state = if fits { ReceiptState::InReview } else { ReceiptState::Refused };
        t.juan.edit(grown, state).await;
    }
    let known = conflict(&t.rosa, id).await;
    assert!(
        known.row["cuadrilla"].as_array().expect("a set").len() > 900,
        "{}",
        known.row["cuadrilla"]
    );
}

on_every_store!(somebody_elses_insertion_of_the_same_id_takes_nothing_out_of_sight);
async fn somebody_elses_insertion_of_the_same_id_takes_nothing_out_of_sight(company: Company) {
    let t = torre(&company).await;
    let (nave, id) = (company.id(), company.id());
    let eva = company.phone("eva", &SUPERVISOR).await;
    company.grant(&eva, Scope::entity("project", nave.0)).await;
    eva.edit(insert("proyectos", nave, json!({ "nombre": "Nave" })), ReceiptState::Applied).await;
    let luis = company.foreman("luis", nave).await;
    let scope = Scope::entity("project", nave.0);
    company.store.revoke(company.tenant, luis.caller.user, &scope).await.expect("revoked");
    t.juan
        .edit(report(t.id, id, json!({ "resumen": "secreto de la torre" })), ReceiptState::InReview)
        .await;
    let other =
        luis.push(vec![luis.transaction(vec![report(nave, id, json!({}))])]).await.remove(0);
    let (rosa, eva) = (conflicts(&t.rosa).await, conflicts(&eva).await);
    let leaked = serde_json::to_string(&eva).expect("JSON").contains("secreto de la torre");
    assert!(
        rosa.len() == 1 && !leaked,
        "{:?}: rosa sees {}, eva is told: {leaked}",
        other.state,
        rosa.len()
    );
}

on_every_store!(a_conflict_does_not_grow_with_the_record_times_its_edits);
async fn a_conflict_does_not_grow_with_the_record_times_its_edits(company: Company) {
    let t = torre(&company).await;
    let id = company.id();
    let notes = json!({ "notas": { "texto": "x".repeat(60_000) } });
    t.juan.edit(report(t.id, id, notes), ReceiptState::InReview).await;
    let edits: Vec<_> = (0..110)
        .map(|n| t.juan.transaction(vec![update("avances", id, json!({ "horas": n }), 0)]))
        .collect();
    let last = t.juan.push(edits).await.pop().expect("one");
    // With a hundred candidates somebody has to decide first.
    assert_eq!(last.problem.map(|p| p.code), Some("conflict_full".to_owned()));
    let size = serde_json::to_string(&conflict(&t.rosa, id).await).expect("JSON").len();
    assert!(size < 1_000_000, "{size} bytes from one record of 60 kB and 99 edits of a number");
}

on_every_store!(a_transaction_whose_other_record_refers_to_what_waits);
async fn a_transaction_whose_other_record_refers_to_what_waits(company: Company) {
    let t = torre(&company).await;
    // A consumption of another project, which he holds, that names the report of the lost one.
    let (casa, material, id) = (company.id(), company.id(), company.id());
    t.rosa
        .edit(insert("proyectos", casa, json!({ "nombre": "Casa" })), ReceiptState::Applied)
        .await;
    company.grant(&t.juan, Scope::entity("project", casa.0)).await;
    let ana = company.phone("ana", &["project:read", "catalog:write"]).await;
    for phone in [&ana, &t.juan] {
        company.grant(phone, Scope::tenant()).await;
    }
    ana.edit(
        insert("materiales", material, json!({ "clave": "C", "nombre": "C" })),
        ReceiptState::Applied,
    )
    .await;
    let used = json!({ "proyecto_id": casa, "material_id": material, "avance_id": id,
        "fecha": "2026-11-24", "cantidad": "1" });
    let both = t
        .juan
        .transaction(vec![report(t.id, id, json!({})), insert("consumos", company.id(), used)]);
    let both = t.juan.push(vec![both]).await.remove(0);
    assert_ne!(both.state, ReceiptState::Refused, "{:?}", both.problem.map(|p| p.detail));
}
