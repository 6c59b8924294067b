//! Clients that hang up: half, in the middle of a body, or right behind it.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use crate::attacker::{head, send, transaction, until_closed};
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "clients that hang up", run: |stage| Box::pin(run(stage)) };

const PATIENCE: Duration = Duration::from_secs(20);
const TIMES: usize = 60;

async fn run(stage: &Stage) {
    let token = Some(stage.wolf.token.as_str());
    let mut pushed = Vec::new();
    for number in 0..TIMES {
        // Two rows in one transaction, and the line is cut somewhere.
        let records = [Uuid::now_v7(), Uuid::now_v7()];
        let transaction = transaction(&records.map(|record| stage.movement(record)));
        let body = json!({ "stream": stage.wolf.stream, "transactions": [&transaction] });
        let body = body.to_string();
        let length = format!("Content-Length: {}", body.len());
        let head = head("POST", "sync/push", token, &["Content-Type: application/json", &length]);
        let mut connection = stage.attacker.connect().await.expect("a connection");
        let all = [head.as_bytes(), body.as_bytes()].concat();
        let cut = if number % 3 == 0 { all.len() / 2 } else { all.len() };
        send(&mut connection, &all[..cut]).await;
        match number % 4 {
            0 => {
                let _ = connection.shutdown().await;
                let (answer, ended) = until_closed(&mut connection, PATIENCE).await;
                assert!(ended, "{answer}");
            }
            // With an answer on its way, this resets the connection.
            1 => drop(connection),
            2 => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                drop(connection);
            }
            _ => {
                let _ = connection.set_zero_linger();
                drop(connection);
            }
        }
        pushed.push(transaction);
    }
    // Whatever became of each: sent again it is there once, whole.
    let receipts = stage.attacker.pushes(&stage.wolf, &pushed).await;
    for receipt in receipts {
        assert_eq!(receipt["state"], "applied", "{receipt}");
        assert_eq!(receipt["mutations"].as_array().map(Vec::len), Some(2), "{receipt}");
        for mutation in receipt["mutations"].as_array().into_iter().flatten() {
            assert_eq!(mutation["version"], 1, "{receipt}");
        }
    }
}
