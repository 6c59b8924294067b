//! A conflict from both ends: supervisors list, claim, ask, decide and undo; authors answer.

use std::collections::BTreeMap;

use mobile_core::core::ConflictFilter;
use mobile_core::outbox::entry::State;
use serde_json::json;
use sync_protocol::RecordId;
use sync_protocol::wire::review::{Conflict, ConflictStatus, Keep, ResolveRequest, ResolveResult};

use crate::on_both_databases;
use crate::site::{Phone, Site};

/// Two foremen and a supervisor on one project, and items that the two measured differently.
async fn measured(site: &Site, items: usize) -> (Phone, Phone, Phone, Vec<RecordId>) {
    site.person("juan", &["foreman"]).await;
    let ana = site.person("ana", &["foreman"]).await;
    let laura = site.person("laura", &["supervisor"]).await;
    let juan = site.phone("juan").await;
    let project = juan.put("proyectos", json!({ "nombre": "Torre" }));
    let report = juan.put("avances", json!({ "proyecto_id": project, "fecha": "2026-11-24" }));
    let item = |n| json!({ "avance_id": report, "concepto": format!("Muro {n}"), "medida": "5" });
    let items: Vec<RecordId> = (0..items).map(|n| juan.put("avance_items", item(n))).collect();
    juan.sync().await;
    site.grant(laura, project).await;
    site.grant(ana, project).await;
    let (ana, laura) = (site.phone("ana").await, site.phone("laura").await);
    for item in &items {
        juan.put("avance_items", json!({ "id": item, "medida": "6" }));
        ana.put("avance_items", json!({ "id": item, "medida": "7" }));
    }
    juan.sync().await;
    let report = ana.sync().await;
    assert_eq!(report.in_review, items.len() as u64);
    (juan, ana, laura, items)
}

async fn open(phone: &Phone) -> Vec<Conflict> {
    phone.core.conflicts(&ConflictFilter::default()).await.expect("listed").conflicts
}

on_both_databases!(a_question_reaches_its_author_and_the_answer_the_supervisor);
async fn a_question_reaches_its_author_and_the_answer_the_supervisor(site: Site) {
    let (juan, ana, laura, items) = measured(&site, 1).await;
    let id = open(&laura).await[0].id;
    assert_eq!(laura.core.claim(id, false).await.expect("claimed").status, ConflictStatus::Claimed);
    assert_eq!(laura.core.release(id).await.expect("released").status, ConflictStatus::Open);
    laura.core.claim(id, true).await.expect("claimed");
    laura.core.ask(id, "¿Con qué cinta?").await.expect("asked");
    assert_eq!(ana.core.claim(id, true).await.expect_err("no supervisor").code(), "forbidden");

    ana.sync().await;
    assert_eq!(ana.core.status().expect("status").questions, 1);
    let problems = ana.core.problems().expect("problems");
    let why = problems[0].waiting_for.as_ref().expect("says why");
    assert_eq!(
        (why.code.as_str(), why.text.as_str()),
        ("question", "you are asked: ¿Con qué cinta?")
    );
    assert_eq!(ana.field("avance_items", items[0], "medida"), "7.00", "the author's own value");
    juan.sync().await;
    assert_eq!(juan.core.status().expect("status").questions, 0, "it is nobody else's");

    ana.core.answer(id, "La de 10 m").await.expect("answered");
    ana.sync().await;
    assert!(ana.core.problems().expect("problems").is_empty());
    let seen = laura.core.conflict(id).await.expect("seen");
    let notes: Vec<&str> = seen.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(notes, ["¿Con qué cinta?", "La de 10 m"]);

    let keep = Keep::Candidate(seen.candidates[0].receipt);
    let stale = laura.core.resolve(id, seen.revision - 1, keep.clone(), "cinta").await;
    assert_eq!(stale.expect_err("stale").code(), "conflict_changed");
    let decided = laura.core.resolve(id, seen.revision, keep, "cinta").await.expect("decided");
    ana.sync().await;
    assert_eq!(ana.core.receipts().expect("receipts")[0].state, State::Applied);
    laura.core.undo(id, decided.revision, "me equivoqué").await.expect("undone");
    ana.sync().await;
    assert_eq!(ana.core.receipts().expect("receipts")[0].state, State::InReview);
    juan.sync().await;
    assert_eq!(juan.field("avance_items", items[0], "medida"), "6.00");
}

on_both_databases!(many_are_listed_in_pages_and_decided_alike);
async fn many_are_listed_in_pages_and_decided_alike(site: Site) {
    let (juan, _ana, laura, items) = measured(&site, 5).await;
    let mut filter = ConflictFilter { limit: Some(2), ..ConflictFilter::default() };
    let mut all: Vec<Conflict> = Vec::new();
    loop {
        let page = laura.core.conflicts(&filter).await.expect("listed");
        assert!(page.conflicts.len() <= 2);
        all.extend(page.conflicts);
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), items.len());
    let none = [
        ConflictFilter { status: vec![ConflictStatus::Resolved], ..ConflictFilter::default() },
        ConflictFilter { collection: Some("avances".into()), ..ConflictFilter::default() },
        ConflictFilter { opened_before_us: Some(all[0].opened_at_us), ..ConflictFilter::default() },
    ];
    for filter in none {
        assert!(laura.core.conflicts(&filter).await.expect("listed").conflicts.is_empty());
    }
    // One of them has changed since it was seen; the others are decided all the same.
    laura.core.claim(all[0].id, false).await.expect("claimed");
    let decision = |conflict: &Conflict| ResolveRequest {
        revision: conflict.revision,
        keep: Keep::Candidate(conflict.candidates[0].receipt),
        reason: "medido de nuevo".to_owned(),
    };
    let decisions: BTreeMap<_, _> = all.iter().map(|c| (c.id, decision(c))).collect();
    let results = laura.core.resolve_many(decisions).await.expect("answered");
    let failed: Vec<_> = results
        .iter()
        .filter_map(|(id, result)| match result {
            ResolveResult::Failed(problem) => Some((*id, problem.code.clone())),
            ResolveResult::Resolved(_) => None,
        })
        .collect();
    assert_eq!(failed, [(all[0].id, "conflict_changed".to_owned())]);
    juan.sync().await;
    let measures: Vec<_> =
        items.iter().map(|item| juan.field("avance_items", *item, "medida")).collect();
    assert_eq!(measures.iter().filter(|measure| **measure == "7.00").count(), 4);
}
