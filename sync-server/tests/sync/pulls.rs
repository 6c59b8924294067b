//! What pulls bring: exactly the rows of the scopes held, whole, however they are cut.

use std::time::Duration;

use serde_json::json;
use sync_protocol::limits::PAGE_RECEIPTS_MAX;
use sync_protocol::wire::receipt::ReceiptState;
use sync_protocol::{RecordId, Scope};

use crate::company::{Company, Phone};
use crate::mutations::{delete, insert, update};
use crate::on_every_store;

async fn reports(
    company: &Company,
    phone: &Phone<'_>,
    project: RecordId,
    n: usize,
) -> Vec<RecordId> {
    let ids: Vec<RecordId> = (0..n).map(|_| company.id()).collect();
    let all = ids.iter().map(|id| {
        let set = json!({ "proyecto_id": project, "fecha": "2026-11-24" });
        phone.transaction(vec![insert("avances", *id, set)])
    });
    let receipts = phone.push(all.collect()).await;
    assert!(receipts.iter().all(|r| r.state == ReceiptState::Applied), "{:?}", receipts[0]);
    ids
}

async fn project<'a>(company: &'a Company, login: &str) -> (Phone<'a>, RecordId) {
    let phone = company.phone(login, &["project:read", "project:write"]).await;
    let id = company.id();
    phone.edit(insert("proyectos", id, json!({ "nombre": "Torre" })), ReceiptState::Applied).await;
    (phone, id)
}

on_every_store!(a_pull_brings_only_the_scopes_held);
async fn a_pull_brings_only_the_scopes_held(company: Company) {
    let (mut juan, torre) = project(&company, "juan").await;
    let (mut ana, nave) = project(&company, "ana").await;
    reports(&company, &juan, torre, 5).await;
    reports(&company, &ana, nave, 7).await;
    juan.pull(3).await;
    ana.pull(3).await;
    assert_eq!((juan.rows.len(), ana.rows.len()), (6, 8));
    company.grant(&juan, Scope::entity("project", nave.0)).await;
    juan.pull(3).await;
    assert_eq!(juan.rows.len(), 14, "a gained scope brings its old rows");
    company
        .store
        .revoke(company.tenant, juan.caller.user, &Scope::entity("project", torre.0))
        .await
        .expect("revoked");
    juan.pull(3).await;
    assert_eq!(juan.content(), ana.content(), "a lost scope takes its rows");
}

on_every_store!(pages_that_are_cut_anywhere_add_up_to_the_whole);
async fn pages_that_are_cut_anywhere_add_up_to_the_whole(company: Company) {
    let (mut juan, torre) = project(&company, "juan").await;
    let ids = reports(&company, &juan, torre, 40).await;
    // The backfill is cut after every page, and rows change, go and come in between.
    let mut version = vec![1; ids.len()];
    for round in 0..12 {
        juan.pull_some(4, 1).await;
        let changed = (round * 7) % ids.len();
        let set = json!({ "resumen": format!("ronda {round}") });
        juan.edit(update("avances", ids[changed], set, version[changed]), ReceiptState::Applied)
            .await;
        version[changed] += 1;
    }
    juan.edit(delete("avances", ids[39], version[39]), ReceiptState::Applied).await;
    reports(&company, &juan, torre, 3).await;
    // Then a delta of many pages, cut as well.
    for _ in 0..40 {
        juan.pull_some(2, 2).await;
    }
    juan.pull(100).await;
    let mut fresh = company.phone("fresh", &["project:read"]).await;
    company.grant(&fresh, Scope::entity("project", torre.0)).await;
    fresh.pull(1_000).await;
    assert_eq!(juan.content(), fresh.content());
    assert_eq!(fresh.rows.len(), 43);
}

on_every_store!(a_page_without_receipts_is_no_checkpoint_where_nothing_is_being_brought_any_more);
async fn a_page_without_receipts_is_no_checkpoint_where_nothing_is_being_brought_any_more(
    company: Company,
) {
    let (mut juan, torre) = project(&company, "juan").await;
    let (ana, nave) = project(&company, "ana").await;
    reports(&company, &ana, nave, 5).await;
    let report = reports(&company, &juan, torre, 1).await[0];
    juan.pull(10).await;
    company.grant(&juan, Scope::entity("project", nave.0)).await;
    juan.pull_some(2, 1).await;
    let set = json!({ "resumen": "techo" });
    let edit = juan.edit(update("avances", report, set, 1), ReceiptState::Applied).await;
    let nave = Scope::entity("project", nave.0);
    company.store.revoke(company.tenant, juan.caller.user, &nave).await.expect("revoked");
    let before = juan.checkpoints;
    juan.pull_some(10, 1).await;
    let told = juan.settled.contains_key(&edit.id);
    assert!(told || juan.checkpoints == before, "what is shown is not settled");
    juan.pull(10).await;
    assert!(juan.settled.contains_key(&edit.id));
    assert_eq!(juan.value("avances", report, "resumen"), json!("techo"));
    assert_eq!(juan.rows.len(), 2, "the lost project's rows have left");
}

on_every_store!(rows_with_much_text_come_in_smaller_pages);
async fn rows_with_much_text_come_in_smaller_pages(company: Company) {
    let (mut juan, torre) = project(&company, "juan").await;
    juan.pull(5_000).await;
    let note = "x".repeat(60_000);
    let all = (0..150).map(|_| {
        let set = json!({ "proyecto_id": torre, "fecha": "2026-11-24", "notas": note });
        juan.transaction(vec![insert("avances", company.id(), set)])
    });
    juan.push(all.collect()).await;
    juan.pull(5_000).await;
    let mut fresh = company.phone("fresh", &["project:read"]).await;
    company.grant(&fresh, Scope::entity("project", torre.0)).await;
    fresh.pull(5_000).await;
    for phone in [&juan, &fresh] {
        assert_eq!(phone.rows.len(), 151);
        assert!(phone.largest_page < 5_000_000, "{} bytes in a page", phone.largest_page);
    }
}

on_every_store!(children_follow_their_parent_to_another_project);
async fn children_follow_their_parent_to_another_project(company: Company) {
    let (mut juan, torre) = project(&company, "juan").await;
    let (mut ana, nave) = project(&company, "ana").await;
    company.grant(&ana, Scope::entity("project", torre.0)).await;
    let report = reports(&company, &juan, torre, 1).await[0];
    let item = company.id();
    let set = json!({ "avance_id": report, "concepto": "Muro", "medida": "5" });
    juan.edit(insert("avance_items", item, set), ReceiptState::Applied).await;
    juan.pull(10).await;
    ana.pull(10).await;
    assert_eq!(juan.value("avance_items", item, "proyecto_id"), json!(torre));
    ana.edit(update("avances", report, json!({ "proyecto_id": nave }), 1), ReceiptState::Applied)
        .await;
    juan.pull(10).await;
    ana.pull(10).await;
    assert!(!juan.rows.contains_key(&("avance_items".to_owned(), item)), "left with its report");
    assert_eq!(ana.value("avance_items", item, "proyecto_id"), json!(nave));
}

on_every_store!(a_cursor_that_is_not_the_callers_is_refused_with_its_own_code);
async fn a_cursor_that_is_not_the_callers_is_refused_with_its_own_code(company: Company) {
    let (mut juan, _) = project(&company, "juan").await;
    let (mut ana, _) = project(&company, "ana").await;
    juan.pull(10).await;
    ana.cursor = juan.cursor.clone();
    assert_eq!(ana.try_pull(10, 9).await.expect_err("foreign").code, "cursor_foreign");
    ana.cursor = Some("no cursor".to_owned());
    assert_eq!(ana.try_pull(10, 9).await.expect_err("garbage").code, "cursor_malformed");
    juan.caller.permissions.insert("cost:read".to_owned());
    assert_eq!(juan.try_pull(10, 9).await.expect_err("other").code, "cursor_visibility_changed");
    juan.cursor = None;
    assert_eq!(juan.try_pull(0, 9).await.expect_err("no rows").code, "page_size_out_of_range");
    juan.pull(10).await;
}

on_every_store!(many_receipts_come_in_pages_that_may_be_cut);
async fn many_receipts_come_in_pages_that_may_be_cut(company: Company) {
    let (mut juan, torre) = project(&company, "juan").await;
    let mut pushed = Vec::new();
    let large = |juan: &Phone<'_>, n: usize| {
        let report = |_| {
            let set = json!({ "proyecto_id": torre, "fecha": "2026-11-24" });
            insert("avances", company.id(), set)
        };
        juan.transaction((0..n).map(report).collect())
    };
    for first_sync in [true, false] {
        // Receipts that speak of more mutations than fit into two pages.
        let all: Vec<_> = (0..5).map(|_| large(&juan, 900)).collect();
        pushed.extend(all.iter().map(|transaction| transaction.id));
        juan.push(all).await;
        // PostgreSQL's positions may lag by this much, and rows since then come again in each delta.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(juan.cursor.is_none(), first_sync);
        let checkpoints = juan.checkpoints;
        let mut requests = 0;
        while juan.checkpoints == checkpoints {
            requests += 1;
            assert!(requests < 30, "the pull does not end");
            juan.pull_some(5_000, 1).await;
            if requests == 2 {
                // Settled while the others are being told.
                let late = large(&juan, 1);
                pushed.push(late.id);
                juan.push(vec![late]).await;
            }
        }
        juan.pull(5_000).await;
        for id in &pushed {
            assert!(juan.settled.contains_key(id), "a receipt was not told");
        }
        assert!(juan.largest_settled <= PAGE_RECEIPTS_MAX, "{} at once", juan.largest_settled);
    }
    let mut ana = company.foreman("ana", torre).await;
    ana.pull(5_000).await;
    assert_eq!(juan.content(), ana.content());
}
