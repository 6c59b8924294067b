//! Cursors from elsewhere, and cursors that were edited: they are not signed, so whatever they say must
//! bring nothing that their bearer may not see, and break nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::attacker::{Answer, Session, insert, transaction};
use crate::site::QUIET;
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack = Attack { name: "forged cursors", run: |stage| Box::pin(run(stage)) };

async fn run(stage: &Stage) {
    // A warehouse that the pup does not see.
    let secret = Uuid::now_v7();
    let rows = [insert("almacenes", secret, json!({ "nombre": "Secreto" }))];
    let receipts = stage.attacker.pushes(&stage.wolf, &[transaction(&rows)]).await;
    assert_eq!(receipts[0]["state"], "applied", "{receipts:?}");
    let good = checkpoint(stage, &stage.pup).await;
    let cursor = decoded(&good);

    let stranger = stage.attacker.logs_in(QUIET, "ana").await;
    let foreign = checkpoint(stage, &stranger).await;
    let answer = pull(stage, &stage.pup, &foreign).await;
    assert_eq!(answer.code(), "cursor_foreign", "another tenant's: {answer:?}");
    let wolfs = checkpoint(stage, &stage.wolf).await;
    let answer = pull(stage, &stage.pup, &wolfs).await;
    assert_eq!(answer.code(), "cursor_foreign", "another user's: {answer:?}");

    // Another's, with one's own names.
    let mut stolen = decoded(&foreign);
    stolen["tenant"] = cursor["tenant"].clone();
    stolen["user"] = cursor["user"].clone();
    shows_nothing(&pull_json(stage, &stolen).await, secret);

    let position = &cursor["since"];
    let mut wrong_epoch = position.clone();
    wrong_epoch["epoch"] = json!("0");
    let garbage = [
        json!({ "on": "sqlite", "epoch": "x", "commit": i64::MAX }),
        json!({ "on": "sqlite", "epoch": position["epoch"], "commit": i64::MIN }),
        json!({ "on": "postgres", "epoch": position["epoch"], "witness": position["witness"],
            "snapshot": "1:1:" }),
        json!({ "on": "postgres", "epoch": position["epoch"], "witness": position["witness"],
            "snapshot": "'; DROP TABLE sync.grants; --" }),
        json!({ "on": "postgres", "epoch": "", "witness": "", "snapshot": "" }),
        wrong_epoch,
    ];
    let scope = json!(format!("warehouse:{secret}"));
    let after = json!({ "collection": "almacenes", "record": Uuid::nil() });
    let mut edits: Vec<(&str, Json)> = Vec::new();
    for position in &garbage {
        edits.push(("since", position.clone()));
        edits.push(("told", position.clone()));
        edits.push(("round", json!({ "end": position, "after": after })));
        edits.push(("telling", json!({ "end": position, "after": [0, ""] })));
    }
    edits.extend([
        ("visibility", json!("0".repeat(64))),
        ("backfill", json!({ "scopes": [scope, "tenant"], "after": after })),
        ("backfill", json!({ "scopes": [scope, "user:00000000-0000-0000-0000-000000000000"] })),
        ("backfill", json!({ "scopes": [], "after": after, "queued": [scope] })),
        ("backfill", json!({ "scopes": [], "after": { "collection": "'; --", "record": secret } })),
        ("backfill", json!({ "scopes": vec![scope.clone(); 500] })),
        (
            "round",
            json!({ "end": position, "after": { "collection": "nothing", "record": secret } }),
        ),
        ("telling", json!({ "end": position, "after": [i64::MIN, "not a key"] })),
        ("telling", json!({ "end": position, "after": [i64::MAX, "\u{0}"] })),
        ("grants", json!([{ "scope": scope, "stamp": "1", "held": true }])),
        ("grants", json!([{ "scope": "tenant", "stamp": "", "held": false }])),
    ]);
    for (member, value) in edits {
        let mut forged = cursor.clone();
        forged[member] = value.clone();
        let answer = pull_json(stage, &forged).await;
        assert!([200, 400, 403, 410].contains(&answer.status), "{member} = {value}: {answer:?}");
        shows_nothing(&answer, secret);
    }
    for text in ["", "AAAA", "%%%", "bnVsbA", "W10", &"A".repeat(50_000), &good[1..]] {
        let answer = pull(stage, &stage.pup, text).await;
        assert_eq!(answer.code(), "cursor_malformed", "{text:.20}: {answer:?}");
    }
    for body in [
        json!({ "stream": stage.pup.stream, "page_rows_max": 0 }),
        json!({ "stream": stage.pup.stream, "page_rows_max": 5001 }),
        json!({ "stream": stage.pup.stream, "page_rows_max": u64::MAX }),
        json!({ "stream": stage.pup.stream, "page_rows_max": -1 }),
    ] {
        let answer = stage.attacker.post("sync/pull", Some(&stage.pup.token), &body).await;
        assert!([400, 422].contains(&answer.status), "{body}: {answer:?}");
    }
    // A schema that the device does not have: it is sent the right one, and what it says changes nothing.
    for hash in ["", "0", &"f".repeat(64), &"\u{fffd}".repeat(10_000)] {
        let body = json!({ "stream": stage.pup.stream, "schema_hash": hash });
        let answer = stage.attacker.post("sync/pull", Some(&stage.pup.token), &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.json["schema"].is_object(), "no schema for {hash:.10}");
    }
}

/// The cursor at the end of a first pull.
async fn checkpoint(stage: &Stage, session: &Session) -> String {
    let mut body = json!({ "stream": session.stream });
    loop {
        let answer = stage.attacker.post("sync/pull", Some(&session.token), &body).await;
        if answer.is_busy() {
            continue;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        body["cursor"] = answer.json["cursor"].clone();
        if answer.json["checkpoint"] == true {
            return answer.json["cursor"].as_str().expect("a cursor").to_owned();
        }
    }
}

async fn pull(stage: &Stage, session: &Session, cursor: &str) -> Answer {
    let body = json!({ "stream": session.stream, "cursor": cursor });
    stage.attacker.post("sync/pull", Some(&session.token), &body).await
}

async fn pull_json(stage: &Stage, cursor: &Json) -> Answer {
    pull(stage, &stage.pup, &URL_SAFE_NO_PAD.encode(cursor.to_string())).await
}

fn decoded(cursor: &str) -> Json {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).expect("base64")).expect("JSON")
}

fn shows_nothing(answer: &Answer, secret: Uuid) {
    let tables = answer.json["tables"].as_array().cloned().unwrap_or_default();
    for table in tables {
        let rows = table["rows"].to_string();
        assert!(!rows.contains(&secret.to_string()), "a row out of scope: {rows}");
        assert!(!rows.contains("Secreto"), "a row out of scope: {rows}");
    }
}
