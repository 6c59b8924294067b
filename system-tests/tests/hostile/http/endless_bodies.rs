//! Bodies in chunks without an end, and chunks that are not what they say.

use std::time::Duration;

use crate::attacker::{head, send, until_closed};
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "bodies without an end", run: |stage| Box::pin(run(stage)) };

/// More than the longest body that any endpoint takes.
const BYTES_SENT_MAX: usize = 40 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(20);

async fn run(stage: &Stage) {
    let chunked = ["Content-Type: application/json", "Transfer-Encoding: chunked"];
    let token = Some(stage.wolf.token.as_str());
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000)).into_bytes();
    for (path, token) in [("sync/push", token), ("auth/login", None)] {
        let mut connection = stage.attacker.connect().await.expect("a connection");
        send(&mut connection, head("POST", path, token, &chunked).as_bytes()).await;
        let mut sent = 0;
        // The server answers and closes before it was all sent.
        while sent < BYTES_SENT_MAX && send(&mut connection, &chunk).await {
            sent += chunk.len();
        }
        let (answer, ended) = until_closed(&mut connection, PATIENCE).await;
        assert!(ended && sent < BYTES_SENT_MAX, "{path} took {sent} bytes: {answer}");
    }
    for lie in [
        "ffffffffffffffff\r\n{",
        "ffffffffffffffffffffffff\r\n{",
        "-1\r\n{",
        "0x5\r\n{}   \r\n",
        "5;{ext}\r\n{}   \r\n0\r\nA: b\r\n\r\n",
        "2\r\n{}garbage",
        "\r\n\r\n\r\n",
    ] {
        let lie = lie.replace("{ext}", &"x".repeat(200_000));
        let mut connection = stage.attacker.connect().await.expect("a connection");
        send(&mut connection, head("POST", "auth/login", None, &chunked).as_bytes()).await;
        send(&mut connection, lie.as_bytes()).await;
        let (answer, ended) = until_closed(&mut connection, PATIENCE).await;
        assert!(ended, "{lie:.40}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 2"), "{lie:.40}: {answer}");
    }
}
