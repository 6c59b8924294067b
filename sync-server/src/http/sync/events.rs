//! `GET sync/events`: says when a pull would bring something, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use sync_protocol::wire::events::{ENDED, Ended, MOVED, OPENED};

use crate::auth::authenticate::Proof;
use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::events::{Listening, Signal};
use crate::http::app::App;
use crate::http::openapi::operation::{Answer, Operation};
use crate::http::problem::Refusal;
use crate::http::route::Route;

/// The mark that a client comes back with.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How long a client should wait before it comes back.
const RETRY: Duration = Duration::from_secs(3);
/// nginx keeps answers back otherwise.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::GET,
        path: "/mobile/api/v1/sync/events",
        access: Access::Authenticated,
        handler: get(handle),
        operation: Operation {
            id: "events",
            tag: "sync",
            summary: "Hear when a pull would bring something",
            description: "Server-sent events. `opened` begins the stream: pull once, and from then \
                          on only when `moved` comes, or now and then by a timer, because events are \
                          hints. A client that comes back with `Last-Event-ID` is told at once what \
                          moved meanwhile. `ended` says why the server ends the stream: come back \
                          with a good token.",
            parameters: &[],
            request: None,
            answer: Answer::Events(&["EventMoved", "EventEnded"]),
            problems: &[(429, "too_many_listeners")],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    Extension(proof): Extension<Proof>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    // A mark that is no text is one that nobody gave out.
    let mark = headers.get(LAST_EVENT_ID).map(|mark| mark.to_str().unwrap_or_default());
    let listening = app.events.listen(&caller, proof, mark).await?;
    let mut response = Sse::new(futures::stream::unfold(listening, next)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

async fn next(mut listening: Listening) -> Option<(Result<Event, Infallible>, Listening)> {
    let (signal, mark) = listening.next().await?;
    let event = match signal {
        Signal::Opened => Event::default().event(OPENED).data("{}").retry(RETRY),
        Signal::Moved(moved) => json(MOVED, &moved),
        Signal::Quiet => Event::default().comment("quiet"),
        Signal::Ended(code) => json(ENDED, &Ended { code: code.to_owned() }),
    };
    let event = match mark {
        Some(mark) => event.id(mark.as_ref()),
        None => event,
    };
    Some((Ok(event), listening))
}

fn json(name: &str, data: &impl Serialize) -> Event {
    // Names and numbers: that cannot fail, and has no line break.
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}
