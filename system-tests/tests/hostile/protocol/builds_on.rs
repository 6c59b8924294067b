//! Transactions that build on themselves, on each other, on nothing, or on thousands.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::attacker::transaction;
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "transactions that build on themselves", run: |stage| Box::pin(run(stage)) };

/// Each builds on the one before.
const CHAIN: usize = 60;

async fn run(stage: &Stage) {
    let edit = |builds_on: Json| {
        let mut edit = transaction(&[stage.movement(Uuid::now_v7())]);
        edit["builds_on"] = builds_on;
        edit
    };
    let mut itself = edit(json!([]));
    itself["builds_on"] = json!([itself["id"]]);
    let (mut first, mut second) = (edit(json!([])), edit(json!([])));
    first["builds_on"] = json!([second["id"]]);
    second["builds_on"] = json!([first["id"]]);
    let strange: Vec<Uuid> = (0..5_000).map(|_| Uuid::now_v7()).collect();
    let many = edit(json!(strange));
    let mut replaced = edit(json!([]));
    replaced["replaces"] = replaced["id"].clone();
    let sane = edit(json!([]));
    let all = [itself, first, second, many, replaced, sane];
    let receipts = stage.attacker.pushes(&stage.wolf, &all).await;
    assert_eq!(receipts.len(), all.len());
    assert_eq!(receipts[5]["state"], "applied", "{receipts:?}");
    // Each got one answer, and gets the same again.
    for (receipt, edit) in receipts.iter().zip(&all) {
        assert_eq!(receipt["id"], edit["id"], "{receipts:?}");
    }
    let again = stage.attacker.pushes(&stage.wolf, &all).await;
    let states = |receipts: &[Json]| {
        receipts.iter().map(|receipt| receipt["state"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(states(&again), states(&receipts));

    let mut chain: Vec<Json> = Vec::new();
    for _ in 0..CHAIN {
        chain.push(edit(chain.last().map_or(json!([]), |before| json!([before["id"]]))));
    }
    // A link in the middle is refused: what comes behind waits for its correction, what is before is done.
    chain[CHAIN / 2]["mutations"][0]["set"]["tipo"] = json!("nothing");
    let receipts = stage.attacker.pushes(&stage.wolf, &chain).await;
    assert!(receipts[..CHAIN / 2].iter().all(|receipt| receipt["state"] == "applied"));
    assert_eq!(receipts[CHAIN / 2]["state"], "refused");
    assert!(receipts[CHAIN / 2 + 1..].iter().all(|receipt| receipt["state"] == "parked"));
}
