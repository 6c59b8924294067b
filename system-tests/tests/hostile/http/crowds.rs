//! Thousands of connections, opened and left.

use std::time::Duration;

use crate::attacker::{Attacker, den, send, until_closed};
use crate::many;
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "thousands of connections", run: |stage| Box::pin(run(stage)) };

const ADDRESSES: u8 = 3;
/// Longer than the server keeps a connection that says nothing.
const PATIENCE: Duration = Duration::from_secs(20);

async fn run(stage: &Stage) {
    let mut open = Vec::new();
    for number in 0..ADDRESSES {
        let attacker = Attacker::at(stage.site.address, den(number));
        for number in 0..many(400, 1_000) {
            if let Ok(mut connection) = attacker.connect().await {
                if number % 2 == 0 {
                    send(&mut connection, b"GET /healthz HTTP/1.1\r\nHost: c\r\n\r\n").await;
                }
                open.push(connection);
            }
        }
    }
    for connection in open.iter_mut().rev().take(300) {
        let (answer, ended) = until_closed(connection, PATIENCE).await;
        assert!(ended, "the server keeps a connection that is left: {answer}");
    }
}
