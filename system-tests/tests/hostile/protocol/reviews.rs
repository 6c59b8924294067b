//! Conflicts decided by who may not, by many at once, and on what has changed since.

use futures::future::join_all;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::attacker::{insert, transaction};
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "storms of decisions", run: |stage| Box::pin(run(stage)) };

const AT_ONCE: usize = 24;

async fn run(stage: &Stage) {
    let conflict = dispute(stage).await;
    let path = |what: &str| format!("conflicts/{conflict}{what}");
    let resolve = |revision: i64| json!({ "revision": revision, "keep": "server", "reason": "sí" });
    let shown = stage.attacker.get(&path(""), Some(&stage.wolf.token)).await;
    let revision = shown.json["revision"].as_i64().expect("a revision");

    // By who may not, a candidate's author or not: nothing changes.
    let storm = (0..AT_ONCE).map(|number| {
        let (what, body) = match number % 4 {
            0 => ("/resolve", resolve(revision)),
            1 => ("/claim", json!({})),
            2 => ("/undo", json!({ "revision": revision, "reason": "no" })),
            _ => ("/claim", json!({ "take_over": true })),
        };
        async move { stage.attacker.post(&path(what), Some(&stage.pup.token), &body).await }
    });
    for answer in join_all(storm).await {
        assert!(answer.is_busy() || answer.code() == "forbidden", "{answer:?}");
    }
    let many = json!({ "conflicts": { conflict.to_string(): resolve(revision) } });
    let answer = stage.attacker.post("conflicts/resolve", Some(&stage.pup.token), &many).await;
    assert_eq!(answer.code(), "forbidden", "{answer:?}");

    // On revisions that are not the present one.
    for stale in [i64::MIN, -1, 0, revision - 1, revision + 1, i64::MAX] {
        let answer =
            stage.attacker.post(&path("/resolve"), Some(&stage.wolf.token), &resolve(stale)).await;
        assert_eq!(answer.code(), "conflict_changed", "{stale}: {answer:?}");
    }
    for keep in [json!({ "candidate": Uuid::now_v7() }), json!({ "value": "no number" }), json!(7)]
    {
        let body = json!({ "revision": revision, "keep": keep, "reason": "sí" });
        let answer = stage.attacker.post(&path("/resolve"), Some(&stage.wolf.token), &body).await;
        assert!([400, 404, 409, 422].contains(&answer.status), "{keep}: {answer:?}");
    }
    // By one person from many windows at once: one decision counts.
    let storm = (0..AT_ONCE).map(|_| async {
        stage.attacker.post(&path("/resolve"), Some(&stage.wolf.token), &resolve(revision)).await
    });
    let answers = join_all(storm).await;
    let decided = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(decided, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        let known = ["conflict_changed", "conflict_closed"].contains(&answer.code());
        assert!(answer.is_busy() || known, "{answer:?}");
    }
    let shown = stage.attacker.get(&path(""), Some(&stage.wolf.token)).await;
    assert_eq!(shown.json["status"], "resolved", "{shown:?}");
    let strange = format!("conflicts/{}/resolve", Uuid::now_v7());
    let answer = stage.attacker.post(&strange, Some(&stage.wolf.token), &resolve(1)).await;
    assert_eq!(answer.code(), "unknown_conflict", "{answer:?}");
}

/// Two counts that differ; the conflict's id.
async fn dispute(stage: &Stage) -> Uuid {
    let (article, count) = (Uuid::now_v7(), Uuid::now_v7());
    let made = [
        insert("articulos", article, json!({ "codigo": article, "nombre": "Varilla" })),
        insert(
            "conteos",
            count,
            json!({ "almacen_id": stage.warehouse, "articulo_id": article,
                "fecha": "2026-11-26", "contado": "1.000" }),
        ),
    ];
    let receipts = stage.attacker.pushes(&stage.wolf, &[transaction(&made)]).await;
    assert_eq!(receipts[0]["state"], "applied", "{receipts:?}");
    let counted = |contado: &str| {
        transaction(&[json!({ "collection": "conteos", "record": count, "kind": "update",
            "set": { "contado": contado }, "base": { "contado": 1 }, "seen": { "contado": "1.000" } })])
    };
    stage.attacker.pushes(&stage.wolf, &[counted("2.000")]).await;
    let receipts: Vec<Json> = stage.attacker.pushes(&stage.pup, &[counted("3.000")]).await;
    assert_eq!(receipts[0]["state"], "in_review", "{receipts:?}");
    let conflict = &receipts[0]["mutations"][0]["fields"]["contado"]["conflict"];
    conflict.as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{receipts:?}"))
}
