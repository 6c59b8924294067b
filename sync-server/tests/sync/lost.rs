//! Edits of rows that their author does not see any more.

use serde_json::json;
use sync_protocol::wire::receipt::ReceiptState;
use sync_protocol::wire::review::{CandidateReason, Keep, ResolveRequest, Severity};
use sync_protocol::{RecordId, Scope};
use sync_server::review::{ListQuery, list, resolve};

use crate::company::Company;
use crate::mutations::{delete, insert, update};
use crate::on_every_store;

on_every_store!(edits_of_rows_that_were_lost_meanwhile_go_to_review);
async fn edits_of_rows_that_were_lost_meanwhile_go_to_review(company: Company) {
    let (torre, nave) = (company.id(), company.id());
    let mut juan = company.foreman("juan", torre).await;
    let ana = company.foreman("ana", torre).await;
    ana.edit(insert("proyectos", torre, json!({ "nombre": "Torre" })), ReceiptState::Applied).await;
    ana.edit(insert("proyectos", nave, json!({ "nombre": "Nave" })), ReceiptState::Applied).await;
    let ids: Vec<RecordId> = (0..50).map(|_| company.id()).collect();
    let reports = ids.iter().map(|id| {
        let set = json!({ "proyecto_id": torre, "fecha": "2026-11-24", "resumen": "antes" });
        ana.transaction(vec![insert("avances", *id, set)])
    });
    ana.push(reports.collect()).await;
    juan.pull(1_000).await;
    // Offline he edits them all. Some move away meanwhile, then he loses the project.
    let edits: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(n, id)| match n {
            0 => juan.transaction(vec![delete("avances", *id, 1)]),
            _ => {
                let set = json!({ "resumen": format!("de Juan {n}") });
                juan.transaction(vec![update("avances", *id, set, 1)])
            }
        })
        .collect();
    for id in &ids[..5] {
        let moved = update("avances", *id, json!({ "proyecto_id": nave }), 1);
        ana.edit(moved, ReceiptState::Applied).await;
    }
    let scope = Scope::entity("project", torre.0);
    company.store.revoke(company.tenant, juan.caller.user, &scope).await.expect("revoked");
    let receipts = juan.push(edits).await;
    for receipt in &receipts {
        assert_eq!(receipt.state, ReceiptState::InReview, "{receipt:?}");
        assert_eq!(receipt.mutations[0].version, None, "its version is not his to know");
    }
    juan.pull(1_000).await;
    assert!(juan.rows.is_empty(), "nothing of it is left on the phone");
    // A supervisor of the project sees all 50, with author and reason.
    let mut rosa =
        company.phone("rosa", &["project:read", "project:write", "conflict:resolve"]).await;
    company.grant(&rosa, scope).await;
    company.grant(&rosa, Scope::entity("project", nave.0)).await;
    rosa.pull(1_000).await;
    let query = ListQuery { limit: Some(100), ..ListQuery::default() };
    let open = list(rosa.review(), query).await.expect("listed").conflicts;
    let lost: Vec<_> = open.iter().filter(|c| c.severity == Severity::Collision).collect();
    assert_eq!(lost.len(), 50);
    for conflict in &lost {
        let candidate = &conflict.candidates[0];
        assert_eq!(candidate.reason, Some(CandidateReason::ScopeLost));
        assert_eq!(candidate.by.user, Some(juan.caller.user));
    }
    let of = |id: RecordId| lost.iter().find(|c| c.record == id).expect("a conflict");
    assert_eq!(of(ids[7]).candidates[0].value, json!({ "resumen": "de Juan 7" }));
    assert_eq!(of(ids[7]).current, json!({ "resumen": "antes" }));
    assert_eq!(of(ids[0]).candidates[0].value, json!("deleted"));
    // Decided for him: his word is in the row. Decided against: it stays as it was.
    for (id, keep) in [
        (ids[7], Keep::Candidate(receipts[7].id)),
        (ids[8], Keep::Server),
        (ids[0], Keep::Candidate(receipts[0].id)),
    ] {
        let request = ResolveRequest { revision: 1, keep, reason: "visto en obra".to_owned() };
        resolve(rosa.review(), of(id).id, request).await.expect("decided");
    }
    rosa.pull(1_000).await;
    assert_eq!(rosa.value("avances", ids[7], "resumen"), "de Juan 7");
    assert_eq!(rosa.value("avances", ids[8], "resumen"), "antes");
    assert!(!rosa.rows.contains_key(&("avances".to_owned(), ids[0])));
    juan.pull(1_000).await;
    assert!(juan.rows.is_empty());
    assert_eq!(juan.settled[&receipts[7].id].state, ReceiptState::Applied);
    // What he never held does not exist for him.
    let hidden = company.id();
    let set = json!({ "proyecto_id": nave, "fecha": "2026-11-24" });
    ana.edit(insert("avances", hidden, set), ReceiptState::Applied).await;
    for id in [hidden, company.id()] {
        let edit = juan.transaction(vec![update("avances", id, json!({ "resumen": "x" }), 1)]);
        let receipt = juan.push(vec![edit]).await.remove(0);
        assert_eq!(receipt.problem.map(|p| p.code), Some("unknown_record".to_owned()));
    }
}
