//! `POST conflicts/{id}/resolve`: decides a conflict.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::post;
use sync_protocol::ConflictId;
use sync_protocol::wire::review::{Conflict, ResolveRequest};

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
        path: "/mobile/api/v1/conflicts/{id}/resolve",
        access: Access::Needs(review::RESOLVE_PERMISSION),
        handler: post(handle),
        operation: Operation {
            id: "resolveConflict",
            tag: "review",
            summary: "Decide a conflict",
            description: "The decision names the revision that it was taken on. It reaches every device as any change does, and the receipts of the edits say what became of them.",
            parameters: &[],
            request: Some("ResolveRequest"),
            answer: Answer::Json("Conflict"),
            problems: &[
                (403, "field_forbidden"),
                (403, "out_of_scope"),
                (404, "unknown_conflict"),
                (409, "conflict_changed"),
                (409, "conflict_closed"),
                (422, "constraint_failed"),
                (422, "duplicate_key"),
                (422, "field_read_only"),
                (422, "field_required"),
                (422, "nul_character"),
                (422, "out_of_range"),
                (422, "text_missing"),
                (422, "too_deep"),
                (422, "too_long"),
                (422, "too_many_elements"),
                (422, "unknown_candidate"),
                (422, "unknown_field"),
                (422, "unknown_reference"),
                (422, "wrong_type"),
            ],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<ConflictId>,
    JsonBody(request): JsonBody<ResolveRequest>,
) -> Result<Json<Conflict>, Refusal> {
    Ok(Json(review::resolve(app.review_context(&caller), id, request).await?))
}
