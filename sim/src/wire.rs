//! Reading what went over the wire, for the oracle.

use base64::Engine as _;
use mobile_core::transport::exchange::Request;
use serde::de::DeserializeOwned;
use sync_protocol::UserId;
use sync_protocol::columnar::FrameReader;
use sync_protocol::wire::pull::{PullPage, PullRequest};
use sync_protocol::wire::push::{PushAnswer, PushRequest, Transaction};
use sync_protocol::wire::receipt::{Receipt, ReceiptState};

use crate::oracle::snapshot::Snapshot;
use crate::server::Response;

fn unpacked(encoding: Option<&str>, body: &[u8]) -> Vec<u8> {
    match encoding {
        Some("zstd") => zstd::decode_all(body).expect("what was packed can be unpacked"),
        _ => body.to_vec(),
    }
}

fn json<T: DeserializeOwned>(headers: &axum::http::HeaderMap, body: &[u8]) -> T {
    let encoding = headers.get("content-encoding").and_then(|value| value.to_str().ok());
    serde_json::from_slice(&unpacked(encoding, body)).expect("JSON of that form")
}

/// Who asks, by the token's claims.
#[must_use]
pub fn bearer(request: &Request) -> Option<UserId> {
    let token = request.headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
    let claims = token.split('.').nth(1)?;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims["sub"].as_str()?.parse().ok()
}

/// A push.
#[must_use]
pub fn push(request: &Request) -> PushRequest {
    json(&request.headers, &request.body)
}

/// The answer of a push.
#[must_use]
pub fn push_answer(response: &Response) -> PushAnswer {
    json(&response.headers, &response.body)
}

/// What the server would have answered before it died, as far as it had come.
#[must_use]
pub fn answer_that_never_came(asked: &PushRequest, now: &Snapshot) -> PushAnswer {
    let receipt = |transaction: &Transaction| match now.receipts.get(&transaction.id) {
        Some(receipt) => Receipt::clone(receipt),
        None => Receipt {
            id: transaction.id,
            state: ReceiptState::Parked,
            problem: None,
            mutations: Vec::new(),
            held: false,
            settled_at_us: 0,
        },
    };
    let receipts = asked.transactions.iter().map(receipt).collect();
    PushAnswer { receipts, withdrawn: Vec::new(), server_time_us: 0 }
}

/// A pull.
#[must_use]
pub fn pull(request: &Request) -> PullRequest {
    json(&request.headers, &request.body)
}

/// A pull that asks for pages of so many rows, as any client may.
#[must_use]
pub fn with_page_rows(request: &Request, rows: usize) -> Request {
    let asked = PullRequest { page_rows_max: Some(rows), ..pull(request) };
    let mut request = request.clone();
    request.headers.remove("content-encoding");
    request.body = serde_json::to_vec(&asked).expect("it can be written").into();
    request
}

/// The whole pages in the first bytes of an answer.
#[must_use]
pub fn pages(body: &[u8]) -> Vec<PullPage> {
    let mut reader = FrameReader::new();
    reader.feed(body);
    let mut pages = Vec::new();
    while let Ok(Some(page)) = reader.next_page() {
        pages.push(page);
    }
    pages
}

/// An answer as text.
#[must_use]
pub fn text(response: &Response) -> String {
    let encoding = response.headers.get("content-encoding").and_then(|value| value.to_str().ok());
    String::from_utf8_lossy(&unpacked(encoding, &response.body)).into_owned()
}
