//! Versions that nobody has seen.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::attacker::{insert, transaction};
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "versions from the future", run: |stage| Box::pin(run(stage)) };

async fn run(stage: &Stage) {
    let record = Uuid::now_v7();
    let made = [insert("almacenes", record, json!({ "nombre": "Uno", "codigo": "1" }))];
    // The pup cannot see it: nothing it claims to have seen gets it in.
    stage.attacker.pushes(&stage.wolf, &[transaction(&made)]).await;
    let update = |base: Json| {
        transaction(&[json!({ "collection": "almacenes", "record": record, "kind": "update",
            "set": { "codigo": "2" }, "base": base })])
    };
    for base in [i64::MAX, 1_000_000, 1, 0] {
        let receipts =
            stage.attacker.pushes(&stage.pup, &[update(json!({ "codigo": base }))]).await;
        assert_eq!(receipts[0]["state"], "refused", "{receipts:?}");
    }
    stage.site.grants(crate::site::HOSTILE, "pup", &record.to_string());
    stage.site.grants(crate::site::HOSTILE, "wolf", &record.to_string());
    // A version from the future has seen everything: it wins nothing that a present one would not.
    for base in [i64::MAX, 1_000_000] {
        let receipts =
            stage.attacker.pushes(&stage.wolf, &[update(json!({ "codigo": base }))]).await;
        assert_eq!(receipts[0]["state"], "applied", "{receipts:?}");
    }
    for base in [json!(-1), json!(i64::MIN), json!(u64::MAX), json!(1.5), json!("1"), json!(null)] {
        let answer = stage.attacker.push(&stage.wolf, &[update(json!({ "codigo": base }))]).await;
        assert!([200, 400, 422].contains(&answer.status), "{base}: {answer:?}");
    }
    // Of fields that do not exist, and thousands of them.
    let many: serde_json::Map<String, Json> =
        (0..5_000).map(|number| (format!("campo{number}"), json!(number))).collect();
    let receipts = stage.attacker.pushes(&stage.wolf, &[update(Json::Object(many))]).await;
    assert_eq!(receipts.len(), 1, "{receipts:?}");
    let delete = json!({ "collection": "almacenes", "record": record, "kind": "delete",
        "row_base": i64::MAX });
    let restore = json!({ "collection": "almacenes", "record": record, "kind": "restore",
        "row_base": i64::MAX });
    let both = [transaction(&[delete]), transaction(&[restore])];
    let receipts = stage.attacker.pushes(&stage.wolf, &both).await;
    // A deletion whose author cannot have seen the row is concurrent with what is in it.
    assert_eq!(receipts[0]["state"], "in_review", "{receipts:?}");
    assert_eq!(receipts[1]["state"], "applied", "{receipts:?}");
}
