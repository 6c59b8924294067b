//! What is no HTTP/1.1 at all, requests without waiting for answers, and HTTP/2, which is not served.

use std::time::Duration;

use crate::attacker::{send, until_closed};
use crate::stage::{Attack, Stage};

pub const ATTACK: Attack = Attack { name: "garbage", run: |stage| Box::pin(run(stage)) };

const PATIENCE: Duration = Duration::from_secs(20);
const PIPELINED: usize = 2_000;

async fn run(stage: &Stage) {
    let mut noise = vec![0u8; 100_000];
    let mut state = 0x9e37_79b9_u32;
    for byte in &mut noise {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *byte = state.to_le_bytes()[1];
    }
    for bytes in [
        noise,
        // A TLS hello, an SSH banner, HTTP/0.9, a version that does not exist.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(100),
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        b"GET /healthz\r\n\r\n".to_vec(),
        b"GET /healthz HTTP/3.7\r\n\r\n".to_vec(),
        b"\r\n".repeat(100_000),
        b"\0".repeat(100_000),
        http2_resets(),
    ] {
        let mut connection = stage.attacker.connect().await.expect("a connection");
        send(&mut connection, &bytes).await;
        let (answer, ended) = until_closed(&mut connection, PATIENCE).await;
        assert!(ended, "{:?}: {answer}", String::from_utf8_lossy(&bytes[..20]));
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    // Good requests, garbage behind them: the good ones are answered, in order, until the garbage.
    let mut connection = stage.attacker.connect().await.expect("a connection");
    let request = b"GET /mobile/api/v1/nothing HTTP/1.1\r\nHost: campo\r\n\r\n";
    let (mut reader, mut writer) = connection.split();
    let writing = async {
        use tokio::io::AsyncWriteExt as _;
        let many = request.repeat(PIPELINED);
        let _ = writer.write_all(&many).await;
        let _ = writer.write_all(b"\x00\x01garbage\r\n\r\n").await;
    };
    let reading = async {
        use tokio::io::AsyncReadExt as _;
        let mut all = Vec::new();
        let reading = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut all)).await;
        assert!(reading.is_ok(), "the connection stays open behind garbage");
        String::from_utf8_lossy(&all).matches("HTTP/1.1 404").count()
    };
    let ((), answers) = tokio::join!(writing, reading);
    assert!(answers <= PIPELINED, "{answers}");
}

/// The preface of HTTP/2, and streams that are opened and reset at once ("rapid reset").
fn http2_resets() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1u32..2_000).step_by(2) {
        bytes.extend_from_slice(b"\0\0\x03\x01\x05");
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(b"\x82\x86\x84\0\0\x04\x03\0");
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(b"\0\0\0\x08");
    }
    bytes
}
