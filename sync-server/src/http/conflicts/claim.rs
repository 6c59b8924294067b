//! `POST conflicts/{id}/claim`: takes a conflict, or gives it back.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::post;
use sync_protocol::ConflictId;
use sync_protocol::wire::review::{ClaimRequest, Conflict};

use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::body::JsonBody;
use crate::http::extract::PathId;
use crate::http::openapi::operation::{Answer, Operation};
use crate::http::problem::Refusal;
use crate::http::route::Route;
use crate::review;

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::POST,
        path: "/mobile/api/v1/conflicts/{id}/claim",
        access: Access::Needs(review::RESOLVE_PERMISSION),
        handler: post(handle),
        operation: Operation {
            id: "claimConflict",
            tag: "review",
            summary: "Take a conflict, or give it back",
            description: "So that two supervisors do not work on the same one.",
            parameters: &[],
            request: Some("ClaimRequest"),
            answer: Answer::Json("Conflict"),
            problems: &[
                (404, "unknown_conflict"),
                (409, "conflict_claimed"),
                (409, "conflict_closed"),
            ],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<ConflictId>,
    JsonBody(request): JsonBody<ClaimRequest>,
) -> Result<Json<Conflict>, Refusal> {
    Ok(Json(review::claim(app.review_context(&caller), id, request).await?))
}
