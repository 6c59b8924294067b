//! `GET receipts/{id}`: what became of a transaction, for its author and for supervisors.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::get;
use sync_protocol::ReceiptId;
use sync_protocol::problem::Problem;
use sync_protocol::wire::receipt::Receipt;

use super::app::App;
use super::extract::PathId;
use super::openapi::operation::{Answer, Operation};
use super::problem::Refusal;
use super::route::Route;
use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::review::receipt;

/// The endpoint.
pub(super) fn route() -> Route {
    Route {
        method: Method::GET,
        path: "/mobile/api/v1/receipts/{id}",
        access: Access::Authenticated,
        handler: get(handle),
        operation: Operation {
            id: "receipt",
            tag: "sync",
            summary: "What became of a transaction",
            description: "Your own, or with the permission `conflict:resolve` those of conflicts that you \
                          can see, without what you may not see.",
            parameters: &[],
            request: None,
            answer: Answer::Json("Receipt"),
            problems: &[(404, "unknown_receipt")],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<ReceiptId>,
) -> Result<Json<Receipt>, Refusal> {
    Ok(Json(receipt(app.review_context(&caller), id).await?.ok_or_else(unknown)?))
}

/// What is hidden and what does not exist get the same answer.
fn unknown() -> Problem {
    Problem::new(404, "unknown_receipt", "There is no such receipt")
        .detail("no transaction of that id has reached the server, or it is not yours to see")
}
