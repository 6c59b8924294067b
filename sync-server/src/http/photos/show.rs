//! `GET photos/{collection}/{id}`: a picture.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use sync_protocol::problem::Problem;

use super::range::{self, Asked};
use crate::auth::caller::Caller;
use crate::auth::permission::Access;
use crate::http::app::App;
use crate::http::extract::{Parameters, bad_parameter};
use crate::http::openapi::operation::{Answer, Operation, Parameter};
use crate::http::openapi::schemas::shape::word;
use crate::http::problem::Refusal;
use crate::http::route::Route;
use crate::http::uploads::tus::named;
use crate::photos::{Variant, download, unknown};

/// A photo never changes, who may see it does: whoever keeps it asks each time, and is answered 304.
const CACHE: HeaderValue = HeaderValue::from_static("private, no-cache");
/// And keeps none for another person.
const VARY: HeaderValue = HeaderValue::from_static("authorization");

/// The endpoint.
pub(in crate::http) fn route() -> Route {
    Route {
        method: Method::GET,
        path: "/mobile/api/v1/photos/{collection}/{id}",
        access: Access::Authenticated,
        handler: get(handle),
        operation: Operation {
            id: "photo",
            tag: "photos",
            summary: "A picture",
            description: "Of a record that the caller sees, once it is stored. Understands `Range` (one), \
                          `If-Range` and `If-None-Match`; the entity tag is the picture's SHA-256.",
            parameters: &[Parameter {
                name: "variant",
                schema: || {
                    word("Which picture; `photo` if it is left out", &["photo", "thumbnail"])
                },
            }],
            request: None,
            answer: Answer::Picture,
            problems: &[
                (404, "unknown_photo"),
                (404, "photo_not_stored"),
                (416, "range_not_satisfiable"),
            ],
        },
    }
}

async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    Parameters(parameters): Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    // Not UTF-8: nothing has such a name.
    let Path((collection, id)) = path.map_err(|_| unknown())?;
    let key = named(caller.tenant, &collection, &id, variant(&parameters)?.as_str())?;
    let context = app.photo_context(&caller);
    let photo = download::find(context, &key).await?;
    let length = photo.expected.bytes;
    let tag = format!("\"{}\"", photo.expected.sha256);
    let tag_header = HeaderValue::try_from(&tag).map_err(|_| internal())?;
    let mut common = HeaderMap::new();
    common.insert(header::ETAG, tag_header);
    common.insert(header::CACHE_CONTROL, CACHE);
    common.insert(header::VARY, VARY);
    common.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|tags| names(tags, &tag)) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let same = text(header::IF_RANGE).is_none_or(|given| given.trim() == tag);
    let wanted = text(header::RANGE).filter(|_| same);
    let (status, range) = match range::read(wanted, length) {
        Asked::Whole => (StatusCode::OK, 0..length),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Asked::Outside => {
            let all = HeaderValue::try_from(format!("bytes */{length}")).map_err(|_| internal())?;
            return Ok(([(header::CONTENT_RANGE, all)], Refusal(outside(length))).into_response());
        }
    };
    let bytes = range.end - range.start;
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {}-{}/{length}", range.start, range.end - 1);
        common.insert(header::CONTENT_RANGE, HeaderValue::try_from(part).map_err(|_| internal())?);
    }
    let reading = download::read(context, &photo, range).await?;
    common.insert(header::CONTENT_LENGTH, bytes.into());
    common.insert(header::CONTENT_TYPE, HeaderValue::from_static(reading.media_type));
    common.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    common.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
    Ok((status, common, Body::from_stream(reading.bytes)).into_response())
}

fn variant(parameters: &[(String, String)]) -> Result<Variant, Problem> {
    let mut variant = None;
    for (name, value) in parameters {
        match (name.as_str(), value.parse()) {
            ("variant", Ok(named)) if variant.is_none() => variant = Some(named),
            ("variant", _) => return Err(bad_parameter("variant", "it is `photo` or `thumbnail`")),
            (other, _) => return Err(bad_parameter(other, "there is no such parameter")),
        }
    }
    Ok(variant.unwrap_or(Variant::Photo))
}

/// Whether a list of entity tags names this one (RFC 9110: weakly, so `W/` does not matter).
fn names(tags: &str, tag: &str) -> bool {
    tags.split(',').map(|given| given.trim().trim_start_matches("W/")).any(|g| g == "*" || g == tag)
}

fn outside(length: u64) -> Problem {
    Problem::new(416, "range_not_satisfiable", "The picture has no such bytes")
        .detail(format!("it has {length} bytes"))
}

fn internal() -> Problem {
    Problem::new(500, "internal", "The server failed")
}
