//! Edits made before time began, and after it ends.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::attacker::{insert, now_us, transaction};
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "edits from the year 9999", run: |stage| Box::pin(run(stage)) };

/// 0000-01-01 and 9999-12-31, in microseconds since 1970.
const YEAR_0_US: i64 = -62_167_219_200_000_000;
const YEAR_9999_US: i64 = 253_402_300_799_999_999;
/// How far ahead of the server an edit may be (`EDIT_TIME_AHEAD_MAX_US`).
const AHEAD_US: i64 = 5 * 60 * 1_000_000;

async fn run(stage: &Stage) {
    let record = Uuid::now_v7();
    let made = [insert("articulos", record, json!({ "codigo": record, "nombre": "Reloj" }))];
    stage.attacker.pushes(&stage.wolf, &[transaction(&made)]).await;
    let rename = |name: &str, at_us: i64, wall_us: i64, uncertain: bool| {
        let mut edit = transaction(&[json!({ "collection": "articulos", "record": record,
            "kind": "update", "set": { "nombre": name }, "base": { "nombre": 0 } })]);
        edit["edited"] = json!({ "at_us": at_us, "uncertain": uncertain });
        edit["wall_clock_us"] = json!(wall_us);
        edit
    };
    for at_us in [i64::MIN, YEAR_0_US, -1, 0, YEAR_9999_US, i64::MAX] {
        for wall_us in [i64::MIN, 0, i64::MAX] {
            for uncertain in [false, true] {
                let edit = rename("Fuera de hora", at_us, wall_us, uncertain);
                let receipts = stage.attacker.pushes(&stage.wolf, &[edit]).await;
                let state = receipts[0]["state"].as_str().expect("a state");
                assert!(["applied", "superseded"].contains(&state), "{at_us}: {receipts:?}");
            }
        }
    }
    // It was clamped: another one's edit that is later than that by the server's clock wins.
    let fair = rename("En hora", now_us() + AHEAD_US, now_us(), false);
    let receipts = stage.attacker.pushes(&stage.pup, &[fair]).await;
    assert_eq!(receipts[0]["state"], "applied", "nobody owns the future: {receipts:?}");
    let ordinary = json!({ "stream": stage.pup.stream });
    let pulled = stage.attacker.post("sync/pull", Some(&stage.pup.token), &ordinary).await;
    assert_eq!(pulled.status, 200, "{pulled:?}");
    for (at, status) in [(json!(1e300), 422), (json!("9999-12-31"), 422), (Json::Null, 422)] {
        let mut edit = rename("Nada", 0, 0, false);
        edit["edited"]["at_us"] = at;
        let answer = stage.attacker.push(&stage.wolf, &[edit]).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}
