//! Lengths that do not fit the body.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use crate::attacker::{head, send, until_closed};
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack =
    Attack { name: "lengths that are lies", run: |stage| Box::pin(run(stage)) };

const PATIENCE: Duration = Duration::from_secs(20);
const BODY: &str = r#"{"refresh_token":"none"}"#;

async fn run(stage: &Stage) {
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: campo\r\n\r\n";
    let cases: [(&[&str], String); 8] = [
        // More than comes.
        (&["Content-Length: 60000"], BODY.to_owned()),
        // More than any memory.
        (&["Content-Length: 18446744073709551615"], BODY.to_owned()),
        (&["Content-Length: 99999999999999999999999"], BODY.to_owned()),
        (&["Content-Length: -1"], BODY.to_owned()),
        // Less than comes: the rest is no request.
        (&["Content-Length: 5"], BODY.to_owned()),
        // Two truths, or two ways to tell it: what proxies and servers disagree about.
        (&["Content-Length: 24", "Content-Length: 5"], BODY.to_owned()),
        (&["Content-Length: 4", "Transfer-Encoding: chunked"], format!("0\r\n\r\n{smuggled}")),
        (&["Transfer-Encoding: chunked, identity"], format!("0\r\n\r\n{smuggled}")),
    ];
    for (lines, body) in cases {
        let lines = [&["Content-Type: application/json"], lines].concat();
        let mut connection = stage.attacker.connect().await.expect("a connection");
        send(&mut connection, head("POST", "auth/logout", None, &lines).as_bytes()).await;
        send(&mut connection, body.as_bytes()).await;
        // Nothing more will come.
        let _ = connection.shutdown().await;
        let (answer, ended) = until_closed(&mut connection, PATIENCE).await;
        assert!(ended, "{lines:?}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 204"), "{lines:?} was believed: {answer}");
        assert!(!answer.contains("server_time_us"), "{lines:?} let a second request in: {answer}");
    }
}
