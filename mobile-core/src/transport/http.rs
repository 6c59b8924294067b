//! The transport over HTTP.
//!
//! Errors are told apart by what the user can do about them: no DNS, no connection, no answer in
//! time, a broken connection, a busy server, an ended session, a problem that the server explains,
//! and anything that is not this protocol (a hotel's login page answers 200 with HTML).

use std::error::Error as _;
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_protocol::ConflictId;
use sync_protocol::columnar::FrameReader;
use sync_protocol::problem::Problem;
use sync_protocol::wire::auth::{LoginRequest, LogoutRequest, RefreshRequest, Session};
use sync_protocol::wire::pull::{COLUMNAR_MEDIA_TYPE, PullRequest};
use sync_protocol::wire::push::{PushAnswer, PushRequest};
use sync_protocol::wire::review::{Conflict, ConflictList, ResolveManyAnswer, ResolveManyRequest};

use super::{OfflineReason, PageSink, ReviewRequest, Transport, TransportError};
use crate::CoreError;

/// Where the protocol lives on a server.
const ROOT: &str = "mobile/api/v1";
/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for the next bytes. A push of a thousand edits to a busy server takes a while.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Bodies from this size on are compressed.
const COMPRESS_FROM_BYTES: usize = 1_024;
/// Compression of pushes: the fastest level takes most of the repetition out of JSON.
const ZSTD_LEVEL: i32 = 1;
/// Longest answer that is read as a whole.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Exchanges with one server over HTTP.
pub struct HttpTransport {
    client: Client,
    root: String,
}

impl HttpTransport {
    /// A transport to this address (`https://campo.example`).
    ///
    /// # Errors
    /// [`CoreError::BadRequest`] when the address is none.
    pub fn new(server: &str) -> Result<Self, CoreError> {
        let bad = |why: String| CoreError::BadRequest(format!("`{server}` is no server: {why}"));
        let url = reqwest::Url::parse(server).map_err(|error| bad(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("write http:// or https:// before it".to_owned()));
        }
        // Another part of the program may have installed one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(concat!("campo/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self { client, root: format!("{}/{ROOT}", server.trim_end_matches('/')) })
    }

    fn request(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}/{path}", self.root))
            .header(ACCEPT_ENCODING, "zstd");
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T, TransportError> {
        let request = with_json(self.request(Method::POST, path, token), body)?;
        read_json(send(request).await?).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, token: &str) -> Result<T, TransportError> {
        read_json(send(self.request(Method::GET, path, Some(token))).await?).await
    }
}

fn with_json(
    request: RequestBuilder,
    body: &impl Serialize,
) -> Result<RequestBuilder, TransportError> {
    let failed = |error: String| TransportError::Garbage(format!("request: {error}"));
    let json = serde_json::to_vec(body).map_err(|error| failed(error.to_string()))?;
    let request = request.header(CONTENT_TYPE, "application/json");
    if json.len() < COMPRESS_FROM_BYTES {
        return Ok(request.body(json));
    }
    let packed =
        zstd::encode_all(json.as_slice(), ZSTD_LEVEL).map_err(|error| failed(error.to_string()))?;
    Ok(request.header(CONTENT_ENCODING, "zstd").body(packed))
}

async fn send(request: RequestBuilder) -> Result<Response, TransportError> {
    let response = request.send().await.map_err(|error| classify(&error))?;
    if response.status().is_success() {
        return Ok(response);
    }
    Err(refusal(response).await)
}

/// What an answer that is no success means.
async fn refusal(response: Response) -> TransportError {
    let status = response.status();
    let retry_after_s = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    let problem = match read_bytes(response).await {
        Ok(bytes) => serde_json::from_slice::<Problem>(&bytes).ok(),
        Err(error) => return error,
    };
    match (status, problem) {
        (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) => {
            TransportError::Busy { retry_after_s }
        }
        (StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT, None) => {
            TransportError::Busy { retry_after_s }
        }
        (StatusCode::UNAUTHORIZED, Some(problem)) => {
            TransportError::SessionEnded(Box::new(problem))
        }
        (_, Some(problem)) => TransportError::Problem(Box::new(problem)),
        (status, None) => {
            TransportError::Garbage(format!("status {status} without a problem document"))
        }
    }
}

async fn read_json<T: DeserializeOwned>(response: Response) -> Result<T, TransportError> {
    let bytes = read_bytes(response).await?;
    serde_json::from_slice(&bytes).map_err(|error| TransportError::Garbage(error.to_string()))
}

async fn read_bytes(response: Response) -> Result<Vec<u8>, TransportError> {
    let mut all = Vec::new();
    let mut body = Body::new(response)?;
    while let Some(bytes) = body.next().await? {
        if all.len() + bytes.len() > ANSWER_BYTES_MAX {
            return Err(TransportError::Garbage("an endless answer".to_owned()));
        }
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

/// The body of an answer, decompressed piece by piece.
struct Body {
    stream: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    decoder: Option<zstd::stream::write::Decoder<'static, Vec<u8>>>,
}

impl Body {
    fn new(response: Response) -> Result<Self, TransportError> {
        let encoding = response.headers().get(CONTENT_ENCODING).map(|value| value.as_bytes());
        let decoder = match encoding {
            None | Some(b"identity") => None,
            Some(b"zstd") => Some(
                zstd::stream::write::Decoder::new(Vec::new())
                    .map_err(|error| TransportError::Garbage(error.to_string()))?,
            ),
            Some(other) => {
                let name = String::from_utf8_lossy(other);
                return Err(TransportError::Garbage(format!("the unknown encoding {name}")));
            }
        };
        Ok(Self { stream: response.bytes_stream().boxed(), decoder })
    }

    async fn next(&mut self) -> Result<Option<bytes::Bytes>, TransportError> {
        use std::io::Write as _;
        loop {
            let Some(bytes) = self.stream.next().await else { return Ok(None) };
            let bytes = bytes.map_err(|error| classify(&error))?;
            let Some(decoder) = &mut self.decoder else { return Ok(Some(bytes)) };
            decoder
                .write_all(&bytes)
                .and_then(|()| decoder.flush())
                .map_err(|error| TransportError::Garbage(error.to_string()))?;
            let plain = std::mem::take(decoder.get_mut());
            if !plain.is_empty() {
                return Ok(Some(plain.into()));
            }
        }
    }
}

fn classify(error: &reqwest::Error) -> TransportError {
    let (reason, maybe_sent) = if error.is_connect() && is_dns(error) {
        (OfflineReason::NoDns, false)
    } else if error.is_connect() {
        (OfflineReason::CannotConnect, false)
    } else if error.is_timeout() {
        (OfflineReason::Timeout, true)
    } else if error.is_builder() {
        return TransportError::Garbage(error.to_string());
    } else {
        (OfflineReason::Interrupted, true)
    };
    TransportError::Offline { reason, maybe_sent }
}

fn is_dns(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.to_string().contains("dns error") {
            return true;
        }
        cause = inner.source();
    }
    false
}

#[async_trait::async_trait]
impl Transport for HttpTransport {
    async fn login(&self, request: &LoginRequest) -> Result<Session, TransportError> {
        match self.post("auth/login", None, request).await {
            // No session has ended: the password is wrong, and the problem says so.
            Err(TransportError::SessionEnded(problem)) => Err(TransportError::Problem(problem)),
            other => other,
        }
    }

    async fn refresh(&self, request: &RefreshRequest) -> Result<Session, TransportError> {
        self.post("auth/refresh", None, request).await
    }

    async fn logout(&self, request: &LogoutRequest) -> Result<(), TransportError> {
        let request = with_json(self.request(Method::POST, "auth/logout", None), request)?;
        send(request).await.map(|_| ())
    }

    async fn push(&self, token: &str, request: &PushRequest) -> Result<PushAnswer, TransportError> {
        self.post("sync/push", Some(token), request).await
    }

    async fn pull(
        &self,
        token: &str,
        request: &PullRequest,
        sink: &mut dyn PageSink,
    ) -> Result<(), CoreError> {
        let to_send = self.request(Method::POST, "sync/pull", Some(token));
        let to_send = with_json(to_send.header(ACCEPT, COLUMNAR_MEDIA_TYPE), request)?;
        let response = send(to_send).await?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with(COLUMNAR_MEDIA_TYPE)) {
            let kind = kind.unwrap_or("nothing");
            return Err(
                TransportError::Garbage(format!("pages were asked for, {kind} came")).into()
            );
        }
        let mut body = Body::new(response)?;
        let mut frames = FrameReader::new();
        while let Some(bytes) = body.next().await? {
            frames.feed(&bytes);
            while let Some(page) =
                frames.next_page().map_err(|error| TransportError::Garbage(error.to_string()))?
            {
                sink.page(page).await?;
            }
        }
        if !frames.is_clean_end() {
            let reason = OfflineReason::Interrupted;
            return Err(TransportError::Offline { reason, maybe_sent: true }.into());
        }
        Ok(())
    }

    async fn conflicts(&self, token: &str, query: &str) -> Result<ConflictList, TransportError> {
        let path = if query.is_empty() { "conflicts".into() } else { format!("conflicts?{query}") };
        self.get(&path, token).await
    }

    async fn conflict(&self, token: &str, id: ConflictId) -> Result<Conflict, TransportError> {
        self.get(&format!("conflicts/{id}"), token).await
    }

    async fn review(
        &self,
        token: &str,
        id: ConflictId,
        request: &ReviewRequest,
    ) -> Result<Conflict, TransportError> {
        let to = |verb: &str| format!("conflicts/{id}/{verb}");
        match request {
            ReviewRequest::Claim(body) => self.post(&to("claim"), Some(token), body).await,
            ReviewRequest::Ask(body) => self.post(&to("ask"), Some(token), body).await,
            ReviewRequest::Answer(body) => self.post(&to("answer"), Some(token), body).await,
            ReviewRequest::Resolve(body) => self.post(&to("resolve"), Some(token), body).await,
            ReviewRequest::Undo(body) => self.post(&to("undo"), Some(token), body).await,
        }
    }

    async fn resolve_many(
        &self,
        token: &str,
        request: &ResolveManyRequest,
    ) -> Result<ResolveManyAnswer, TransportError> {
        self.post("conflicts/resolve", Some(token), request).await
    }
}
