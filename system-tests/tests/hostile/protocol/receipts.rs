//! Other people's streams and receipts, and receipts used for something else.

use serde_json::json;
use uuid::Uuid;

use crate::attacker::{Session, insert, transaction};
use crate::site::QUIET;
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "other people's streams and receipts", run: |stage| Box::pin(run(stage)) };

async fn run(stage: &Stage) {
    let mine = transaction(&[stage.movement(Uuid::now_v7())]);
    let receipts = stage.attacker.pushes(&stage.pup, std::slice::from_ref(&mine)).await;
    assert_eq!(receipts[0]["state"], "applied", "{receipts:?}");

    // Another's, plain SQL's, and that of one's own decisions (UUIDv8).
    let decisions = stage.wolf.user.as_u128() & !(0xf << 76) | 0x8 << 76;
    let foreign = [stage.pup.stream, Uuid::nil(), Uuid::from_u128(decisions)];
    for stream in foreign {
        let thief = Session { stream, ..stage.wolf.clone() };
        let answer = stage.attacker.push(&thief, &[]).await;
        assert_eq!(answer.code(), "stream_foreign", "{stream}: {answer:?}");
    }
    // Another tenant's stream is as unknown as any: it is theirs there, and the wolf's here.
    let stranger = stage.attacker.logs_in(QUIET, "ana").await;
    let thief = Session { stream: stranger.stream, ..stage.wolf.clone() };
    assert_eq!(stage.attacker.push(&thief, &[]).await.status, 200);
    assert_eq!(stage.attacker.push(&stranger, &[]).await.status, 200);

    // Another's receipt, with the same content and with other.
    let mut other = mine.clone();
    other["mutations"] = json!([stage.movement(Uuid::now_v7())]);
    for stolen in [&mine, &other] {
        let receipts = stage.attacker.pushes(&stage.wolf, std::slice::from_ref(stolen)).await;
        assert_eq!(receipts[0]["problem"]["code"], "receipt_reused", "{receipts:?}");
    }
    // One's own, with other content; twice in one push as well.
    let receipts = stage.attacker.pushes(&stage.pup, &[other.clone()]).await;
    assert_eq!(receipts[0]["problem"]["code"], "receipt_reused", "{receipts:?}");
    let twice = transaction(&[stage.movement(Uuid::now_v7())]);
    let mut again = twice.clone();
    again["mutations"] = json!([stage.movement(Uuid::now_v7())]);
    let receipts = stage.attacker.pushes(&stage.pup, &[twice.clone(), again, twice]).await;
    assert_eq!(receipts[0]["state"], "applied", "{receipts:?}");
    assert_eq!(receipts[1]["problem"]["code"], "receipt_reused", "{receipts:?}");
    assert_eq!(receipts[2], receipts[0]);

    // Withdrawn and marked as seen by somebody else: nothing changes for its author.
    let id = mine["id"].clone();
    let body = json!({ "stream": stage.wolf.stream, "transactions": [], "withdraw": [id],
        "seen": [id] });
    let answer = stage.attacker.post("sync/push", Some(&stage.wolf.token), &body).await;
    assert_eq!(answer.json["withdrawn"][0]["problem"]["code"], "receipt_reused", "{answer:?}");
    let path = format!("receipts/{}", mine["id"].as_str().expect("an id"));
    let kept = stage.attacker.get(&path, Some(&stage.pup.token)).await;
    assert_eq!(kept.json["state"], "applied", "{kept:?}");
    let answer = stage.attacker.get(&path, Some(&stranger.token)).await;
    assert_eq!(answer.code(), "unknown_receipt", "{answer:?}");

    // The other tenant's record: it does not exist here, and is not touched there.
    let article = stranger_article(stage, &stranger).await;
    let theft = json!({ "collection": "articulos", "record": article, "kind": "update",
        "set": { "nombre": "Robado" }, "base": { "nombre": 1 } });
    let reference = json!({ "almacen_id": stage.warehouse, "articulo_id": article,
        "tipo": "salida", "cantidad": "1.000" });
    let reference = insert("movimientos", Uuid::now_v7(), reference);
    for (mutation, code) in [(theft, "unknown_record"), (reference, "unknown_reference")] {
        let receipts = stage.attacker.pushes(&stage.wolf, &[transaction(&[mutation])]).await;
        assert_eq!(receipts[0]["problem"]["code"], code, "{receipts:?}");
    }
    assert_eq!(stranger_article(stage, &stranger).await, article);
}

/// The one article of the other company.
async fn stranger_article(stage: &Stage, stranger: &Session) -> Uuid {
    let body = json!({ "stream": stranger.stream });
    let answer = stage.attacker.post("sync/pull", Some(&stranger.token), &body).await;
    let tables = answer.json["tables"].as_array().expect("tables");
    let articles = tables.iter().find(|t| t["collection"] == "articulos").expect("articles");
    let row = &articles["rows"][0];
    assert_eq!(row["fields"]["nombre"], "Cemento", "{row}");
    row["id"].as_str().and_then(|id| id.parse().ok()).expect("an id")
}
