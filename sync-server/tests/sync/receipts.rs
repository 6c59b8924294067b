//! Every edit takes effect exactly once and has one true receipt (DESIGN I1, I2).

use serde_json::json;
use sync_protocol::wire::receipt::ReceiptState;

use crate::company::{Company, add, insert};
use crate::on_every_store;

on_every_store!(a_lost_answer_is_not_applied_twice);
async fn a_lost_answer_is_not_applied_twice(company: Company) {
    let (mut pedro, stock) = warehouse(&company).await;
    let take = pedro.transaction(vec![add("existencias", stock, "cantidad", "-3")]);
    let first = pedro.push(vec![take.clone()]).await;
    // The answer is lost; the same comes again, alone and twice in one push.
    let again = pedro.push(vec![take.clone()]).await;
    assert_eq!(first, again);
    pedro.push(vec![take.clone(), take.clone()]).await;
    pedro.pull(100).await;
    assert_eq!(pedro.value("existencias", stock, "cantidad"), json!("7.000"));
    assert_eq!(pedro.settled[&take.id], first[0]);
}

on_every_store!(the_same_id_with_other_content_is_refused_and_changes_nothing);
async fn the_same_id_with_other_content_is_refused_and_changes_nothing(company: Company) {
    let (mut pedro, stock) = warehouse(&company).await;
    let take = pedro.transaction(vec![add("existencias", stock, "cantidad", "-3")]);
    pedro.push(vec![take.clone()]).await;
    let mut other = take.clone();
    other.mutations = vec![add("existencias", stock, "cantidad", "-4")];
    let refused = pedro.push(vec![other]).await.remove(0);
    assert_eq!(refused.problem.expect("a problem").code, "receipt_reused");
    pedro.pull(100).await;
    assert_eq!(pedro.value("existencias", stock, "cantidad"), json!("7.000"));
    assert_eq!(pedro.settled[&take.id].state, ReceiptState::Applied, "the true one stays");
}

on_every_store!(receipts_come_with_the_rows_that_they_changed);
async fn receipts_come_with_the_rows_that_they_changed(company: Company) {
    let (mut pedro, stock) = warehouse(&company).await;
    pedro.pull(100).await;
    let take = pedro.transaction(vec![add("existencias", stock, "cantidad", "-1")]);
    pedro.push(vec![take.clone()]).await;
    assert!(!pedro.settled.contains_key(&take.id));
    pedro.pull(100).await;
    assert_eq!(
        pedro.settled[&take.id].mutations[0].version,
        Some(pedro.version("existencias", stock))
    );
}

on_every_store!(one_transaction_from_two_copies_of_a_phone_takes_effect_once);
async fn one_transaction_from_two_copies_of_a_phone_takes_effect_once(company: Company) {
    let (mut pedro, stock) = warehouse(&company).await;
    let mut copy = company.phone("copy", &[]).await;
    copy.caller = pedro.caller.clone();
    copy.caller.device = Some(sync_protocol::DeviceId(uuid::Uuid::new_v4()));
    copy.stream = pedro.stream;
    let take = pedro.transaction(vec![add("existencias", stock, "cantidad", "-3")]);
    let both = [vec![take.clone()], vec![take.clone()]];
    let [one, other] = both;
    let (one, other) = tokio::join!(pedro.push(one), copy.push(other));
    assert_eq!(one[0].state, ReceiptState::Applied);
    assert_eq!(other[0].state, ReceiptState::Applied);
    pedro.pull(100).await;
    assert_eq!(pedro.value("existencias", stock, "cantidad"), json!("7.000"));
}

on_every_store!(somebody_elses_stream_is_refused);
async fn somebody_elses_stream_is_refused(company: Company) {
    let (pedro, stock) = warehouse(&company).await;
    let mut ana = company.phone("ana", &["stock:read", "stock:write"]).await;
    let take = ana.transaction(vec![add("existencias", stock, "cantidad", "-3")]);
    for stream in [pedro.stream, sync_protocol::StreamId::SQL] {
        ana.stream = stream;
        let refused = ana.try_push(vec![take.clone()]).await.expect_err("foreign");
        assert_eq!(refused.code, "stream_foreign");
    }
}

/// A warehouse keeper with 10 pieces of one article.
async fn warehouse(company: &Company) -> (crate::company::Phone<'_>, sync_protocol::RecordId) {
    let pedro = company.phone("pedro", &["stock:read", "stock:write", "catalog:write"]).await;
    let [almacen, articulo, stock] = [company.id(), company.id(), company.id()];
    let receipts = pedro
        .push(vec![pedro.transaction(vec![
            insert("almacenes", almacen, json!({ "nombre": "Central" })),
            insert("articulos", articulo, json!({ "codigo": "A1", "nombre": "Clavo" })),
            insert(
                "existencias",
                stock,
                json!({ "almacen_id": almacen, "articulo_id": articulo, "cantidad": "10" }),
            ),
        ])])
        .await;
    assert_eq!(receipts[0].state, ReceiptState::Applied, "{receipts:?}");
    (pedro, stock)
}
