//! Content types, encodings, methods and addresses that do not exist, and heads without measure.

use std::time::Duration;

use crate::attacker::{PREFIX, send, until_closed};
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack = Attack { name: "wrong forms", run: |stage| Box::pin(run(stage)) };

const PATIENCE: Duration = Duration::from_secs(20);

async fn run(stage: &Stage) {
    let token = Some(stage.wolf.token.as_str());
    let json = ("content-type", "application/json");
    let body = b"{}".to_vec();
    for (headers, status) in [
        (&[("content-type", "text/plain")][..], 415),
        (&[("content-type", "application/x-www-form-urlencoded")], 415),
        (&[("content-type", "multipart/form-data; boundary=x")], 415),
        (&[], 415),
        (&[json, ("content-encoding", "br")], 415),
        (&[json, ("content-encoding", "zstd, gzip")], 415),
        (&[json, ("content-encoding", "zstd")], 400),
        (&[json, ("accept", "text/html")], 422),
    ] {
        let answer = stage.attacker.post_bytes("sync/push", token, body.clone(), headers).await;
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
    }
    for body in [&b"\xff\xfe{}"[..], b"{\"stream\":", b"[[[[", b"null", b"", b"\"\\ud800\""] {
        let answer = stage.attacker.post_bytes("sync/push", token, body.to_vec(), &[json]).await;
        assert!([400, 422].contains(&answer.status), "{answer:?}");
    }
    let deep = "[".repeat(1_000_000).into_bytes();
    let answer = stage.attacker.post_bytes("sync/push", token, deep, &[json]).await;
    assert_eq!(answer.code(), "json_too_deep", "{answer:?}");
    for (method, path) in [
        ("TRACE", format!("{PREFIX}/sync/push")),
        ("DELETE", format!("{PREFIX}/sync/push")),
        ("CONNECT", "campo:443".to_owned()),
        ("GET", format!("{PREFIX}/../../../../etc/passwd")),
        ("GET", format!("{PREFIX}/receipts/%2e%2e%2f%00")),
        ("GET", format!("{PREFIX}/conflicts?after={}", "x".repeat(60_000))),
        ("GET", format!("/{}", "x".repeat(1_000_000))),
        ("POST", "*".to_owned()),
    ] {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: c\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        is_refused(stage, &head).await;
    }
    for lines in [
        format!("X-Long: {}\r\n", "a".repeat(1_000_000)),
        "X-Many: a\r\n".repeat(10_000),
        "X-\u{7f}Bad: a\r\n".to_owned(),
        "No colon\r\n".to_owned(),
        format!("Authorization: Bearer {}\r\n", "a".repeat(50_000)),
        "Authorization: Bearer \u{e9}\r\n".to_owned(),
        "X-Forwarded-For: 127.0.0.1\r\nX-Request-Id: \u{1b}[31m\r\n".to_owned(),
    ] {
        is_refused(
            stage,
            &format!("GET {PREFIX}/schema HTTP/1.1\r\nHost: c\r\nConnection: close\r\n{lines}\r\n"),
        )
        .await;
    }
}

async fn is_refused(stage: &Stage, request: &str) {
    let mut connection = stage.attacker.connect().await.expect("a connection");
    // Refused before it is read whole, it may be reset before the answer is read.
    let sent = send(&mut connection, request.as_bytes()).await;
    let (answer, ended) = until_closed(&mut connection, PATIENCE).await;
    let refused = answer.starts_with("HTTP/1.1 4") || answer.is_empty() && (ended || !sent);
    assert!(refused, "{request:.60}: {answer}");
}
