//! Pushes at every limit, and one above.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::attacker::{head, send, transaction, until_closed};
use crate::many;
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "pushes at and above every limit", run: |stage| Box::pin(run(stage)) };

/// Longer than the server takes.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

async fn run(stage: &Stage) {
    let movements = |count: usize| {
        let all: Vec<Json> = (0..count).map(|_| stage.movement(Uuid::now_v7())).collect();
        transaction(&all)
    };
    let receipts = stage.attacker.pushes(&stage.wolf, &[movements(1_000)]).await;
    assert_eq!(receipts[0]["state"], "applied");
    let answer = stage.attacker.push(&stage.wolf, &[movements(1_001)]).await;
    assert_eq!(answer.code(), "transaction_too_large", "{answer:?}");
    // One row, a thousand times in one transaction.
    let record = Uuid::now_v7();
    let note = |number: usize| {
        json!({ "collection": "movimientos", "record": record, "kind": "update",
            "set": { "notas": number.to_string() }, "base": { "notas": 0 } })
    };
    let edits = std::iter::once(stage.movement(record)).chain((1..1_000).map(note));
    let receipts =
        stage.attacker.pushes(&stage.wolf, &[transaction(&edits.collect::<Vec<_>>())]).await;
    assert_eq!(receipts[0]["state"], "applied", "{:.300}", receipts[0]);
    let row = stage.row("movimientos", record).await;
    assert_eq!(row["notas"], "999");

    let empty: Vec<Json> = (0..10_000).map(|_| transaction(&[])).collect();
    let receipts = stage.attacker.pushes(&stage.wolf, &empty).await;
    assert_eq!(receipts.len(), 10_000);
    assert!(receipts.iter().all(|r| r["problem"]["code"] == "empty_transaction"));
    // One, thousands of times in one push: decided once.
    let times = many(2_000, 10_000);
    let one = movements(1);
    let receipts = stage.attacker.pushes(&stage.wolf, &vec![one; times]).await;
    assert_eq!(receipts.len(), times);
    assert!(receipts.iter().all(|receipt| *receipt == receipts[0]), "{:.300}", receipts[0]);
    assert_eq!(receipts[0]["state"], "applied");
    let more: Vec<Json> = (0..10_001).map(|_| transaction(&[])).collect();
    let answer = stage.attacker.push(&stage.wolf, &more).await;
    assert_eq!(answer.code(), "too_many_transactions", "{answer:?}");

    let after = |count: usize| {
        let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
        json!({ "stream": Uuid::now_v7(), "transactions": [],
            "mark": { "id": Uuid::now_v7(), "after": ids } })
    };
    let token = Some(stage.wolf.token.as_str());
    let answer = stage.attacker.post("sync/push", token, &after(1_000)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = stage.attacker.post("sync/push", token, &after(1_001)).await;
    assert_eq!(answer.code(), "too_many_attempts", "{answer:?}");
    // Refused by its length: the answer comes, or the line is cut, before it was sent.
    let length = format!("Content-Length: {}", 16 * 1024 * 1024 + 1);
    let head = head("POST", "sync/push", token, &["Content-Type: application/json", &length]);
    let mut connection = stage.attacker.connect().await.expect("a connection");
    send(&mut connection, head.as_bytes()).await;
    let (answer, ended) = until_closed(&mut connection, PATIENCE).await;
    assert!(ended && answer.contains("body_too_large"), "{answer}");
}
