//! `OPTIONS uploads`, and of an upload's own address: which tus this is.

use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::IntoResponse;
use axum::routing::options;

use super::tus::{BYTES_MAX_TEXT, CHECKSUM_ALGORITHMS, EXTENSIONS, TUS_VERSION, VERSION};
use crate::auth::permission::Access;
use crate::http::openapi::operation::{Answer, Operation};
use crate::http::openapi::tus::Tus;
use crate::http::route::Route;

/// Of all uploads.
pub(in crate::http) fn route() -> Route {
    at("/mobile/api/v1/uploads", "uploadOptions")
}

/// Of one.
pub(in crate::http) fn route_of_one() -> Route {
    at("/mobile/api/v1/uploads/{collection}/{id}/{variant}", "oneUploadOptions")
}

fn at(path: &'static str, id: &'static str) -> Route {
    Route {
        method: Method::OPTIONS,
        path,
        access: Access::Public,
        handler: options(handle),
        operation: Operation {
            id,
            tag: "photos",
            summary: "Which tus this is",
            description: "Version, extensions and limits of the uploads, in headers.",
            parameters: &[],
            request: None,
            answer: Answer::Tus(Tus {
                status: 204,
                sends: &[],
                answers: &[
                    "Tus-Version",
                    "Tus-Extension",
                    "Tus-Max-Size",
                    "Tus-Checksum-Algorithm",
                ],
                piece: false,
            }),
            problems: &[],
        },
    }
}

async fn handle() -> impl IntoResponse {
    let text = HeaderValue::from_static;
    let headers = [
        (TUS_VERSION, text(VERSION)),
        (HeaderName::from_static("tus-extension"), text(EXTENSIONS)),
        (HeaderName::from_static("tus-max-size"), BYTES_MAX_TEXT),
        (HeaderName::from_static("tus-checksum-algorithm"), text(CHECKSUM_ALGORITHMS)),
    ];
    (StatusCode::NO_CONTENT, headers)
}
