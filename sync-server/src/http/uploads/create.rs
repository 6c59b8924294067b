//! `POST uploads`: begins the upload of a picture, or finds it begun; the body may be its bytes.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, HttpBody as _};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use sync_protocol::problem::Problem;

use super::receive::{Piece, drain, receive};
use super::tus::{self, Refused, UPLOAD_LENGTH};
use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::limits::Ticket;
use crate::http::openapi::operation::{Answer, Operation};
use crate::http::openapi::tus::Tus;
use crate::http::route::Route;
use crate::photos::intake::{Checksum, elsewhere};
use crate::photos::permit::{Permitted, Purpose, permit};
use crate::photos::record::mismatch;
use crate::photos::upload::{Standing, begin};

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::POST,
        path: "/mobile/api/v1/uploads",
        access: Access::Authenticated,
        handler: post(handle),
        operation: Operation {
            id: "beginUpload",
            tag: "photos",
            summary: "Begin to send a picture",
            description: "`Upload-Metadata` names `collection`, `id` and `variant` (`photo` or \
                          `thumbnail`) in base64; `Upload-Length` is the record's. You have one upload \
                          for each of them, so asking again is no second one: the answer says where it \
                          is and how far. The body may be the picture from its first byte on.",
            parameters: &[],
            request: None,
            answer: Answer::Tus(Tus {
                status: 201,
                sends: &["Tus-Resumable", "Upload-Length", "Upload-Metadata"],
                answers: &["Location", "Upload-Offset", "Upload-Expires"],
                piece: true,
            }),
            problems: &[
                (400, "bad_header"),
                (400, "malformed_id"),
                (403, "forbidden"),
                (404, "unknown_photo"),
                (409, "upload_offset"),
                (413, "photo_quota"),
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
    Extension(ticket): Extension<Arc<Ticket>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let has_piece = !body.is_end_stream();
    let begun = match admit(&app, &caller, &ticket, &headers, has_piece).await {
        Ok(begun) => begun,
        Err(refused) => {
            drain(&ticket, body).await;
            return Err(refused);
        }
    };
    let Begun { permitted, checksum, mut standing } = begun;
    let (key, length) = (permitted.key.clone(), permitted.expected.bytes);
    if let Standing::Arriving(parts) = &standing
        && has_piece
    {
        let piece = Piece { permitted, offset: parts.end, skip: parts.end, checksum, body };
        standing = receive(app.clone(), caller, ticket, piece).await?;
    } else {
        drain(&ticket, body).await;
    }
    let mut response = tus::progress(StatusCode::CREATED, &standing, length);
    let place =
        tus::location(&key).ok_or_else(|| Problem::new(500, "internal", "The server failed"))?;
    response.headers_mut().insert(header::LOCATION, place);
    Ok(response)
}

/// An upload that may go on.
struct Begun {
    permitted: Permitted,
    checksum: Option<Checksum>,
    standing: Standing,
}

/// What has to hold before the first byte is read.
async fn admit(
    app: &App,
    caller: &Caller,
    ticket: &Ticket,
    headers: &HeaderMap,
    has_piece: bool,
) -> Result<Begun, Refused> {
    tus::check_version(headers)?;
    let length = tus::bytes(headers, &UPLOAD_LENGTH)?;
    tus::check_length(length)?;
    let (collection, id, variant) = tus::metadata(headers)?;
    let key = tus::named(caller.tenant, &collection, &id, &variant)?;
    let checksum = tus::checksum(headers)?;
    if has_piece {
        tus::check_piece(headers)?;
    }
    ticket.begin().await?;
    let context = app.photo_context(caller);
    let permitted = permit(context, &key, Purpose::Write).await?;
    if length != permitted.expected.bytes {
        let expected = permitted.expected.bytes;
        return Err(mismatch(format!("{length} bytes were announced instead of {expected}")).into());
    }
    let standing = begin(context, &permitted).await?;
    // A checksum is of the whole body, which then has to begin where the upload is.
    match &standing {
        Standing::Arriving(parts) if has_piece && checksum.is_some() && parts.end > 0 => {
            Err(Refused::at(elsewhere(), Some(parts.end)))
        }
        _ => Ok(Begun { permitted, checksum, standing }),
    }
}
