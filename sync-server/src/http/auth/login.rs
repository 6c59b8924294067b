//! `POST auth/login`: begins a session.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::post;
use sync_protocol::wire::auth::{LoginRequest, Session};

use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::body::JsonBody;
use crate::http::extract::ClientAddress;
use crate::http::openapi::operation::{Answer, Operation};
use crate::http::problem::Refusal;
use crate::http::route::Route;

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::POST,
        path: "/mobile/api/v1/auth/login",
        access: Access::Public,
        handler: post(handle),
        operation: Operation {
            id: "login",
            tag: "auth",
            summary: "Log in on a device",
            description: "Registers the device if its id is new. Company, user and password are \
                          checked in one: the answer does not say which of them was wrong.",
            parameters: &[],
            request: Some("LoginRequest"),
            answer: Answer::Json("Session"),
            problems: &[
                (401, "login_failed"),
                (401, "account_disabled"),
                (401, "device_revoked"),
                (422, "too_long"),
                (422, "nul_character"),
                (429, "login_throttled"),
            ],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    ClientAddress(from): ClientAddress,
    JsonBody(request): JsonBody<LoginRequest>,
) -> Result<Json<Session>, Refusal> {
    Ok(Json(app.sessions.login(request, from).await?))
}
