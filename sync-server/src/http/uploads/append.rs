//! `PATCH uploads/{collection}/{id}/{variant}`: the next bytes of a picture.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::patch;
use sync_protocol::planted::{self, Bug};

use super::head::unknown;
use super::receive::{Piece, drain, receive};
use super::tus::{self, PathPhoto, Refused, UPLOAD_OFFSET};
use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::limits::Ticket;
use crate::http::openapi::operation::{Answer, Operation};
use crate::http::openapi::tus::Tus;
use crate::http::route::Route;
use crate::photos::intake::{elsewhere, too_long};
use crate::photos::permit::{Permitted, Purpose, permit};
use crate::photos::upload::{Standing, standing};

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::PATCH,
        path: "/mobile/api/v1/uploads/{collection}/{id}/{variant}",
        access: Access::Authenticated,
        handler: patch(handle),
        operation: Operation {
            id: "appendUpload",
            tag: "photos",
            summary: "Send the next bytes of a picture",
            description: "From `Upload-Offset` on. What arrives is kept also when the connection is cut, \
                          except of a piece with `Upload-Checksum`. With the last byte the picture is \
                          checked; when this is answered, it is stored.",
            parameters: &[],
            request: None,
            answer: Answer::Tus(Tus {
                status: 204,
                sends: &["Tus-Resumable", "Upload-Offset", "Upload-Checksum"],
                answers: &["Upload-Offset", "Upload-Expires"],
                piece: true,
            }),
            problems: &[
                (400, "bad_header"),
                (403, "forbidden"),
                (404, "unknown_photo"),
                (404, "unknown_upload"),
                (409, "upload_offset"),
                (413, "upload_too_long"),
                (422, "photo_mismatch"),
                (422, "photo_not_an_image"),
                (422, "photo_too_large"),
                (460, "upload_checksum"),
            ],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    photo: PathPhoto,
    Extension(ticket): Extension<Arc<Ticket>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let (permitted, offset) = match admit(&app, &caller, &ticket, &photo, &headers).await {
        Ok(admitted) => admitted,
        Err(refused) => {
            drain(&ticket, body).await;
            return Err(refused);
        }
    };
    let length = permitted.expected.bytes;
    if offset == length {
        return Ok(tus::progress(StatusCode::NO_CONTENT, &Standing::Done, length));
    }
    let checksum = tus::checksum(&headers)?;
    let piece = Piece { permitted, offset, skip: 0, checksum, body };
    let standing = receive(app.clone(), caller, ticket, piece).await?;
    Ok(tus::progress(StatusCode::NO_CONTENT, &standing, length))
}

/// What has to hold before the first byte is read. Answers the offset, which is the length if there is
/// nothing to do.
async fn admit(
    app: &App,
    caller: &Caller,
    ticket: &Ticket,
    photo: &PathPhoto,
    headers: &HeaderMap,
) -> Result<(Permitted, u64), Refused> {
    tus::check_version(headers)?;
    tus::check_piece(headers)?;
    let offset = tus::bytes(headers, &UPLOAD_OFFSET)?;
    tus::checksum(headers)?;
    ticket.begin().await?;
    let context = app.photo_context(caller);
    let permitted = permit(context, &photo.key(caller.tenant)?, Purpose::Write).await?;
    let length = permitted.expected.bytes;
    let present = standing(context, &permitted).await?;
    let end = match &present {
        Standing::Absent => return Err(unknown().into()),
        Standing::Arriving(parts) => parts.end,
        Standing::Done => length,
    };
    let offset = if planted::is(Bug::DoubledPieceKept) { end } else { offset };
    if offset != end {
        return Err(Refused::at(elsewhere(), Some(end)));
    }
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|text| text.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: u64| bytes > length - offset) {
        return Err(Refused::at(too_long(length), Some(end)));
    }
    Ok((permitted, offset))
}
