//! The protocol over HTTP: requests are encoded and packed, answers read and told apart. The bytes go
//! over an [`Exchange`].
//!
//! Errors are told apart by what the user can do about them: no DNS, no connection, no answer in
//! time, a broken connection, a busy server, an ended session, a problem that the server explains,
//! and anything that is not this protocol (a hotel's login page answers 200 with HTML).

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName,
    HeaderValue, RETRY_AFTER,
};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_protocol::ConflictId;
use sync_protocol::columnar::FrameReader;
use sync_protocol::problem::Problem;
use sync_protocol::wire::auth::{LoginRequest, LogoutRequest, RefreshRequest, Session};
use sync_protocol::wire::compare::{CompareAnswer, CompareRequest};
use sync_protocol::wire::events::{ENDED, EVENTS_MEDIA_TYPE, Ended, MOVED, Moved, OPENED};
use sync_protocol::wire::pull::{COLUMNAR_MEDIA_TYPE, PullRequest};
use sync_protocol::wire::push::{PushAnswer, PushRequest};
use sync_protocol::wire::review::{Conflict, ConflictList, ResolveManyAnswer, ResolveManyRequest};

use super::exchange::{Answer, Exchange, Request};
use super::reqwest::ReqwestExchange;
use super::sse::{EventReader, SseEvent};
use super::{
    Event, EventSink, OfflineReason, PageSink, ReviewRequest, Transport, TransportError, tus,
};
use crate::CoreError;
use crate::photos::PhotoName;

/// Bodies from this size on are compressed.
const COMPRESS_FROM_BYTES: usize = 1_024;
/// Compression of pushes: the fastest level takes most of the repetition out of JSON.
const ZSTD_LEVEL: i32 = 1;
/// Names the mark that a stream of events is resumed with.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Longest answer that is read as a whole.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Talks to one server.
#[derive(Clone)]
pub struct HttpTransport {
    exchange: Arc<dyn Exchange>,
}

impl HttpTransport {
    /// A transport to this address (`https://campo.example`), over the real network.
    ///
    /// # Errors
    /// [`CoreError::BadRequest`] when the address is none.
    pub fn new(server: &str) -> Result<Self, CoreError> {
        Ok(Self::over(Arc::new(ReqwestExchange::new(server)?)))
    }

    /// A transport over these exchanges.
    #[must_use]
    pub fn over(exchange: Arc<dyn Exchange>) -> Self {
        Self { exchange }
    }

    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        let answer = self.exchange.send(request).await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        Err(refusal(answer).await)
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T, TransportError> {
        let request = with_json(request(Method::POST, path, token)?, body)?;
        read_json(self.send(request).await?).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, token: &str) -> Result<T, TransportError> {
        read_json(self.send(request(Method::GET, path, Some(token))?).await?).await
    }
}

fn unsendable(error: impl std::fmt::Display) -> TransportError {
    TransportError::Garbage(format!("request: {error}"))
}

fn request(method: Method, path: &str, token: Option<&str>) -> Result<Request, TransportError> {
    let request =
        Request::new(method, path).header(ACCEPT_ENCODING, HeaderValue::from_static("zstd"));
    let Some(token) = token else { return Ok(request) };
    let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(unsendable)?;
    bearer.set_sensitive(true);
    Ok(request.header(AUTHORIZATION, bearer))
}

fn with_json(request: Request, body: &impl Serialize) -> Result<Request, TransportError> {
    let json = serde_json::to_vec(body).map_err(unsendable)?;
    let request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if json.len() < COMPRESS_FROM_BYTES {
        return Ok(Request { body: json.into(), ..request });
    }
    let packed = zstd::encode_all(json.as_slice(), ZSTD_LEVEL).map_err(unsendable)?;
    let request = request.header(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
    Ok(Request { body: packed.into(), ..request })
}

/// What an answer that is no success means.
async fn refusal(answer: Answer) -> TransportError {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after_s = answer.header(RETRY_AFTER).and_then(|value| value.parse().ok());
    let problem = match read_bytes(answer).await {
        Ok(bytes) => serde_json::from_slice::<Problem>(&bytes).ok(),
        Err(error) => return error,
    };
    match (status, problem) {
        (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, problem) => {
            TransportError::Busy { retry_after_s, problem: problem.map(Box::new) }
        }
        (StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT, None) => {
            TransportError::Busy { retry_after_s, problem: None }
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

async fn read_json<T: DeserializeOwned>(answer: Answer) -> Result<T, TransportError> {
    let bytes = read_bytes(answer).await?;
    serde_json::from_slice(&bytes).map_err(|error| TransportError::Garbage(error.to_string()))
}

async fn read_bytes(answer: Answer) -> Result<Vec<u8>, TransportError> {
    let mut all = Vec::new();
    let mut body = Body::new(answer)?;
    while let Some(bytes) = body.next().await? {
        if all.len() + bytes.len() > ANSWER_BYTES_MAX {
            return Err(TransportError::Garbage("an endless answer".to_owned()));
        }
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

/// What an event means. What a later server may say is nothing to this device.
fn event_of(event: &SseEvent) -> Event {
    match event.name.as_str() {
        OPENED => Event::Opened,
        // A hint that cannot be read is still one.
        MOVED => Event::Moved(
            serde_json::from_str(&event.data).unwrap_or(Moved { all: true, ..Moved::default() }),
        ),
        ENDED => Event::Ended(
            serde_json::from_str::<Ended>(&event.data).map(|ended| ended.code).unwrap_or_default(),
        ),
        _ => Event::Quiet,
    }
}

/// The body of an answer, decompressed piece by piece.
struct Body {
    stream: BoxStream<'static, Result<Bytes, TransportError>>,
    decoder: Option<zstd::stream::write::Decoder<'static, Vec<u8>>>,
}

impl Body {
    fn new(answer: Answer) -> Result<Self, TransportError> {
        let encoding = answer.headers.get(CONTENT_ENCODING).map(|value| value.as_bytes());
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
        Ok(Self { stream: answer.body, decoder })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        use std::io::Write as _;
        loop {
            let Some(bytes) = self.stream.next().await else { return Ok(None) };
            let bytes = bytes?;
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
        let request = with_json(self::request(Method::POST, "auth/logout", None)?, request)?;
        self.send(request).await.map(|_| ())
    }

    async fn push(&self, token: &str, request: &PushRequest) -> Result<PushAnswer, TransportError> {
        self.post("sync/push", Some(token), request).await
    }

    async fn compare(
        &self,
        token: &str,
        request: &CompareRequest,
    ) -> Result<CompareAnswer, TransportError> {
        self.post("sync/compare", Some(token), request).await
    }

    async fn pull(
        &self,
        token: &str,
        request: &PullRequest,
        sink: &mut dyn PageSink,
    ) -> Result<(), CoreError> {
        let to_send = self::request(Method::POST, "sync/pull", Some(token))?
            .header(ACCEPT, HeaderValue::from_static(COLUMNAR_MEDIA_TYPE));
        let answer = self.send(with_json(to_send, request)?).await?;
        let kind = answer.header(CONTENT_TYPE);
        if !kind.is_some_and(|kind| kind.starts_with(COLUMNAR_MEDIA_TYPE)) {
            let kind = kind.unwrap_or("nothing");
            return Err(
                TransportError::Garbage(format!("pages were asked for, {kind} came")).into()
            );
        }
        let mut body = Body::new(answer)?;
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

    async fn events(
        &self,
        token: &str,
        mark: Option<&str>,
        sink: &mut dyn EventSink,
    ) -> Result<(), TransportError> {
        let mut to_send = self::request(Method::GET, "sync/events", Some(token))?
            .header(ACCEPT, HeaderValue::from_static(EVENTS_MEDIA_TYPE));
        if let Some(mark) = mark {
            to_send =
                to_send.header(LAST_EVENT_ID, HeaderValue::try_from(mark).map_err(unsendable)?);
        }
        let answer = self.send(to_send).await?;
        let kind = answer.header(CONTENT_TYPE);
        if !kind.is_some_and(|kind| kind.starts_with(EVENTS_MEDIA_TYPE)) {
            let kind = kind.unwrap_or("nothing");
            return Err(TransportError::Garbage(format!("events were asked for, {kind} came")));
        }
        let mut body = Body::new(answer)?;
        let mut reader = EventReader::default();
        let mut told: Option<String> = None;
        while let Some(bytes) = body.next().await? {
            let events =
                reader.feed(&bytes).map_err(|error| TransportError::Garbage(error.to_string()))?;
            // Ids of earlier events in these bytes are older: the newest is good for all of them.
            let new = reader.id().filter(|id| told.as_deref() != Some(id)).map(str::to_owned);
            let last = events.len().saturating_sub(1);
            for (place, event) in events.into_iter().enumerate() {
                sink.event(event_of(&event), new.as_deref().filter(|_| place == last));
            }
            told = new.or(told);
        }
        Ok(())
    }

    async fn upload(
        &self,
        token: &str,
        name: &PhotoName,
        length: u64,
        first: Bytes,
    ) -> Result<u64, TransportError> {
        let request = tus::creation(
            self::request(Method::POST, "uploads", Some(token))?,
            name,
            length,
            first,
        )?;
        tus::offset(&self.send(request).await?)
    }

    async fn uploaded(&self, token: &str, name: &PhotoName) -> Result<Option<u64>, TransportError> {
        let request = self::request(Method::HEAD, &tus::path(name), Some(token))?;
        // The answer to HEAD has no body that could say why.
        let answer = self.exchange.send(tus::versioned(request)).await?;
        match answer.status {
            200 | 204 => tus::offset(&answer).map(Some),
            404 | 410 => Ok(None),
            401 => {
                let problem = Problem::new(401, "token_expired", "The session has ended");
                Err(TransportError::SessionEnded(Box::new(problem)))
            }
            status if (400..500).contains(&status) && status != 429 && tus::is_spoken(&answer) => {
                let code = if status == 403 { "forbidden" } else { "upload_refused" };
                let problem = Problem::new(status, code, "The server does not take this photo")
                    .detail(format!("it answered with status {status}, and may not say why"));
                Err(TransportError::Problem(Box::new(problem)))
            }
            _ => Err(refusal(answer).await),
        }
    }

    async fn upload_on(
        &self,
        token: &str,
        name: &PhotoName,
        offset: u64,
        bytes: Bytes,
    ) -> Result<u64, TransportError> {
        let request = self::request(Method::PATCH, &tus::path(name), Some(token))?;
        tus::offset(&self.send(tus::piece(request, offset, bytes)).await?)
    }

    async fn photo(&self, token: &str, name: &PhotoName) -> Result<Vec<u8>, TransportError> {
        let PhotoName { collection, record, variant } = name;
        let path = format!("photos/{collection}/{record}?variant={}", variant.as_str());
        read_bytes(self.send(request(Method::GET, &path, Some(token))?).await?).await
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
