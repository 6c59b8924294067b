//! An endpoint: where it is, who may use it, what it does, and what the OpenAPI document says.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodRouter;
use sync_protocol::problem::Problem;

use super::app::App;
use super::extract::{ClientAddress, bearer};
use super::limits::Ticket;
use super::limits::ticket::Asks;
use super::openapi::operation::Operation;
use super::problem::Refusal;
use crate::auth::permission::{self, Access};
use crate::auth::throttle::network;

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
            let admit = from_fn_with_state((app.clone(), self.path), admit_anybody);
            return self.handler.route_layer(admit);
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
    let now_us = app.clock.now_us();
    let proof = app.authenticator.proof(bearer(request.headers())?, now_us).await?;
    let lookup = app.turns.lookup(proof.tenant()).await?;
    let caller = app.authenticator.caller(proof.clone(), now_us).await?;
    drop(lookup);
    let span = tracing::Span::current();
    span.record("tenant", tracing::field::display(caller.tenant));
    span.record("user", tracing::field::display(caller.user));
    if let Some(device) = caller.device {
        span.record("device", tracing::field::display(device));
    }
    permission::check(access, &caller).map_err(|problem: Problem| Refusal(problem))?;
    let asks = Asks::User(caller.tenant, caller.user);
    request.extensions_mut().insert(caller);
    // For streams, which ask again while they last.
    request.extensions_mut().insert(proof);
    answer(app, asks, request, next).await
}

/// Request → address → handler, which finds out by itself whether the request proves something.
async fn admit_anybody(
    State((app, path)): State<(Arc<App>, &'static str)>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let ClientAddress(from) = ClientAddress::of(&app, request.extensions(), request.headers());
    answer(app, Asks::Anybody(network(from), path), request, next).await
}

/// Runs the handler within the caller's limits.
async fn answer(
    app: Arc<App>,
    asks: Asks,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let ticket = Arc::new(Ticket::new(app, asks));
    if matches!(*request.method(), Method::POST | Method::PATCH) {
        // The turn is the body reader's to take, when the body is here.
        request.extensions_mut().insert(ticket.clone());
    } else {
        ticket.begin().await?;
    }
    let response = next.run(request).await;
    Ok(ticket.answered(response)?)
}
