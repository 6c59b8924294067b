//! The HTTP API under `/mobile/api/v1`.
//!
//! The folder is the URL and the file is what is done there; each file reads in one order: its
//! entry in the OpenAPI document, the handler, tests. A request's way:
//!
//! ```text
//!  connection ─► id and span ─ panic guard ─ time limit ─► route's Access ─► body, turn ─► domain ─► answer
//!  connections/  guard.rs ────────────────────────────►   route.rs      body.rs, limits/
//! ```
//!
//! [`routes`] is the one list: router, OpenAPI document and the tests that try every endpoint with
//! bad tokens are made from it, so a new endpoint cannot be forgotten by any of them. Every refusal
//! is a problem document ([`problem`]).

pub mod app;
pub mod auth;
pub mod body;
pub mod conflicts;
pub mod connections;
pub mod extract;
pub mod guard;
pub mod health;
pub mod json_depth;
pub mod limits;
pub mod metrics;
pub mod openapi;
pub mod photos;
pub mod problem;
pub mod receipts;
pub mod route;
pub mod schema;
pub mod sync;
pub mod uploads;
pub mod users;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use sync_protocol::problem::Problem;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

pub use app::{App, HttpSettings};
use problem::Refusal;
use route::Route;

/// Where the API begins.
pub const PREFIX: &str = "/mobile/api/v1";
/// Answers shorter than this are not worth compressing, in bytes.
const COMPRESSED_FROM_BYTES: u64 = 512;

/// Every endpoint.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        health::route(),
        openapi::route(),
        auth::login::route(),
        auth::refresh::route(),
        auth::logout::route(),
        schema::route(),
        sync::push::route(),
        sync::pull::route(),
        sync::compare::route(),
        sync::events::route(),
        receipts::route(),
        users::view::route(),
        conflicts::list::route(),
        conflicts::show::route(),
        conflicts::claim::route(),
        conflicts::ask::route(),
        conflicts::answer::route(),
        conflicts::resolve::route(),
        conflicts::resolve_many::route(),
        conflicts::undo::route(),
        uploads::options::route(),
        uploads::options::route_of_one(),
        uploads::create::route(),
        uploads::head::route(),
        uploads::append::route(),
        uploads::terminate::route(),
        photos::missing::route(),
        photos::show::route(),
    ]
}

/// The router of all endpoints.
pub fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for route in routes() {
        router = router.route(route.path, route.guarded(app));
    }
    let routed = router
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(app.clone())
        .layer(from_fn_with_state(app.clone(), guard::time_limit))
        .layer(guard::panics())
        .layer(from_fn(uploads::tus::resumable))
        .layer(CompressionLayer::new().compress_when(worth_compressing()))
        .layer(from_fn_with_state(app.clone(), guard::span));
    // A router's layers come after its choice of a route, for which the method must be known.
    Router::new().fallback_service(routed).layer(from_fn(uploads::method::overridden))
}

/// Pages in the binary form compress themselves, frame by frame, so that none waits in a buffer; nor may
/// an event. Pictures are as small as they get.
fn worth_compressing() -> impl Predicate {
    SizeAbove::new(COMPRESSED_FROM_BYTES)
        .and(NotForContentType::const_new(sync_protocol::wire::pull::COLUMNAR_MEDIA_TYPE))
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES)
}

async fn not_found(uri: Uri) -> Refusal {
    let what = if uri.path().starts_with(PREFIX) {
        format!("see {PREFIX}/openapi.json for what there is")
    } else {
        format!("the API begins at {PREFIX}")
    };
    Refusal(Problem::new(404, "not_found", "There is nothing at this address").detail(what))
}

async fn method_not_allowed(method: Method) -> Refusal {
    Refusal(
        Problem::new(405, "method_not_allowed", "This address does not know that method")
            .detail(format!("{method} is not possible here; the header `Allow` says what is")),
    )
}
