//! An endpoint: where it is, who may use it, what it does, and what the OpenAPI document says.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodRouter;
use sync_protocol::problem::Problem;

use super::app::App;
use super::extract::bearer;
use super::openapi::operation::Operation;
use super::problem::Refusal;
use crate::auth::permission::{self, Access};

/// One endpoint.
pub struct Route {
    /// The verb.
    pub method: Method,
    /// The whole path, with `{id}` for ids.
    pub path: &'static str,
    /// What a request needs before the handler runs.
    pub access: Access,
    /// The handler.
    pub handler: MethodRouter<Arc<App>>,
    /// What it does, for people and generators.
    pub operation: Operation,
}

impl Route {
    /// The handler behind the check of the route's access.
    pub fn guarded(self, app: &Arc<App>) -> MethodRouter<Arc<App>> {
        if self.access == Access::Public {
            return self.handler;
        }
        self.handler.route_layer(from_fn_with_state((app.clone(), self.access), admit))
    }
}

/// Request → token → account and device → permission → handler.
async fn admit(
    State((app, access)): State<(Arc<App>, Access)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let caller = app.authenticator.caller(bearer(request.headers())?, app.clock.now_us()).await?;
    let span = tracing::Span::current();
    span.record("tenant", tracing::field::display(caller.tenant));
    span.record("user", tracing::field::display(caller.user));
    if let Some(device) = caller.device {
        span.record("device", tracing::field::display(device));
    }
    permission::check(access, &caller).map_err(|problem: Problem| Refusal(problem))?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}
