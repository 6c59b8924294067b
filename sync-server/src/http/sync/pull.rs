//! `POST sync/pull`: changes since a cursor, as one JSON page or as a stream of binary pages.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use axum::routing::post;
use sync_protocol::problem::Problem;
use sync_protocol::wire::pull::{COLUMNAR_MEDIA_TYPE, PullRequest};

use super::pages;
use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::body::JsonBody;
use crate::http::openapi::operation::{Answer, Operation};
use crate::http::problem::Refusal;
use crate::http::route::Route;
use sync_protocol::limits::PULL_BODY_BYTES_MAX;

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::POST,
        path: "/mobile/api/v1/sync/pull",
        access: Access::Authenticated,
        handler: post(handle),
        operation: Operation {
            id: "pull",
            tag: "sync",
            summary: "Receive changes",
            description: "As JSON one page; the next one begins at its `cursor`. With \
                          `Accept: application/vnd.campo.pull-pages` a stream of pages up to the \
                          checkpoint, which may end earlier, after any page: go on from the last \
                          page's cursor.",
            parameters: &[],
            request: Some("PullRequest"),
            answer: Answer::Pages,
            problems: &[
                (400, "page_size_out_of_range"),
                (400, "too_many_records"),
                (400, "unknown_collection"),
                (400, "cursor_malformed"),
                (403, "cursor_foreign"),
                (406, "not_acceptable"),
                (410, "cursor_history_ended"),
                (410, "cursor_visibility_changed"),
            ],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(request): JsonBody<PullRequest, PULL_BODY_BYTES_MAX>,
) -> Result<Response, Refusal> {
    match Form::of(&headers)? {
        Form::Json => pages::one_as_json(&app, &caller, request).await,
        Form::Binary => pages::stream(app, caller, request).await,
    }
}

/// In which form the caller wants pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Binary,
}

impl Form {
    /// The first form in `Accept` that exists. Weights are not looked at: who knows the binary
    /// form and names it, wants it.
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let accept: Vec<&str> = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|range| range.split(';').next().unwrap_or_default().trim())
            .filter(|range| !range.is_empty())
            .collect();
        if accept.iter().any(|range| range.eq_ignore_ascii_case(COLUMNAR_MEDIA_TYPE)) {
            return Ok(Self::Binary);
        }
        let json = ["*/*", "application/*", "application/json"];
        if accept.is_empty() || accept.iter().any(|range| json.contains(range)) {
            return Ok(Self::Json);
        }
        Err(Problem::new(406, "not_acceptable", "Pages do not come in that form")
            .detail(format!("accept `application/json` or `{COLUMNAR_MEDIA_TYPE}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_chosen_by_accept() {
        for (accept, expected) in [
            (None, Some(Form::Json)),
            (Some("*/*"), Some(Form::Json)),
            (Some("text/html, application/json;q=0.5"), Some(Form::Json)),
            (Some(COLUMNAR_MEDIA_TYPE), Some(Form::Binary)),
            (Some("application/json, application/vnd.campo.pull-pages"), Some(Form::Binary)),
            (Some("text/html"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(Form::of(&headers).ok(), expected, "{accept:?}");
        }
    }
}
