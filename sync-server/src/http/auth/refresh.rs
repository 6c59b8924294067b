//! `POST auth/refresh`: the next access token.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::post;
use sync_protocol::wire::auth::{RefreshRequest, Session};

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
        path: "/mobile/api/v1/auth/refresh",
        access: Access::Public,
        handler: post(handle),
        operation: Operation {
            id: "refresh",
            tag: "auth",
            summary: "Exchange a refresh token",
            description: "The token that was sent stays good for this device until the new one is \
                          used, because answers get lost. One that comes again after that was \
                          copied, and ends the session.",
            parameters: &[],
            request: Some("RefreshRequest"),
            answer: Answer::Json("Session"),
            problems: &[
                (401, "refresh_token_invalid"),
                (401, "refresh_token_reused"),
                (401, "account_disabled"),
                (401, "device_revoked"),
            ],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    JsonBody(request): JsonBody<RefreshRequest>,
) -> Result<Json<Session>, Refusal> {
    Ok(Json(app.sessions.refresh(request).await?))
}
