//! Thousands of withdrawals and notes of what never existed.

use serde_json::json;
use uuid::Uuid;

use crate::many;
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "withdrawals of nothing", run: |stage| Box::pin(run(stage)) };

async fn run(stage: &Stage) {
    let count = many(1_000, 3_000);
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    let token = Some(stage.wolf.token.as_str());
    let body = json!({ "stream": stage.wolf.stream, "transactions": [], "withdraw": ids });
    for _ in 0..2 {
        let answer = stage.attacker.post("sync/push", token, &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let withdrawn = answer.json["withdrawn"].as_array().expect("receipts");
        assert_eq!(withdrawn.len(), count);
        assert!(withdrawn.iter().all(|receipt| receipt["state"] == "discarded"));
    }
    // The same one, over and over.
    let same = vec![Uuid::now_v7(); count];
    let body = json!({ "stream": stage.wolf.stream, "transactions": [], "withdraw": same });
    let answer = stage.attacker.post("sync/push", token, &body).await;
    assert_eq!(answer.json["withdrawn"].as_array().map(Vec::len), Some(count), "{answer:?}");
    let body = json!({ "stream": stage.wolf.stream, "transactions": [],
        "withdraw": (0..10_001).map(|_| Uuid::now_v7()).collect::<Vec<_>>() });
    let answer = stage.attacker.post("sync/push", token, &body).await;
    assert_eq!(answer.code(), "too_many_transactions", "{answer:?}");
    let strange: Vec<Uuid> = (0..50_000).map(|_| Uuid::now_v7()).collect();
    let body = json!({ "stream": stage.wolf.stream, "transactions": [], "seen": strange });
    let answer = stage.attacker.post("sync/push", token, &body).await;
    assert!([200, 413].contains(&answer.status), "{answer:?}");
    // What was withdrawn has no effect when it comes after all.
    let mut late = crate::attacker::transaction(&[stage.movement(Uuid::now_v7())]);
    late["id"] = json!(ids[0]);
    let receipts = stage.attacker.pushes(&stage.wolf, &[late]).await;
    assert_eq!(receipts[0]["state"], "discarded", "{receipts:?}");
}
