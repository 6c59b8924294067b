//! One bad edit parks only itself and what builds on it (DESIGN I10).

use serde_json::json;
use sync_protocol::wire::receipt::ReceiptState;

use crate::company::Company;
use crate::mutations::{insert, update};
use crate::on_every_store;

on_every_store!(one_poison_edit_among_a_thousand_stops_only_its_heirs);
async fn one_poison_edit_among_a_thousand_stops_only_its_heirs(company: Company) {
    let project = company.id();
    let juan = company.foreman("juan", project).await;
    juan.edit(insert("proyectos", project, json!({ "nombre": "Torre" })), ReceiptState::Applied)
        .await;

    let report = |day: u32| {
        let id = company.id();
        let fecha = format!("2026-01-{:02}", day % 28 + 1);
        (id, insert("avances", id, json!({ "proyecto_id": project, "fecha": fecha })))
    };
    let mut all: Vec<_> = (0..1_000).map(|day| juan.transaction(vec![report(day).1])).collect();
    // Number 500 names a project that is not there; 20 later ones build on it.
    let poisoned = all[500].mutations[0].record;
    all[500].mutations[0].set.insert("proyecto_id".to_owned(), json!(company.id()));
    let poison = all[500].id;
    for (n, transaction) in all[900..920].iter_mut().enumerate() {
        transaction.builds_on = vec![poison];
        transaction.mutations =
            vec![update("avances", poisoned, json!({ "resumen": format!("nota {n}") }), 0)];
    }
    let receipts = juan.push(all.clone()).await;
    let count = |state| receipts.iter().filter(|r| r.state == state).count();
    assert_eq!(count(ReceiptState::Applied), 979);
    assert_eq!(count(ReceiptState::Refused), 1);
    assert_eq!(count(ReceiptState::Parked), 20);
    let reasons: Vec<&str> =
        receipts.iter().filter_map(|r| r.problem.as_ref()).map(|p| p.code.as_str()).collect();
    assert_eq!(reasons.iter().filter(|code| **code == "builds_on_refused").count(), 20);
    assert!(reasons.contains(&"unknown_reference"), "{reasons:?}");

    // The correction is a new transaction; the heirs build on it now, under their own ids.
    let mut correction = all[500].clone();
    correction.id = sync_protocol::ReceiptId(uuid::Uuid::new_v4());
    correction.replaces = Some(poison);
    correction.mutations[0].set.insert("proyecto_id".to_owned(), json!(project));
    let mut heirs = all[900..920].to_vec();
    for heir in &mut heirs {
        heir.builds_on = vec![correction.id];
    }
    let mut again = vec![correction];
    again.extend(heirs);
    let receipts = juan.push(again).await;
    assert!(receipts.iter().all(|r| r.state == ReceiptState::Applied), "{receipts:?}");
    // The refusal stays on record under its own id.
    let kept = juan.push(vec![all[500].clone()]).await;
    assert_eq!(kept[0].state, ReceiptState::Refused);
}

on_every_store!(a_broken_constraint_refuses_only_its_transaction);
async fn a_broken_constraint_refuses_only_its_transaction(company: Company) {
    let keeper = company.phone("pedro", &["stock:read", "stock:write", "catalog:write"]).await;
    let article = |code: &str| {
        insert("articulos", company.id(), json!({ "codigo": code, "nombre": "Clavo" }))
    };
    let first = keeper.push(vec![keeper.transaction(vec![article("A1")])]).await;
    assert_eq!(first[0].state, ReceiptState::Applied);
    let all = ["B1", "A1", "C1"].map(|code| keeper.transaction(vec![article(code)]));
    let states: Vec<_> = keeper.push(all.to_vec()).await.iter().map(|r| r.state).collect();
    assert_eq!(states, [ReceiptState::Applied, ReceiptState::Refused, ReceiptState::Applied]);
}
