//! Digests, comparisons, and rows that come again. That each checkpoint's digests are right is checked by
//! every phone of these tests, at every checkpoint.

use std::collections::BTreeMap;

use serde_json::json;
use sync_protocol::digest::{Buckets, Digest};
use sync_protocol::limits::REFETCH_ROWS_MAX;
use sync_protocol::wire::compare::{CompareAnswer, CompareRequest};
use sync_protocol::wire::pull::Records;
use sync_protocol::wire::receipt::ReceiptState;
use sync_protocol::{RecordId, Scope};
use sync_server::pull::compare::compare;

use crate::company::{Company, Phone};
use crate::mutations::{delete, insert, update};
use crate::on_every_store;

async fn with_reports<'a>(company: &'a Company, n: usize) -> (Phone<'a>, Scope, Vec<RecordId>) {
    let torre = company.id();
    let juan = company.foreman("juan", torre).await;
    juan.edit(insert("proyectos", torre, json!({ "nombre": "Torre" })), ReceiptState::Applied)
        .await;
    let ids: Vec<RecordId> = (0..n).map(|_| company.id()).collect();
    let report = |id: &RecordId| {
        let set = json!({ "proyecto_id": torre, "fecha": "2026-11-24" });
        juan.transaction(vec![insert("avances", *id, set)])
    };
    let receipts = juan.push(ids.iter().map(report).collect()).await;
    assert!(receipts.iter().all(|receipt| receipt.state == ReceiptState::Applied));
    (juan, Scope::entity("project", torre.0), ids)
}

fn of_avances(scope: &Scope) -> CompareRequest {
    CompareRequest {
        scope: scope.clone(),
        collection: "avances".to_owned(),
        buckets: None,
        content: false,
        after: None,
    }
}

async fn asked(phone: &Phone<'_>, request: CompareRequest) -> Result<CompareAnswer, String> {
    let company = phone.company;
    compare(&*company.store, &phone.caller, request).await.map_err(|problem| problem.code)
}

on_every_store!(a_comparison_names_the_rows_that_differ);
async fn a_comparison_names_the_rows_that_differ(company: Company) {
    let (mut juan, torre, ids) = with_reports(&company, 600).await;
    juan.pull(1_000).await;
    let mut buckets = Buckets::default();
    ids.iter().for_each(|id| buckets.add(*id, 1));
    let narrowed = |buckets: &Buckets| CompareRequest {
        buckets: Some(buckets.digests().to_vec()),
        ..of_avances(&torre)
    };
    let same = asked(&juan, narrowed(&buckets)).await.expect("answered");
    assert_eq!((same.buckets.len(), same.rows.len()), (0, 0), "nothing differs");

    let changed = update("avances", ids[7], json!({ "resumen": "otra" }), 1);
    juan.edit(changed, ReceiptState::Applied).await;
    juan.edit(delete("avances", ids[8], 1), ReceiptState::Applied).await;
    let answer = asked(&juan, narrowed(&buckets)).await.expect("answered");
    let mut expected: Vec<u8> = vec![Buckets::of(ids[7]), Buckets::of(ids[8])];
    expected.sort_unstable();
    assert_eq!(answer.buckets, expected);
    let told: BTreeMap<_, _> = answer.rows.iter().map(|row| (row.id, row.version)).collect();
    assert_eq!(told.get(&ids[7]), Some(&2));
    assert_eq!(told.get(&ids[8]), None, "a deleted row is not there");
    let in_them = |id: &&RecordId| expected.contains(&Buckets::of(**id)) && **id != ids[8];
    assert_eq!(told.len(), ids.iter().filter(in_them).count(), "all rows of these buckets");
    assert!(answer.rows.is_sorted_by_key(|row| row.id));
    assert_eq!(answer.next, None);
}

on_every_store!(a_comparison_of_content_digests_what_may_be_seen);
async fn a_comparison_of_content_digests_what_may_be_seen(company: Company) {
    let (mut juan, torre, _) = with_reports(&company, 20).await;
    juan.pull(1_000).await;
    let answer = asked(&juan, CompareRequest { content: true, ..of_avances(&torre) }).await;
    let rows = answer.expect("answered").rows;
    assert_eq!(rows.len(), 20);
    let schema = company.store.schema().visible_to(|permission| juan.caller.may(permission));
    let avances = schema.collection("avances").expect("is seen");
    for row in rows {
        let held = &juan.rows[&("avances".to_owned(), row.id)];
        let fields = avances
            .fields
            .iter()
            .map(|field| {
                let value = sync_protocol::Value::read(field, &held.fields[&field.name]);
                (field.name.clone(), value.expect("fits"))
            })
            .collect();
        assert_eq!(row.content, Some(Digest::of_content(avances, &fields)));
    }
}

on_every_store!(a_comparison_goes_on_where_it_ended);
async fn a_comparison_goes_on_where_it_ended(company: Company) {
    let (juan, torre, ids) = with_reports(&company, 30).await;
    let from_the_tenth = CompareRequest { after: Some(ids[9]), ..of_avances(&torre) };
    let answer = asked(&juan, from_the_tenth).await.expect("answered");
    let told: Vec<RecordId> = answer.rows.iter().map(|row| row.id).collect();
    assert_eq!(told, ids[10..]);
}

on_every_store!(a_comparison_tells_nothing_of_what_is_not_held);
async fn a_comparison_tells_nothing_of_what_is_not_held(company: Company) {
    let (juan, torre, _) = with_reports(&company, 3).await;
    let ana = company.foreman("ana", company.id()).await;
    let missing = Scope::entity("project", company.id().0);
    for scope in [&torre, &missing] {
        let answer = asked(&ana, of_avances(scope)).await;
        assert_eq!(answer, Err("unknown_scope".to_owned()));
    }
    let hidden = CompareRequest { collection: "ventas".to_owned(), ..of_avances(&torre) };
    let unknown = CompareRequest { collection: "nada".to_owned(), ..of_avances(&torre) };
    for request in [hidden, unknown] {
        assert_eq!(asked(&juan, request).await, Err("unknown_collection".to_owned()));
    }
    let few = CompareRequest { buckets: Some(vec![Digest(0)]), ..of_avances(&torre) };
    assert_eq!(asked(&juan, few).await, Err("buckets_malformed".to_owned()));
}

on_every_store!(rows_that_are_asked_for_come_again);
async fn rows_that_are_asked_for_come_again(company: Company) {
    let (mut juan, _, ids) = with_reports(&company, 50).await;
    juan.pull(1_000).await;
    // As if the phone's copies were damaged, gone, or of rows that never were.
    let ghost = company.id();
    let damaged = ("avances".to_owned(), ids[3]);
    juan.rows.get_mut(&damaged).expect("is held").version = 77;
    juan.rows.remove(&("avances".to_owned(), ids[4]));
    let extra = juan.rows[&damaged].clone();
    juan.rows.insert(("avances".to_owned(), ghost), extra);
    let whole: Vec<RecordId> = [&ids[3..20], &[ghost]].concat();
    let refetch = vec![Records { collection: "avances".to_owned(), ids: whole }];
    juan.try_refetch(5, usize::MAX, refetch).await.expect("pulled");
    assert_eq!(juan.rows[&damaged].version, 1);
    assert!(juan.rows.contains_key(&("avances".to_owned(), ids[4])));
    assert!(!juan.rows.contains_key(&("avances".to_owned(), ghost)), "a ghost leaves");
}

on_every_store!(rows_that_are_asked_for_while_the_line_breaks_are_those_of_the_checkpoint);
async fn rows_that_are_asked_for_while_the_line_breaks_are_those_of_the_checkpoint(
    company: Company,
) {
    let (mut juan, torre, ids) = with_reports(&company, 40).await;
    let other = company.id();
    let ana = company.foreman("ana", other).await;
    ana.edit(insert("proyectos", other, json!({ "nombre": "Nave" })), ReceiptState::Applied).await;
    company.grant(&ana, torre).await;
    juan.pull(1_000).await;
    let refetch = || vec![Records { collection: "avances".to_owned(), ids: ids.clone() }];
    // One page of them arrives; then rows change, leave the project and go.
    juan.try_refetch(10, 1, refetch()).await.expect("pulled");
    let moved = json!({ "proyecto_id": other });
    ana.edit(update("avances", ids[2], moved, 1), ReceiptState::Applied).await;
    ana.edit(delete("avances", ids[3], 1), ReceiptState::Applied).await;
    ana.edit(update("avances", ids[4], json!({ "resumen": "x" }), 1), ReceiptState::Applied).await;
    juan.try_refetch(10, 2, refetch()).await.expect("pulled");
    ana.edit(update("avances", ids[5], json!({ "resumen": "y" }), 1), ReceiptState::Applied).await;
    juan.pull(7).await;
    juan.pull(7).await;
    let held: Vec<RecordId> = juan.rows.keys().map(|(_, id)| *id).collect();
    assert!(!held.contains(&ids[2]) && !held.contains(&ids[3]), "moved away, and deleted");
    assert_eq!(juan.version("avances", ids[5]), 2);
}

on_every_store!(rows_of_others_that_are_asked_for_do_not_come);
async fn rows_of_others_that_are_asked_for_do_not_come(company: Company) {
    let (_, _, ids) = with_reports(&company, 3).await;
    let mut ana = company.foreman("ana", company.id()).await;
    ana.pull(100).await;
    let refetch = vec![Records { collection: "avances".to_owned(), ids }];
    ana.try_refetch(100, usize::MAX, refetch).await.expect("pulled");
    assert!(ana.rows.is_empty(), "{:?}", ana.rows);
    let many = (0..=REFETCH_ROWS_MAX).map(|_| company.id()).collect();
    let too_many = vec![Records { collection: "avances".to_owned(), ids: many }];
    let refused = ana.try_refetch(100, usize::MAX, too_many).await.expect_err("refused");
    assert_eq!(refused.code, "too_many_records");
    for hidden in ["ventas", "nada"] {
        let ids = vec![company.id()];
        let asked = vec![Records { collection: hidden.to_owned(), ids }];
        let refused = ana.try_refetch(100, usize::MAX, asked).await.expect_err("refused");
        assert_eq!(refused.code, "unknown_collection");
    }
}
