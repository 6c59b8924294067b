//! Requests whose body never comes, or comes by the byte: as many as the server works on at once, most of
//! them without an account, and from several addresses.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::attacker::{Attacker, den, head, send, until_closed};
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "bodies that do not come", run: |stage| Box::pin(run(stage)) };

/// From each address. Together as many as the server has turns.
const CONNECTIONS: usize = 200;
const ADDRESSES: u8 = 3;
/// Longer than the server lets a body of some bytes take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn run(stage: &Stage) {
    let anonymous = head(
        "POST",
        "auth/login",
        None,
        &["Content-Type: application/json", "Content-Length: 1000"],
    );
    let known = head(
        "POST",
        "sync/push",
        Some(&stage.wolf.token),
        &["Content-Type: application/json", "Content-Length: 16000000"],
    );
    let mut open: Vec<TcpStream> = Vec::new();
    for number in 0..ADDRESSES {
        let attacker = Attacker::at(stage.site.address, den(number));
        for number in 0..CONNECTIONS {
            let Ok(mut connection) = attacker.connect().await else { continue };
            let head = if number % 4 == 0 { &known } else { &anonymous };
            if send(&mut connection, head.as_bytes()).await && send(&mut connection, b"{").await {
                open.push(connection);
            }
        }
    }
    let mut last = open.pop().expect("some were taken");
    let dripping = async {
        loop {
            for connection in &mut open {
                send(connection, b" ").await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = dripping => {}
        (answer, ended) = until_closed(&mut last, PATIENCE) => {
            assert!(ended, "the server still waits for a body: {answer}");
            assert!(answer.contains("body_too_slow"), "{answer}");
        }
    }
}
