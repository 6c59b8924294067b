//! `HEAD uploads/{collection}/{id}/{variant}`: how far an upload is.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::routing::head;
use sync_protocol::problem::Problem;

use super::tus::{self, PathPhoto, Refused, UPLOAD_LENGTH};
use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::openapi::operation::{Answer, Operation};
use crate::http::openapi::tus::Tus;
use crate::http::route::Route;
use crate::photos::permit::{Purpose, permit};
use crate::photos::upload::{Standing, standing};

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::HEAD,
        path: "/mobile/api/v1/uploads/{collection}/{id}/{variant}",
        access: Access::Authenticated,
        handler: head(handle),
        operation: Operation {
            id: "uploadProgress",
            tag: "photos",
            summary: "How far an upload is",
            description: "`Upload-Offset` is where to go on. An upload that was never begun, or was \
                          given up, is 404: begin it.",
            parameters: &[],
            request: None,
            answer: Answer::Tus(Tus {
                status: 200,
                sends: &["Tus-Resumable"],
                answers: &["Upload-Offset", "Upload-Length", "Upload-Expires"],
                piece: false,
            }),
            problems: &[
                (403, "forbidden"),
                (404, "unknown_photo"),
                (404, "unknown_upload"),
                (422, "photo_mismatch"),
                (422, "photo_not_an_image"),
                (422, "photo_too_large"),
            ],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    photo: PathPhoto,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    tus::check_version(&headers)?;
    let context = app.photo_context(&caller);
    let permitted = permit(context, &photo.key(caller.tenant)?, Purpose::Write).await?;
    let length = permitted.expected.bytes;
    let standing = match standing(context, &permitted).await? {
        Standing::Absent => return Err(unknown().into()),
        standing => standing,
    };
    let mut response = tus::progress(StatusCode::OK, &standing, length);
    response.headers_mut().insert(UPLOAD_LENGTH, length.into());
    Ok(response)
}

/// The answer to who goes on with an upload that is not there.
pub(super) fn unknown() -> Problem {
    Problem::new(404, "unknown_upload", "This upload has not begun, or was given up")
        .detail("begin it with POST")
}
