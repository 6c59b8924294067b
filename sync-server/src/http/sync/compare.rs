//! `POST sync/compare`: which rows of a scope differ, where digests say that some do.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::post;
use sync_protocol::wire::compare::{CompareAnswer, CompareRequest};

use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::body::JsonBody;
use crate::http::openapi::operation::{Answer, Operation};
use crate::http::problem::Refusal;
use crate::http::route::Route;

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::POST,
        path: "/mobile/api/v1/sync/compare",
        access: Access::Authenticated,
        handler: post(handle),
        operation: Operation {
            id: "compare",
            tag: "sync",
            summary: "Find rows that differ",
            description: "For a device whose rows do not have the digest that a checkpoint told: the ids and \
                          versions of the rows in the buckets that differ. The rows themselves come by \
                          `refetch` with the next pull, so that they fit its checkpoint.",
            parameters: &[],
            request: Some("CompareRequest"),
            answer: Answer::Json("CompareAnswer"),
            problems: &[
                (400, "buckets_malformed"),
                (400, "unknown_collection"),
                (404, "unknown_scope"),
            ],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(request): JsonBody<CompareRequest>,
) -> Result<Json<CompareAnswer>, Refusal> {
    // It reads as much as a pull, and holds a snapshot as long.
    let _turn = app.turns.pull(caller.tenant, caller.user).await?;
    // One without digests is to look at rows that may be right.
    let digests_of = request.buckets.as_ref().map(|_| request.collection.clone());
    let answer = crate::pull::compare::compare(&*app.store, &caller, request).await?;
    if let Some(collection) = digests_of {
        app.metrics.compared(&collection, &answer);
    }
    Ok(Json(answer))
}
