//! Sending pages: one as JSON, or many as a stream of binary frames.
//!
//! A stream is made by a task of its own, which holds the snapshot, and read by the connection:
//!
//! ```text
//!  pull() ── page ──► frame ──► channel ([`FRAMES_AHEAD`]) ──► connection ──► phone
//!     ▲                            │ full: waits
//!     └── "one more?" ◄────────────┘ no: time is up, the server stops, the phone is gone
//! ```
//!
//! A page is encoded by another thread while the task reads the next one. The channel is short, so memory does not grow with the size of a sync, and a phone that reads
//! slowly slows the task down. It cannot do so for ever: when the stream's time is up it ends after
//! the page at hand, properly; when not even that page is taken in [`LAST_PAGE_TIME`], the task
//! gives up. Either way the phone goes on from the last page that it has.
//!
//! What goes wrong before the first page is answered as a problem document. Later it can only be
//! told by breaking the stream off, which HTTP makes visible to the phone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sync_protocol::columnar;
use sync_protocol::problem::Problem;
use sync_protocol::wire::pull::{COLUMNAR_MEDIA_TYPE, PullPage, PullRequest};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::auth::caller::Caller;
use crate::http::app::App;
use crate::http::problem::Refusal;
use crate::pull::{PageSink, pull};

/// Frames that are ready while the connection still sends one.
const FRAMES_AHEAD: usize = 2;
/// How long a page may wait for its reader after the stream's time is up.
const LAST_PAGE_TIME: Duration = Duration::from_secs(30);

/// Answers one page as JSON.
///
/// # Errors
/// What [`pull`] refuses; `busy`.
pub(super) async fn one_as_json(
    app: &App,
    caller: &Caller,
    request: PullRequest,
) -> Result<Response, Refusal> {
    let _turn = app.turns.pull(caller.tenant, caller.user).await?;
    let mut sink = FirstPage(None);
    let wanted = request.refetch.clone();
    pull(&*app.store, &*app.clock, caller, request, &mut sink).await?;
    app.metrics.refetched(&wanted);
    let page = sink.0.ok_or_else(no_page)?;
    let schema = app.store.schema().clone();
    // Beside the threads that serve the others: a page is long.
    let json = move || columnar::page_to_json_bytes(&page, &schema);
    let body = tokio::task::spawn_blocking(json).await.map_err(|_| no_page())?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Answers a stream of frames up to the checkpoint.
///
/// # Errors
/// What [`pull`] refuses before the first page; `busy`.
pub(super) async fn stream(
    app: Arc<App>,
    caller: Caller,
    request: PullRequest,
) -> Result<Response, Refusal> {
    let turn = app.turns.pull(caller.tenant, caller.user).await?;
    let (frames, mut ready) = mpsc::channel::<Result<Bytes, Problem>>(FRAMES_AHEAD);
    let task = async move {
        let _turn = turn;
        let ends = Instant::now() + app.settings.stream_time_max;
        let mut sink = Frames { app: &app, frames: frames.clone(), ends };
        let wanted = request.refetch.clone();
        match pull(&*app.store, &*app.clock, &caller, request, &mut sink).await {
            Ok(()) => app.metrics.refetched(&wanted),
            Err(problem) => {
                // The reader may be gone; then there is nobody to tell.
                let _ = frames.send(Err(problem)).await;
            }
        }
    };
    tokio::spawn(task.in_current_span());
    let first = ready.recv().await.ok_or_else(no_page)??;
    let rest = futures::stream::unfold(ready, |mut ready| async move {
        let frame = ready.recv().await?;
        Some((frame.map_err(|problem| BrokenOff(problem.code)), ready))
    });
    let frames = futures::StreamExt::chain(futures::stream::iter([Ok(first)]), rest);
    let mut response = Body::from_stream(frames).into_response();
    let media_type = HeaderValue::from_static(COLUMNAR_MEDIA_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    Ok(response)
}

/// Ends the body so that the phone notices that it is not whole.
#[derive(Debug, thiserror::Error)]
#[error("the stream of pages was broken off: {0}")]
struct BrokenOff(String);

struct FirstPage(Option<PullPage>);

#[async_trait]
impl PageSink for FirstPage {
    async fn page(&mut self, page: PullPage) -> bool {
        self.0 = Some(page);
        false
    }
}

struct Frames<'a> {
    app: &'a App,
    frames: mpsc::Sender<Result<Bytes, Problem>>,
    ends: Instant,
}

#[async_trait]
impl PageSink for Frames<'_> {
    async fn page(&mut self, page: PullPage) -> bool {
        // Beside the task, which reads the next page meanwhile.
        let encoded = tokio::task::spawn_blocking(move || columnar::encode_frame(&page));
        let Ok(frame) = encoded.await.map(Bytes::from) else { return false };
        let sent = self.frames.send(Ok(frame));
        let taken = tokio::time::timeout_at(self.ends + LAST_PAGE_TIME, sent).await;
        matches!(taken, Ok(Ok(())))
            && Instant::now() < self.ends
            && !self.app.stopping.is_cancelled()
    }
}

fn no_page() -> Problem {
    Problem::new(500, "internal", "The server failed").retryable()
}
