//! `GET /healthz`: whether this server can do its work, for load balancers and people.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::get;
use serde_json::{Value, json};
use sync_protocol::problem::Problem;

use super::app::App;
use super::openapi::operation::{Answer, Operation};
use super::problem::Refusal;
use super::route::Route;
use crate::auth::permission::Access;

/// The endpoint.
pub(super) fn route() -> Route {
    Route {
        method: Method::GET,
        path: "/healthz",
        access: Access::Public,
        handler: get(handle),
        operation: Operation {
            id: "health",
            tag: "about",
            summary: "Whether the server can do its work",
            description: "Asks the database. A server that is being stopped says no, so that a \
                          load balancer sends nobody there any more.",
            parameters: &[],
            request: None,
            answer: Answer::Json("Health"),
            problems: &[(503, "unhealthy")],
        },
    }
}

async fn handle(State(app): State<Arc<App>>) -> Result<Json<Value>, Refusal> {
    if app.stopping.is_cancelled() {
        return Err(unhealthy("the server is being stopped").into());
    }
    // Any question that goes to the database; the answer does not matter.
    app.store.tenant_by_slug("healthz").await.map_err(|error| {
        tracing::warn!(%error, "unhealthy");
        unhealthy("the database does not answer")
    })?;
    Ok(Json(json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "server_time_us": app.clock.now_us(),
    })))
}

fn unhealthy(why: &str) -> Problem {
    Problem::new(503, "unhealthy", "The server cannot work").detail(why).retryable()
}
