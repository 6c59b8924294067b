//! `POST auth/logout`: ends a session.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::post;
use sync_protocol::wire::auth::LogoutRequest;

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
        path: "/mobile/api/v1/auth/logout",
        access: Access::Public,
        handler: post(handle),
        operation: Operation {
            id: "logout",
            tag: "auth",
            summary: "End a session",
            description: "Ends every refresh token since the login. A token that is not known is \
                          as good as ended. Access tokens run out by themselves.",
            parameters: &[],
            request: Some("LogoutRequest"),
            answer: Answer::Empty,
            problems: &[],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    JsonBody(request): JsonBody<LogoutRequest>,
) -> Result<StatusCode, Refusal> {
    app.sessions.logout(request).await?;
    Ok(StatusCode::NO_CONTENT)
}
