//! The same transactions, many times at once.

use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::attacker::{Session, insert, transaction};
use crate::many;
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "the same push many times at once", run: |stage| Box::pin(run(stage)) };

const ADDED: usize = 2;

async fn run(stage: &Stage) {
    let (article, stock) = (Uuid::now_v7(), Uuid::now_v7());
    let made = [
        insert("articulos", article, json!({ "codigo": article, "nombre": "Grava" })),
        insert(
            "existencias",
            stock,
            json!({ "almacen_id": stage.warehouse, "articulo_id": article, "cantidad": "0" }),
        ),
    ];
    stage.attacker.pushes(&stage.wolf, &[transaction(&made)]).await;
    let add = || {
        transaction(&[json!({ "collection": "existencias", "record": stock, "kind": "update",
            "add": { "cantidad": "1.000" }, "base": { "cantidad": 1 } })])
    };
    let edits: Vec<_> = (0..ADDED).map(|_| add()).collect();
    // From one stream, and from many of the same person.
    let storm = (0..many(60, 200)).map(|number| {
        let stream = if number % 2 == 0 { stage.wolf.stream } else { Uuid::now_v7() };
        let client = Session { stream, ..stage.wolf.clone() };
        let edits = &edits;
        async move {
            loop {
                let receipts = stage.attacker.pushes(&client, edits).await;
                if receipts.iter().all(|receipt| receipt["state"] != "parked") {
                    return receipts;
                }
            }
        }
    });
    for receipts in join_all(storm).await {
        assert!(receipts.iter().all(|receipt| receipt["state"] == "applied"), "{receipts:?}");
    }
    let row = stage.row("existencias", stock).await;
    assert_eq!(row["cantidad"], format!("{ADDED}.000"), "each took effect once");
}
