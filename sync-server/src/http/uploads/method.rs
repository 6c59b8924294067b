//! `X-HTTP-Method-Override`: the method of a request about uploads, from where proxies let only GET and POST
//! through. tus 1.0 demands it of a server.

use axum::extract::Request;
use axum::http::{HeaderName, Method};
use axum::middleware::Next;
use axum::response::Response;

use super::tus::is_of_uploads;

const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// Gives a request about uploads the method that it names, before it is routed.
pub async fn overridden(mut request: Request, next: Next) -> Response {
    if is_of_uploads(request.uri().path())
        && let Some(named) = request.headers_mut().remove(METHOD_OVERRIDE)
    {
        // What cannot be a method's name becomes one that nothing here knows.
        *request.method_mut() = Method::from_bytes(named.as_bytes()).unwrap_or(Method::TRACE);
    }
    next.run(request).await
}
