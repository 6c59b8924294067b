//! `GET conflicts/{id}`: one conflict.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::get;
use sync_protocol::ConflictId;
use sync_protocol::wire::review::Conflict;

use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::extract::PathId;
use crate::http::openapi::operation::{Answer, Operation};
use crate::http::problem::Refusal;
use crate::http::route::Route;
use crate::review;

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::GET,
        path: "/mobile/api/v1/conflicts/{id}",
        access: Access::Authenticated,
        handler: get(handle),
        operation: Operation {
            id: "conflict",
            tag: "review",
            summary: "One conflict",
            description: "One in your scopes, for supervisors; otherwise one with an edit of yours.",
            parameters: &[],
            request: None,
            answer: Answer::Json("Conflict"),
            problems: &[(404, "unknown_conflict")],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<ConflictId>,
) -> Result<Json<Conflict>, Refusal> {
    Ok(Json(review::show(app.review_context(&caller), id).await?))
}
