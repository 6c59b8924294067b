//! What holds for every request: an id and a span, a time limit, and no panic that gets out.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Response as HttpResponse, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sync_protocol::problem::Problem;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;

use super::app::App;
use super::problem::Refusal;

/// Names a request in logs and answers; a client or proxy may have named it already.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Gives a request its id and span, and logs its end: never what it holds.
pub async fn span(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let route = route.to_owned();
    let span = tracing::info_span!(
        "request",
        id = %id.to_str().unwrap_or_default(),
        method = %request.method(),
        route,
        tenant = tracing::field::Empty,
        user = tracing::field::Empty,
        device = tracing::field::Empty,
        code = tracing::field::Empty,
    );
    let began = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    span.in_scope(|| tracing::info!(status, milliseconds));
    app.metrics.request(&route, status);
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    // Answers are somebody's own; nothing on the way may keep them.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if app.stopping.is_cancelled() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn request_id(request: &Request) -> HeaderValue {
    let acceptable = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        !bytes.is_empty()
            && bytes.len() <= REQUEST_ID_BYTES_MAX
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
    };
    if let Some(given) = request.headers().get(REQUEST_ID).filter(acceptable) {
        return given.clone();
    }
    HeaderValue::try_from(uuid::Uuid::new_v4().to_string())
        .unwrap_or(HeaderValue::from_static("unnamed"))
}

/// Ends a request whose answer does not begin in time. What it had begun changes nothing.
pub async fn time_limit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(app.settings.request_time_max, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!("request took too long");
            let seconds = app.settings.request_time_max.as_secs();
            Refusal(
                Problem::new(503, "timeout", "The request took too long")
                    .detail(format!("it was given {seconds} s; send the same again, or less of it"))
                    .retryable(),
            )
            .into_response()
        }
    }
}

/// Makes the answer to a panic.
type AnswerToPanic = fn(Box<dyn Any + Send + 'static>) -> HttpResponse<axum::body::Body>;

/// Turns a panic into an answer without details.
#[must_use]
pub fn panics() -> CatchPanicLayer<AnswerToPanic> {
    CatchPanicLayer::custom(panicked)
}

fn panicked(_what: Box<dyn Any + Send + 'static>) -> HttpResponse<axum::body::Body> {
    // The panic's own text went to the log through the panic hook; it may quote contents.
    tracing::error!("a request panicked");
    Refusal(
        Problem::new(500, "internal", "The server failed")
            .detail("send the same again later; the request's id finds this in the server's log"),
    )
    .into_response()
}
