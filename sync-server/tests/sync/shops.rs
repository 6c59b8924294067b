//! Shops: sales that wait as a whole, and stock rows that two tills make at once.

use serde_json::json;
use sync_protocol::wire::receipt::ReceiptState;
use sync_protocol::wire::review::{Keep, ResolveRequest, UndoRequest};
use sync_protocol::{RecordId, Scope};
use sync_server::review::{ListQuery, list, resolve, undo};

use crate::company::{Company, Phone};
use crate::mutations::{add, delete, insert, update};
use crate::on_every_store;

const TILL: [&str; 4] = ["sale:read", "sale:write", "catalog:write", "conflict:resolve"];

/// A till with a branch and a product.
async fn shop(company: &Company) -> (Phone<'_>, RecordId, RecordId) {
    let till = company.phone("till", &TILL).await;
    let [branch, product] = [company.id(), company.id()];
    let made = till
        .push(vec![till.transaction(vec![
            insert("sucursales", branch, json!({ "nombre": "Centro" })),
            insert("productos", product, json!({ "sku": "P1", "nombre": "Taladro" })),
        ])])
        .await;
    assert_eq!(made[0].state, ReceiptState::Applied, "{made:?}");
    (till, branch, product)
}

async fn second_till<'a>(company: &'a Company, branch: RecordId) -> Phone<'a> {
    let till = company.phone("second", &TILL).await;
    company.grant(&till, Scope::entity("branch", branch.0)).await;
    till
}

on_every_store!(a_sale_in_review_waits_as_a_whole_and_takes_effect_once);
async fn a_sale_in_review_waits_as_a_whole_and_takes_effect_once(company: Company) {
    let (mut till, branch, product) = shop(&company).await;
    let [sale, stock] = [company.id(), company.id()];
    let fields = json!({ "sucursal_id": branch, "folio": "F1", "total": "100",
        "momento": "2026-11-24T12:00:00Z" });
    till.edit(insert("ventas", sale, fields), ReceiptState::Applied).await;
    let fields = json!({ "sucursal_id": branch, "producto_id": product, "cantidad": "10" });
    till.edit(insert("inventario", stock, fields), ReceiptState::Applied).await;
    till.edit(update("ventas", sale, json!({ "total": "120" }), 1), ReceiptState::Applied).await;

    let other = second_till(&company, branch).await;
    company.advance(1_000);
    let late = other.transaction(vec![
        update("ventas", sale, json!({ "total": "110" }), 1),
        add("inventario", stock, "cantidad", "-1"),
    ]);
    let held = other.push(vec![late.clone()]).await.remove(0);
    assert_eq!((held.state, held.held), (ReceiptState::InReview, true));
    let mut heir = other.transaction(vec![add("inventario", stock, "cantidad", "-2")]);
    heir.builds_on = vec![late.id];
    let parked = other.push(vec![heir.clone()]).await.remove(0);
    assert_eq!(parked.state, ReceiptState::Parked);
    assert_eq!(parked.problem.expect("a reason").code, "builds_on_held");
    till.pull(100).await;
    assert_eq!(till.value("inventario", stock, "cantidad"), json!("10.000"), "nothing took effect");

    let conflict = list(till.review(), ListQuery::default()).await.expect("listed").conflicts;
    let conflict = conflict.into_iter().next().expect("a conflict");
    let keep = |revision| ResolveRequest { revision, keep: Keep::Server, reason: "caja 1".into() };
    company.advance(1_000);
    let decided = resolve(till.review(), conflict.id, keep(1)).await.expect("decided");
    assert_eq!(other.push(vec![heir]).await[0].state, ReceiptState::Applied);
    till.pull(100).await;
    assert_eq!(till.value("inventario", stock, "cantidad"), json!("7.000"), "the rest took effect");
    assert_eq!(till.value("ventas", sale, "total"), json!("120.00"));

    company.advance(1_000);
    let back = UndoRequest { revision: decided.revision, reason: "otra vez".into() };
    let open = undo(till.review(), conflict.id, back).await.expect("undone");
    resolve(till.review(), conflict.id, keep(open.revision)).await.expect("decided again");
    till.pull(100).await;
    assert_eq!(till.value("inventario", stock, "cantidad"), json!("7.000"), "once, not twice");
    let again = other.push(vec![late]).await.remove(0);
    assert_eq!((again.state, again.held), (ReceiptState::Superseded, false));
}

on_every_store!(two_tills_that_meet_a_product_first_make_one_row);
async fn two_tills_that_meet_a_product_first_make_one_row(company: Company) {
    let (mut till, branch, product) = shop(&company).await;
    let other = second_till(&company, branch).await;
    let [first, second] = [company.id(), company.id()];
    let fields = |n: &str| json!({ "sucursal_id": branch, "producto_id": product, "cantidad": n });
    till.edit(insert("inventario", first, fields("5")), ReceiptState::Applied).await;
    let made = other.transaction(vec![insert("inventario", second, fields("3"))]);
    let mut sold = other.transaction(vec![add("inventario", second, "cantidad", "-1")]);
    sold.builds_on = vec![made.id];
    let receipts = other.push(vec![made, sold.clone()]).await;
    assert_eq!(receipts[0].mutations[0].alias, Some(first));
    assert_eq!(receipts[1].state, ReceiptState::Applied, "{receipts:?}");
    till.pull(100).await;
    assert_eq!(till.value("inventario", first, "cantidad"), json!("7.000"));
    assert!(!till.rows.contains_key(&("inventario".to_owned(), second)));
}

on_every_store!(what_follows_an_adopted_row_in_its_own_transaction_goes_with_it);
async fn what_follows_an_adopted_row_in_its_own_transaction_goes_with_it(company: Company) {
    let (mut till, branch, product) = shop(&company).await;
    let other = second_till(&company, branch).await;
    let [first, second] = [company.id(), company.id()];
    let fields = |n: &str| json!({ "sucursal_id": branch, "producto_id": product, "cantidad": n });
    till.edit(insert("inventario", first, fields("5")), ReceiptState::Applied).await;
    let made = other.transaction(vec![
        insert("inventario", second, fields("3")),
        add("inventario", second, "cantidad", "-1"),
    ]);
    let receipt = other.push(vec![made]).await.remove(0);
    assert_eq!(receipt.state, ReceiptState::Applied, "{receipt:?}");
    assert_eq!(receipt.mutations[1].alias, Some(first));
    till.pull(100).await;
    assert_eq!(till.value("inventario", first, "cantidad"), json!("7.000"));
}

on_every_store!(what_was_refused_at_its_release_stays_refused_when_the_decision_is_undone);
async fn what_was_refused_at_its_release_stays_refused_when_the_decision_is_undone(
    company: Company,
) {
    let (till, branch, _) = shop(&company).await;
    let sale = company.id();
    let fields = json!({ "sucursal_id": branch, "folio": "F1", "total": "100",
        "momento": "2026-11-24T12:00:00Z" });
    till.edit(insert("ventas", sale, fields), ReceiptState::Applied).await;
    till.edit(update("ventas", sale, json!({ "total": "120" }), 1), ReceiptState::Applied).await;
    let other = second_till(&company, branch).await;
    company.advance(1_000);
    // The second mutation was good when it was made: a product that is gone at the release.
    let product = company.id();
    let made = json!({ "sku": "P2", "nombre": "Broca" });
    till.edit(insert("productos", product, made), ReceiptState::Applied).await;
    let late = other.transaction(vec![
        update("ventas", sale, json!({ "total": "110" }), 1),
        insert(
            "inventario",
            company.id(),
            json!({ "sucursal_id": branch, "producto_id": product, "cantidad": "1" }),
        ),
    ]);
    assert!(other.push(vec![late.clone()]).await[0].held);
    till.edit(delete("productos", product, 1), ReceiptState::Applied).await;
    let conflict = list(till.review(), ListQuery::default()).await.expect("listed").conflicts;
    let id = conflict[0].id;
    let keep = ResolveRequest { revision: 1, keep: Keep::Server, reason: "caja 1".into() };
    company.advance(1_000);
    let decided = resolve(till.review(), id, keep).await.expect("decided");
    let state = async || other.push(vec![late.clone()]).await[0].state;
    assert_eq!(state().await, ReceiptState::Refused);
    let back = UndoRequest { revision: decided.revision, reason: "otra vez".into() };
    undo(till.review(), id, back).await.expect("undone");
    assert_eq!(state().await, ReceiptState::Refused, "not applied by undoing");
}

on_every_store!(a_product_is_made_again_in_the_push_that_deletes_it);
async fn a_product_is_made_again_in_the_push_that_deletes_it(company: Company) {
    let (till, _, product) = shop(&company).await;
    let [renamed, again, taken] = [company.id(), company.id(), company.id()];
    let made = |sku: &str| json!({ "sku": sku, "nombre": "Broca" });
    till.edit(insert("productos", renamed, made("P2")), ReceiptState::Applied).await;
    let receipts = till
        .push(vec![
            till.transaction(vec![delete("productos", product, 1)]),
            till.transaction(vec![insert("productos", again, made("P1"))]),
            till.transaction(vec![update("productos", renamed, json!({ "sku": "P3" }), 1)]),
            till.transaction(vec![insert("productos", taken, made("P2"))]),
        ])
        .await;
    assert!(receipts.iter().all(|r| r.state == ReceiptState::Applied), "{receipts:?}");
}

on_every_store!(two_edits_of_one_push_wait_in_one_conflict_by_two_ids_of_its_row);
async fn two_edits_of_one_push_wait_in_one_conflict_by_two_ids_of_its_row(company: Company) {
    let (till, _, _) = shop(&company).await;
    let other = company.phone("other", &TILL).await;
    let [card, double] = [company.id(), company.id()];
    let made = |medida: i64| json!({ "clave": "C1", "medida": medida });
    till.edit(insert("fichas", card, made(1)), ReceiptState::Applied).await;
    till.edit(update("fichas", card, json!({ "medida": 2 }), 1), ReceiptState::Applied).await;
    company.advance(1_000);
    let edits = vec![
        other.transaction(vec![update("fichas", card, json!({ "medida": 3 }), 1)]),
        other.transaction(vec![insert("fichas", double, made(4))]),
    ];
    let ids: Vec<_> = edits.iter().map(|edit| edit.id).collect();
    let receipts = other.push(edits).await;
    assert!(receipts.iter().all(|r| r.state == ReceiptState::InReview), "{receipts:?}");
    let conflicts = list(till.review(), ListQuery::default()).await.expect("listed").conflicts;
    let waiting: Vec<_> = conflicts[0].candidates.iter().map(|known| known.receipt).collect();
    assert_eq!((conflicts.len(), waiting), (1, ids));
}

on_every_store!(a_key_that_a_transaction_gives_up_is_free_in_it);
async fn a_key_that_a_transaction_gives_up_is_free_in_it(company: Company) {
    let (mut till, _, product) = shop(&company).await;
    let [second, third] = [company.id(), company.id()];
    let made = |sku: &str| json!({ "sku": sku, "nombre": "Broca" });
    let replaced = till.transaction(vec![
        delete("productos", product, 1),
        insert("productos", second, made("P1")),
        update("productos", second, json!({ "sku": "P2" }), 0),
        insert("productos", third, made("P1")),
    ]);
    let receipt = till.push(vec![replaced]).await.remove(0);
    assert_eq!(receipt.state, ReceiptState::Applied, "{receipt:?}");
    till.pull(100).await;
    let sku = |id| till.value("productos", id, "sku");
    assert_eq!((sku(second), sku(third)), (json!("P2"), json!("P1")));
    let twice = till.transaction(vec![
        insert("productos", company.id(), made("P9")),
        insert("productos", company.id(), made("P9")),
    ]);
    let problem = till.push(vec![twice]).await.remove(0).problem.expect("refused");
    assert_eq!(problem.code, "duplicate_key");
}

on_every_store!(an_adopting_row_that_moved_on_in_the_transaction_adopts_nothing);
async fn an_adopting_row_that_moved_on_in_the_transaction_adopts_nothing(company: Company) {
    let (mut till, _, _) = shop(&company).await;
    let [monday, again] = [company.id(), company.id()];
    let card = |clave: &str| json!({ "clave": clave, "medida": 1 });
    till.edit(insert("fichas", monday, card("lunes")), ReceiptState::Applied).await;
    let moved = till.transaction(vec![
        update("fichas", monday, json!({ "clave": "martes" }), 1),
        insert("fichas", again, card("lunes")),
    ]);
    let receipt = till.push(vec![moved]).await.remove(0);
    assert_eq!(receipt.state, ReceiptState::Applied, "{receipt:?}");
    assert_eq!(receipt.mutations[1].alias, None);
    till.pull(100).await;
    let clave = |id| till.value("fichas", id, "clave");
    assert_eq!((clave(monday), clave(again)), (json!("martes"), json!("lunes")));
}

on_every_store!(two_supervisors_decide_about_one_held_sale_at_once);
async fn two_supervisors_decide_about_one_held_sale_at_once(company: Company) {
    let (till, branch, _) = shop(&company).await;
    let other = second_till(&company, branch).await;
    let boss = company.phone("boss", &TILL).await;
    company.grant(&boss, Scope::entity("branch", branch.0)).await;
    for round in 0..8 {
        let sales = [company.id(), company.id()];
        for (n, sale) in sales.into_iter().enumerate() {
            let fields = json!({ "sucursal_id": branch, "folio": format!("F{round}-{n}"),
                "total": "100", "momento": "2026-11-24T12:00:00Z" });
            till.edit(insert("ventas", sale, fields), ReceiptState::Applied).await;
            let change = update("ventas", sale, json!({ "total": "120" }), 1);
            till.edit(change, ReceiptState::Applied).await;
        }
        company.advance(1_000);
        let change = |sale| update("ventas", sale, json!({ "total": "110" }), 1);
        let late = other.transaction(sales.map(change).to_vec());
        assert!(other.push(vec![late.clone()]).await[0].held);
        let status = vec![sync_protocol::wire::review::ConflictStatus::Open];
        let query = || ListQuery { status: status.clone(), ..ListQuery::default() };
        let open = list(till.review(), query()).await.expect("listed").conflicts;
        assert_eq!(open.len(), 2);
        let keep =
            || ResolveRequest { revision: 1, keep: Keep::Candidate(late.id), reason: "ok".into() };
        let (one, two) = tokio::join!(
            resolve(till.review(), open[0].id, keep()),
            resolve(boss.review(), open[1].id, keep()),
        );
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
        let after = other.push(vec![late]).await.remove(0);
        assert_eq!((after.state, after.held), (ReceiptState::Applied, false), "round {round}");
    }
}

on_every_store!(a_held_transaction_is_kept_once_and_without_what_nobody_needs);
async fn a_held_transaction_is_kept_once_and_without_what_nobody_needs(company: Company) {
    let (till, branch, _) = shop(&company).await;
    let other = second_till(&company, branch).await;
    let sale = company.id();
    let fields = json!({ "sucursal_id": branch, "folio": "F1", "total": "100",
        "momento": "2026-11-24T12:00:00Z" });
    till.edit(insert("ventas", sale, fields), ReceiptState::Applied).await;
    till.edit(update("ventas", sale, json!({ "total": "120" }), 1), ReceiptState::Applied).await;
    let mut change = update("ventas", sale, json!({ "total": "110" }), 1);
    let long = json!("x".repeat(1_000_000));
    change.seen = json!({ "total": "100", "folio": long, "nada": long })
        .as_object()
        .cloned()
        .expect("an object");
    change.base.insert("nada".to_owned(), 7);
    let late = other.transaction(vec![change]);
    assert!(other.push(vec![late.clone()]).await[0].held);
    let mut tx = company.store.read(company.tenant).await.expect("a snapshot");
    let stored = tx.receipt(late.id).await.expect("read").expect("stored");
    let kept = &stored.held.expect("kept").mutations[0];
    assert_eq!(serde_json::Value::Object(kept.seen.clone()), json!({ "total": "100.00" }));
    assert_eq!(kept.base.keys().collect::<Vec<_>>(), ["total"]);
    let conflict = &list(till.review(), ListQuery::default()).await.expect("listed").conflicts[0];
    assert_eq!(conflict.base, Some(json!("100.00")));
}
