//! Pulls that cost the server and bring the client nothing: a row at a time, and begun only to be dropped.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use crate::attacker::{head, send};
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "pulls that are dropped", run: |stage| Box::pin(run(stage)) };

const DROPPED: usize = 40;
const SINGLE_ROWS: usize = 10;
const PULLERS: usize = 4;
const FRAMES: &str = "application/vnd.campo.pull-pages";

async fn run(stage: &Stage) {
    let sessions = [&stage.wolf, &stage.pup];
    // A row at a time, always from the beginning.
    let pullers = (0..PULLERS).map(|number| async move {
        let session = sessions[number % 2];
        let mut cursor = serde_json::Value::Null;
        let mut pages = 0;
        while pages < SINGLE_ROWS {
            let mut body = json!({ "stream": session.stream, "page_rows_max": 1 });
            if cursor.is_string() {
                body["cursor"] = cursor.clone();
            }
            let answer = stage.attacker.post("sync/pull", Some(&session.token), &body).await;
            if answer.is_busy() {
                continue;
            }
            assert_eq!(answer.status, 200, "{answer:?}");
            cursor = answer.json["cursor"].clone();
            pages += 1;
        }
    });
    join_all(pullers).await;
    let body = json!({ "stream": stage.wolf.stream, "page_rows_max": 1 }).to_string();
    for number in 0..DROPPED {
        let session = sessions[number % 2];
        let accept = format!("Accept: {}", if number % 3 == 0 { "*/*" } else { FRAMES });
        let length = format!("Content-Length: {}", body.len());
        let lines = ["Content-Type: application/json", &accept, &length];
        let head = head("POST", "sync/pull", Some(&session.token), &lines);
        let Ok(mut connection) = stage.attacker.connect().await else { continue };
        send(&mut connection, format!("{head}{body}").as_bytes()).await;
        if number % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    // They gave back what they held.
    loop {
        let body = json!({ "stream": stage.wolf.stream, "page_rows_max": 1 });
        let answer = stage.attacker.post("sync/pull", Some(&stage.wolf.token), &body).await;
        if answer.status == 200 {
            break;
        }
        assert!(answer.is_busy(), "{answer:?}");
    }
}
