//! `GET schema`: the collections and fields that the caller may see.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::get;
use serde::Serialize;
use sync_protocol::schema::Schema;

use super::app::App;
use super::openapi::operation::{Answer, Operation};
use super::route::Route;
use crate::auth::caller::Caller;
use crate::auth::permission::Access;

/// The endpoint.
pub(super) fn route() -> Route {
    Route {
        method: Method::GET,
        path: "/mobile/api/v1/schema",
        access: Access::Authenticated,
        handler: get(handle),
        operation: Operation {
            id: "schema",
            tag: "sync",
            summary: "The collections and fields that you may see",
            description: "A pull brings the same whenever its hash is not the one that the device \
                          names, so devices need not ask for it.",
            parameters: &[],
            request: None,
            answer: Answer::Json("VisibleSchema"),
            problems: &[],
        },
    }
}

/// The part of the schema that the caller may see.
#[derive(Debug, Serialize)]
struct VisibleSchema {
    /// The visibility hash.
    hash: String,
    /// Collections and fields, without roles.
    schema: Schema,
}

async fn handle(State(app): State<Arc<App>>, caller: Caller) -> Json<VisibleSchema> {
    let schema = app.store.schema().visible_to(|permission| caller.may(permission));
    Json(VisibleSchema { hash: schema.hash(), schema })
}
