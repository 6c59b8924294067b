//! `POST sync/push`: edits of a device, answered by receipts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::post;
use sync_protocol::limits::PUSH_BODY_BYTES_MAX;
use sync_protocol::wire::push::{PushAnswer, PushRequest};

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
        path: "/mobile/api/v1/sync/push",
        access: Access::Authenticated,
        handler: post(handle),
        operation: Operation {
            id: "push",
            tag: "sync",
            summary: "Send edits",
            description: "Transactions in the order in which they were made, each atomic, each \
                          applied at most once by its id: whatever is not sure to have arrived is \
                          sent again. The answer has a receipt for each; a refusal of one says \
                          nothing about the others.",
            parameters: &[],
            request: Some("PushRequest"),
            answer: Answer::Json("PushAnswer"),
            problems: &[
                (403, "device_required"),
                (403, "stream_foreign"),
                (413, "too_many_transactions"),
                (413, "transaction_too_large"),
                (409, "stream_moved"),
                (413, "too_many_attempts"),
            ],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(request): JsonBody<PushRequest, PUSH_BODY_BYTES_MAX>,
) -> Result<Json<PushAnswer>, Refusal> {
    let answer = crate::push::push(app.push_context(&caller), request).await?;
    app.metrics.pushed(&answer);
    Ok(Json(answer))
}
