//! `GET /metrics`, on an address of its own: what the server counts, for Prometheus. It asks for no token, so
//! the address is for the machine or the network of who runs the server.

use axum::Router;
use axum::http::header;
use axum::routing::get;

use crate::metrics::Metrics;

/// The media type of OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The router of that address.
pub fn router(metrics: &Metrics) -> Router {
    let metrics = metrics.clone();
    let answer = move || async move { ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.text()) };
    Router::new().route("/metrics", get(answer))
}
