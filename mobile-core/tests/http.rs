//! What the transport makes of answers that are none.
#![allow(missing_docs, reason = "tests are named by what they show")]

use mobile_core::CoreError;
use mobile_core::photos::{PhotoName, Variant};
use mobile_core::transport::http::HttpTransport;
#[cfg(target_os = "linux")]
use mobile_core::transport::reqwest::PROBE_AFTER;
use mobile_core::transport::{OfflineReason, PageSink, Transport, TransportError};
use sync_protocol::columnar::encode_frame;
use sync_protocol::wire::auth::LogoutRequest;
use sync_protocol::wire::pull::{PullPage, PullRequest};
use sync_protocol::wire::push::PushRequest;
use sync_protocol::{RecordId, StreamId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Answers one request with these bytes and hangs up.
async fn server(answer: Vec<u8>) -> HttpTransport {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a request");
        let mut request = vec![0; 64 * 1024];
        let _ = socket.read(&mut request).await;
        let _ = socket.write_all(&answer).await;
    });
    HttpTransport::new(&format!("http://{address}")).expect("an address")
}

async fn push(answer: &str) -> TransportError {
    let transport = server(answer.as_bytes().to_vec()).await;
    let request = PushRequest {
        stream: StreamId::SQL,
        transactions: Vec::new(),
        withdraw: Vec::new(),
        seen: Vec::new(),
        mark: None,
    };
    transport.push("token", &request).await.expect_err("no push answer")
}

#[tokio::test]
async fn nobody_there_is_told_from_a_broken_line() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let transport = HttpTransport::new(&format!("http://{address}")).expect("an address");
    let request = PushRequest {
        stream: StreamId::SQL,
        transactions: Vec::new(),
        withdraw: Vec::new(),
        seen: Vec::new(),
        mark: None,
    };
    let error = transport.push("token", &request).await.expect_err("nobody listens");
    assert!(
        matches!(
            error,
            TransportError::Offline { reason: OfflineReason::CannotConnect, maybe_sent: false }
        ),
        "{error:?}"
    );
    let error =
        push("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{")
            .await;
    assert!(
        matches!(
            error,
            TransportError::Offline { reason: OfflineReason::Interrupted, maybe_sent: true }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn whoever_answers_a_handshake_with_something_else_is_not_the_server() {
    for answer in [&b"HTTP/1.1 302 Found\r\nlocation: http://hotel.example/\r\n\r\n"[..], b""] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.read(&mut [0; 4_096]).await;
                let _ = socket.write_all(answer).await;
            }
        });
        let transport = HttpTransport::new(&format!("https://{address}")).expect("an address");
        let request = LogoutRequest { refresh_token: "token".to_owned() };
        let error = transport.logout(&request).await.expect_err("no server");
        let reason = OfflineReason::Intercepted;
        assert!(
            matches!(error, TransportError::Offline { reason: r, maybe_sent: false } if r == reason),
            "{error:?}"
        );
        assert_eq!((error.code(), error.retryable()), ("intercepted", true));
    }
}

#[tokio::test]
async fn a_hotspots_login_page_is_garbage_and_a_busy_server_is_busy() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
    assert_eq!(push(page).await.code(), "unusable_answer");
    let busy = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    let error = push(busy).await;
    assert_eq!(error.code(), "server_busy");
    assert!(matches!(error, TransportError::Busy { retry_after_s: Some(7), .. }));
    let plain = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(push(plain).await.code(), "unusable_answer");
}

#[tokio::test]
async fn a_busy_server_says_why() {
    let body = r#"{"type":"about:blank","code":"login_throttled","status":429,"title":"Too many attempts"}"#;
    let head = "content-type: application/problem+json\r\nretry-after: 30";
    let answer =
        format!("HTTP/1.1 429 Too Many\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let error = push(&answer).await;
    assert_eq!((error.code(), error.retryable()), ("login_throttled", true));
    assert_eq!(
        error.to_string(),
        "Too many attempts (login_throttled); it asks to come back in 30 s"
    );
    assert!(matches!(error, TransportError::Busy { retry_after_s: Some(30), .. }));
    let told = CoreError::from(error).to_problem();
    assert_eq!((told.code.as_str(), told.status, told.retryable), ("login_throttled", 429, true));
}

#[derive(Default)]
struct Pages(Vec<PullPage>);

#[async_trait::async_trait]
impl PageSink for Pages {
    async fn page(&mut self, page: PullPage) -> Result<(), CoreError> {
        self.0.push(page);
        Ok(())
    }
}

#[tokio::test]
async fn of_a_body_that_ends_inside_a_frame_the_whole_frames_are_good() {
    let page = PullPage { cursor: "one".into(), ..PullPage::default() };
    let mut body = encode_frame(&page);
    body.extend(&encode_frame(&page)[..8]);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.campo.pull-pages\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let transport = server([head.into_bytes(), body].concat()).await;
    let request = PullRequest::new(StreamId::SQL);
    let mut pages = Pages::default();
    let error = transport.pull("token", &request, &mut pages).await.expect_err("cut");
    assert_eq!(error.code(), "interrupted");
    assert_eq!(pages.0, [page]);
}

async fn pull(head: &str, body: Vec<u8>) -> (CoreError, usize) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{head}\r\n\r\n", body.len());
    let transport = server([head.into_bytes(), body].concat()).await;
    let request = PullRequest::new(StreamId::SQL);
    let mut pages = Pages::default();
    let error = transport.pull("token", &request, &mut pages).await.expect_err("no good pull");
    (error, pages.0.len())
}

#[tokio::test]
async fn what_is_no_page_is_garbage_and_the_pages_before_it_are_good() {
    let columnar = "content-type: application/vnd.campo.pull-pages";
    let (error, pages) = pull("content-type: text/html", b"<html>Log in</html>".to_vec()).await;
    assert_eq!((error.code(), pages), ("unusable_answer", 0));
    let (error, _) = pull("x-nothing: yes", Vec::new()).await;
    assert_eq!(error.code(), "unusable_answer");
    let page = PullPage { cursor: "one".into(), ..PullPage::default() };
    let mut garbage = encode_frame(&page);
    garbage.extend(b"<html>502 Bad Gateway</html>");
    let (error, pages) = pull(columnar, garbage).await;
    assert_eq!((error.code(), pages), ("unusable_answer", 1));
    // A frame that says it is larger than any: refused by its header, before it comes.
    let mut huge = encode_frame(&page);
    let flags = huge[4];
    huge.extend([0xff, 0xff, 0xff, 0xff, flags]);
    let (error, pages) = pull(columnar, huge).await;
    assert_eq!((error.code(), pages), ("unusable_answer", 1));
    // Compression that is none, and one that the phone did not ask for.
    let packed = format!("{columnar}\r\ncontent-encoding: zstd");
    let (error, _) = pull(&packed, b"not zstd at all, whatever it says".to_vec()).await;
    assert_eq!(error.code(), "unusable_answer");
    let (error, _) = pull(&format!("{columnar}\r\ncontent-encoding: br"), vec![1]).await;
    assert_eq!(error.code(), "unusable_answer");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a request");
        let mut request = vec![0; 64 * 1024];
        let _ = socket.read(&mut request).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
        let _ = socket.write_all(head.as_bytes()).await;
        // Until the phone hangs up.
        while socket.write_all(&[b' '; 64 * 1024]).await.is_ok() {}
    });
    let transport = HttpTransport::new(&format!("http://{address}")).expect("an address");
    let request = PushRequest {
        stream: StreamId::SQL,
        transactions: Vec::new(),
        withdraw: Vec::new(),
        seen: Vec::new(),
        mark: None,
    };
    let error = transport.push("token", &request).await.expect_err("it has no end");
    assert_eq!(error.code(), "unusable_answer");
}

/// The kernel's timer of a connection to this port, as `/proc/net/tcp` has it: 2 is the one that probes
/// silent ones, with when it rings next, in hundredths of a second.
#[cfg(target_os = "linux")]
fn timer_of(port: u16) -> Option<(String, u64)> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let to = format!(":{port:04X}");
    let line = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = line.filter(|columns| columns.len() > 5).find(|c| c[2].ends_with(&to))?;
    let (timer, rings) = line[5].split_once(':')?;
    Some((timer.to_owned(), u64::from_str_radix(rings, 16).ok()?))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_whose_answer_does_not_come_is_probed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let transport = HttpTransport::new(&format!("http://{address}")).expect("an address");
    let request = PushRequest {
        stream: StreamId::SQL,
        transactions: Vec::new(),
        withdraw: Vec::new(),
        seen: Vec::new(),
        mark: None,
    };
    let asking = tokio::spawn(async move { transport.push("token", &request).await });
    let (mut socket, _) = listener.accept().await.expect("a request");
    let mut asked = vec![0; 64 * 1024];
    assert!(socket.read(&mut asked).await.expect("it is sent") > 0);
    // The acknowledgement of the request may be on its way: until then another timer runs.
    let (timer, rings) = loop {
        match timer_of(address.port()).expect("the connection is there") {
            (timer, _) if timer == "01" => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert_eq!(timer, "02");
    assert!(u128::from(rings) * 10 <= PROBE_AFTER.as_millis(), "{rings}");
    drop(socket);
    asking.await.expect("it ends").expect_err("nobody answered");
}

#[tokio::test]
async fn an_upload_that_is_refused_without_a_word_is_a_refusal() {
    let name = PhotoName {
        collection: "fotos".to_owned(),
        record: RecordId(uuid::Uuid::nil()),
        variant: Variant::Photo,
    };
    for (status, tus, code) in [
        (403, "Tus-Resumable: 1.0.0\r\n", "forbidden"),
        (422, "Tus-Resumable: 1.0.0\r\n", "upload_refused"),
        (403, "", "unusable_answer"),
    ] {
        let answer = format!("HTTP/1.1 {status} x\r\n{tus}Content-Length: 0\r\n\r\n");
        let transport = server(answer.into_bytes()).await;
        let error = transport.uploaded("token", &name).await.expect_err("refused");
        assert_eq!(CoreError::from(error).code(), code, "{status} {tus}");
    }
}
