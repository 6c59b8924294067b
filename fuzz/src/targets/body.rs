//! Bodies as they arrive, compressed or not: the first byte of the input says how, the rest is sent.

use axum::body::Body;
use axum::extract::{FromRequest as _, Request};
use sync_protocol::wire::push::PushRequest;
use sync_server::http::body::JsonBody;
use sync_server::http::problem::Refusal;
use tokio::runtime::{Builder, Runtime};

use crate::{Target, memory, promise};

/// The target.
pub(super) const TARGET: Target = Target { name: "body", input_bytes_max: 4096, run };

/// Longest body here, before and after decompression, in bytes.
const BYTES_MAX: usize = 8 * 1024;
thread_local! {
    /// A body is given a time to come.
    static RUNTIME: Runtime = match Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("there is no runtime: {error}"),
    };
}

const ENCODINGS: &[&str] = &["identity", "gzip", "zstd", "x-gzip", "", "br"];

const REFUSALS: &[(u16, &str)] = &[
    (400, "malformed_json"),
    (400, "json_too_deep"),
    (400, "body_unreadable"),
    (413, "body_too_large"),
    (415, "unsupported_encoding"),
    (422, "duplicate_json_key"),
    (422, "unknown_field"),
    (422, "invalid_body"),
];

fn run(input: &[u8]) {
    let Some((how, sent)) = input.split_first() else { return };
    let encoding = ENCODINGS[usize::from(*how) % ENCODINGS.len()];
    let read = read(encoding, sent.to_vec());
    if let Err(Refusal(problem)) = read {
        promise::refusal_is_documented(&problem, REFUSALS);
    }
    // The same, packed by an honest client, is read the same.
    let Ok(packed) = zstd::bulk::compress(sent, 1) else { return };
    let plain = self::read("identity", sent.to_vec()).map_err(|Refusal(problem)| problem);
    let unpacked = self::read("zstd", packed).map_err(|Refusal(problem)| problem);
    assert_eq!(unpacked, plain, "packed it differs");
}

fn read(encoding: &str, sent: Vec<u8>) -> Result<PushRequest, Refusal> {
    let request = Request::post("/")
        .header("content-type", "application/json")
        .header("content-encoding", encoding)
        .body(Body::from(sent));
    let Ok(request) = request else { unreachable!("these headers are good") };
    // The window of gzip, what a request may unfold to, and what JSON takes.
    memory::at_most(512 * 1024 + 200 * BYTES_MAX, || {
        let body = JsonBody::<PushRequest, BYTES_MAX>::from_request(request, &());
        RUNTIME.with(|runtime| runtime.block_on(body)).map(|JsonBody(body)| body)
    })
}
