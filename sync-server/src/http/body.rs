//! Request bodies: from compressed bytes to a checked type, within limits at every step.
//!
//! ```text
//!  content type ─► encoding ─► bytes (limit) ─► turn ─► decompressed (limit) ─► depth ─► JSON ─► type
//! ```
//!
//! A body comes in time ([`BYTES_PER_S_MIN`]) or not at all, and takes its request's turn only when it is
//! here ([`Ticket`]). One that may be large is unpacked and read beside the threads that serve the others.
//!
//! The limit holds before and after decompression, so that neither a long body nor a short one that
//! unfolds takes more memory. Decompression is done here and not by a layer because zstd lets a
//! frame ask for a window of any size; [`WINDOW_LOG_MAX`] bounds it.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use sync_protocol::limits::JSON_DEPTH_MAX;
use sync_protocol::problem::Problem;
use sync_protocol::wire::unique::DUPLICATE_KEY;

use super::json_depth::deeper_than;
use super::limits::Ticket;
use super::limits::budget::UNCOUNTED_BYTES_MAX;
use super::problem::Refusal;

/// Longest body where an endpoint does not say otherwise, in bytes.
pub const SMALL_BODY_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of a body: that of a `json` field, and what a push wraps around it. So a field
/// that is too deep is refused with its mutation, and not the push as a whole.
const BODY_DEPTH_MAX: usize = JSON_DEPTH_MAX + 16;
/// Largest window that a zstd body may ask for, as a power of two: 8 MiB, what every encoder stays
/// under by default.
const WINDOW_LOG_MAX: u32 = 23;

/// How many bytes of a body earn it a second more to come. A phone at the edge of a cell has more.
const BYTES_PER_S_MIN: u64 = 1024;
/// How long a body may take besides that, where no request's ticket says it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A JSON body of at most `BYTES_MAX` bytes, before and after decompression.
#[derive(Debug)]
pub struct JsonBody<T, const BYTES_MAX: usize = SMALL_BODY_BYTES_MAX>(pub T);

impl<T, S, const BYTES_MAX: usize> FromRequest<S> for JsonBody<T, BYTES_MAX>
where
    T: DeserializeOwned + Send + 'static,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        check_content_type(request.headers())?;
        let encoding = Encoding::of(request.headers())?;
        let ticket = request.extensions().get::<Arc<Ticket>>().cloned();
        let raw = read(request, BYTES_MAX, ticket.as_deref()).await?;
        if let Some(ticket) = ticket {
            ticket.begin().await?;
        }
        let understand = move || parse(&encoding.decode(raw, BYTES_MAX)?);
        if BYTES_MAX <= SMALL_BODY_BYTES_MAX {
            return Ok(Self(understand()?));
        }
        let body = tokio::task::spawn_blocking(understand).await;
        Ok(Self(body.map_err(|error| {
            tracing::error!(%error, "reading a body panicked");
            Problem::new(500, "internal", "The server failed")
        })??))
    }
}

/// Reads a JSON document into a type.
///
/// # Errors
/// `json_too_deep`, `malformed_json`, `duplicate_json_key`, `unknown_field`, `invalid_body`.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    if let Some(position) = deeper_than(json, BODY_DEPTH_MAX) {
        let problem = Problem::new(400, "json_too_deep", "The document is nested too deeply")
            .detail(format!("at most {BODY_DEPTH_MAX} brackets within one another"));
        return Err(at(problem, json, position));
    }
    let body = serde_json::from_slice(json).map_err(|error| not_understood(&error))?;
    // Serde would also take a list of the members in order, which nothing documents.
    let start = json.len() - json.trim_ascii_start().len();
    if json.get(start) != Some(&b'{') {
        let problem = Problem::new(422, "invalid_body", "The body is not a JSON object")
            .detail("send the members by their names, in curly brackets");
        return Err(at(problem, json, start));
    }
    Ok(body)
}

/// Says where a problem is, as the parser does: lines from 1, columns in bytes from 1.
fn at(mut problem: Problem, json: &[u8], position: usize) -> Problem {
    let before = &json[..position];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    problem.more.insert("line".to_owned(), line.into());
    problem.more.insert("column".to_owned(), column.into());
    problem
}

fn not_understood(error: &serde_json::Error) -> Problem {
    let said = error.to_string();
    let mut problem = if !error.is_data() {
        Problem::new(400, "malformed_json", "The body is not JSON")
    } else if said.starts_with(DUPLICATE_KEY) || said.starts_with("duplicate field") {
        Problem::new(422, "duplicate_json_key", "An object in the body has a key twice")
    } else if said.starts_with("unknown field") {
        Problem::new(422, "unknown_field", "The body has a member that is not known here")
    } else {
        Problem::new(422, "invalid_body", "The body does not have the form that is expected here")
    };
    problem.more.insert("line".to_owned(), error.line().into());
    problem.more.insert("column".to_owned(), error.column().into());
    problem.detail(said)
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(415, "unsupported_media_type", "The body's content type is not known here")
        .detail("send JSON with the header `Content-Type: application/json`"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut given = headers.get_all(header::CONTENT_ENCODING).iter();
        let encoding = match (given.next(), given.next()) {
            (None, _) => Some(Self::Identity),
            (Some(one), None) => match one.to_str().unwrap_or("?").to_ascii_lowercase().as_str() {
                "" | "identity" => Some(Self::Identity),
                "gzip" | "x-gzip" => Some(Self::Gzip),
                "zstd" => Some(Self::Zstd),
                _ => None,
            },
            _ => None,
        };
        encoding.ok_or_else(|| {
            Problem::new(415, "unsupported_encoding", "The body's encoding is not known here")
                .detail("compress with zstd or gzip, once, or not at all")
        })
    }

    fn decode(self, raw: Bytes, bytes_max: usize) -> Result<Bytes, Problem> {
        let damaged = |error: std::io::Error| {
            Problem::new(400, "body_unreadable", "The body cannot be decompressed")
                .detail(error.to_string())
        };
        let mut out = Vec::new();
        // One byte more than allowed tells "too long" from "just fits".
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        match self {
            Self::Identity => return Ok(raw),
            Self::Gzip => {
                let decoder = flate2::read::MultiGzDecoder::new(&raw[..]);
                decoder.take(limit).read_to_end(&mut out).map_err(damaged)?;
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(&raw[..]).map_err(damaged)?;
                decoder.window_log_max(WINDOW_LOG_MAX).map_err(damaged)?;
                decoder.take(limit).read_to_end(&mut out).map_err(damaged)?;
            }
        }
        if out.len() > bytes_max {
            return Err(too_long(bytes_max));
        }
        Ok(out.into())
    }
}

async fn read(
    request: Request,
    bytes_max: usize,
    ticket: Option<&Ticket>,
) -> Result<Bytes, Problem> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > bytes_max) {
        return Err(too_long(bytes_max));
    }
    // What is announced is not believed: memory is taken for what comes.
    let mut body = Vec::with_capacity(announced.unwrap_or(0).min(UNCOUNTED_BYTES_MAX));
    let mut chunks = request.into_body().into_data_stream();
    let began = tokio::time::Instant::now();
    let patience = ticket.map_or(PATIENCE, Ticket::body_patience);
    let mut counted = 0;
    loop {
        let earned = Duration::from_secs(body.len() as u64 / BYTES_PER_S_MIN);
        let next = tokio::time::timeout_at(began + patience + earned, chunks.next()).await;
        let Some(chunk) = next.map_err(|_| too_slow())? else { break };
        let chunk = chunk.map_err(|error| {
            Problem::new(400, "body_unreadable", "The body did not arrive whole")
                .detail(error.to_string())
        })?;
        if body.len() + chunk.len() > bytes_max {
            return Err(too_long(bytes_max));
        }
        body.extend_from_slice(&chunk);
        if let Some(ticket) = ticket
            && body.len() > UNCOUNTED_BYTES_MAX
        {
            ticket.count(body.len() - counted)?;
            counted = body.len();
        }
    }
    Ok(body.into())
}

fn too_slow() -> Problem {
    Problem::new(408, "body_too_slow", "The body comes too slowly")
        .detail(format!("send at least {BYTES_PER_S_MIN} bytes in a second, or less at once"))
        .retryable()
}

fn too_long(bytes_max: usize) -> Problem {
    let mut problem = Problem::new(413, "body_too_large", "The body is too long")
        .detail(format!("at most {bytes_max} bytes, decompressed; send it in several parts"));
    problem.more.insert("bytes_max".to_owned(), bytes_max.into());
    problem
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use sync_protocol::wire::auth::LogoutRequest;

    use super::*;

    async fn code(request: axum::http::request::Builder, body: Vec<u8>) -> (u16, String) {
        let request = request.body(Body::from(body)).unwrap();
        match JsonBody::<LogoutRequest, 100>::from_request(request, &()).await {
            Ok(JsonBody(body)) => (200, body.refresh_token),
            Err(Refusal(problem)) => (problem.status, problem.code),
        }
    }

    fn json() -> axum::http::request::Builder {
        Request::post("/").header("content-type", "application/json; charset=utf-8")
    }

    const GOOD: &str = r#"{"refresh_token":"x"}"#;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::read::GzEncoder::new(bytes, flate2::Compression::default());
        let mut out = Vec::new();
        encoder.read_to_end(&mut out).unwrap();
        out
    }

    #[tokio::test]
    async fn plain_gzip_and_zstd_are_read() {
        assert_eq!(code(json(), GOOD.into()).await, (200, "x".into()));
        let request = json().header("content-encoding", "gzip");
        assert_eq!(code(request, gzip(GOOD.as_bytes())).await, (200, "x".into()));
        let request = json().header("content-encoding", "zstd");
        let body = zstd::encode_all(GOOD.as_bytes(), 3).unwrap();
        assert_eq!(code(request, body).await, (200, "x".into()));
    }

    #[tokio::test]
    async fn what_is_too_long_is_refused_packed_or_not() {
        let long = format!(r#"{{"refresh_token":"{}"}}"#, "a".repeat(200));
        let expected = (413, "body_too_large".to_owned());
        assert_eq!(code(json(), long.clone().into()).await, expected);
        let request = json().header("content-length", "101");
        assert_eq!(code(request, GOOD.into()).await, expected);
        let bomb = vec![b' '; 50_000_000];
        let packed = gzip(&bomb[..50_000]);
        assert!(packed.len() < 100, "the bomb must pass the first limit: {}", packed.len());
        assert_eq!(code(json().header("content-encoding", "gzip"), packed).await, expected);
        let packed = zstd::encode_all(&bomb[..50_000], 3).unwrap();
        assert_eq!(code(json().header("content-encoding", "zstd"), packed).await, expected);
    }

    #[tokio::test]
    async fn damaged_and_unknown_encodings_are_told_apart() {
        let request = json().header("content-encoding", "gzip");
        assert_eq!(code(request, GOOD.into()).await, (400, "body_unreadable".into()));
        let request = json().header("content-encoding", "zstd");
        assert_eq!(code(request, GOOD.into()).await, (400, "body_unreadable".into()));
        for encoding in ["br", "deflate", "gzip, gzip"] {
            let request = json().header("content-encoding", encoding);
            assert_eq!(code(request, GOOD.into()).await, (415, "unsupported_encoding".into()));
        }
    }

    #[tokio::test]
    async fn a_window_that_takes_much_memory_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(27).unwrap();
        std::io::Write::write_all(&mut encoder, GOOD.as_bytes()).unwrap();
        let packed = encoder.finish().unwrap();
        let request = json().header("content-encoding", "zstd");
        assert_eq!(code(request, packed).await, (400, "body_unreadable".into()));
    }

    #[tokio::test]
    async fn bad_documents_have_codes_and_places() {
        for (body, expected) in [
            ("", "malformed_json"),
            ("{\"refresh_token\":", "malformed_json"),
            ("{'refresh_token':1}", "malformed_json"),
            ("{\"refresh_token\":\"\u{0}\"}", "malformed_json"),
            ("{}", "invalid_body"),
            ("[\"x\"]", "invalid_body"),
            ("{\"refresh_token\":1}", "invalid_body"),
            ("{\"refresh_token\":\"x\",\"more\":1}", "unknown_field"),
            ("{\"refresh_token\":\"x\",\"refresh_token\":\"x\"}", "duplicate_json_key"),
        ] {
            assert_eq!(code(json(), body.into()).await.1, expected, "{body}");
        }
        let not_utf8 = b"{\"refresh_token\":\"\xff\"}".to_vec();
        assert_eq!(code(json(), not_utf8).await.1, "malformed_json");
        assert_eq!(code(json(), "[".repeat(81).into()).await.1, "json_too_deep");
        let problem = parse::<LogoutRequest>(b"{\n \"refresh_token\": nul }").unwrap_err();
        assert_eq!(problem.more["line"], 2);
        let place = |body: String| {
            let problem = parse::<LogoutRequest>(body.as_bytes()).unwrap_err();
            (problem.more["line"].clone(), problem.more["column"].clone())
        };
        assert_eq!(place(format!("\n {}", "[".repeat(81))), (2.into(), 82.into()));
        assert_eq!(place("\n\n  [\"x\"]".to_owned()), (3.into(), 3.into()));
    }

    #[tokio::test]
    async fn only_json_is_read() {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
            let request = Request::post("/").header("content-type", kind);
            assert_eq!(code(request, GOOD.into()).await, (415, "unsupported_media_type".into()));
        }
        assert_eq!(code(Request::post("/"), GOOD.into()).await.0, 415);
    }
}
