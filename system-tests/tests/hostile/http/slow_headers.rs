//! Heads of requests that come by the byte, and are never whole.

use std::time::Duration;

use crate::attacker::{send, until_closed};
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "heads that come by the byte", run: |stage| Box::pin(run(stage)) };

const CONNECTIONS: usize = 200;
/// Longer than the server lets a head take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn run(stage: &Stage) {
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        if let Ok(mut connection) = stage.attacker.connect().await {
            send(&mut connection, b"POST /mobile/api/v1/sync/pull HTTP/1.1\r\nX-A").await;
            open.push(connection);
        }
    }
    let mut last = open.pop().expect("some were taken");
    let dripping = async {
        loop {
            for connection in &mut open {
                send(connection, b"a").await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = dripping => {}
        (answer, ended) = until_closed(&mut last, PATIENCE) => {
            assert!(ended, "the server still waits for a head: {answer}");
        }
    }
}
