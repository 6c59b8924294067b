//! `POST conflicts/resolve`: decides many conflicts, each on its own.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::post;
use sync_protocol::wire::review::{ResolveManyAnswer, ResolveManyRequest};

use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::body::JsonBody;
use crate::http::openapi::operation::{Answer, Operation};
use crate::http::problem::Refusal;
use crate::http::route::Route;
use crate::review;

/// Longest body, in bytes: as many decisions as one request may hold, with a text each.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::POST,
        path: "/mobile/api/v1/conflicts/resolve",
        access: Access::Needs(review::RESOLVE_PERMISSION),
        handler: post(handle),
        operation: Operation {
            id: "resolveConflicts",
            tag: "review",
            summary: "Decide many conflicts",
            description: "Each on its own: the answer says for each what became of it.",
            parameters: &[],
            request: Some("ResolveManyRequest"),
            answer: Answer::Json("ResolveManyAnswer"),
            problems: &[(413, "too_many_conflicts")],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(request): JsonBody<ResolveManyRequest, BODY_BYTES_MAX>,
) -> Result<Json<ResolveManyAnswer>, Refusal> {
    Ok(Json(review::resolve_many(app.review_context(&caller), request).await?))
}
