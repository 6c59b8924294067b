//! What tus 1.0 (<https://tus.io/protocols/resumable-upload>) asks of requests and answers: creation with the
//! first bytes, offset, and pieces.
//!
//! The address of an upload follows from the picture's name, so that nothing has to be remembered of an answer
//! that was lost.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::TransportError;
use super::exchange::{Answer, Request};
use crate::photos::PhotoName;

const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// Where a picture's upload is.
pub(super) fn path(name: &PhotoName) -> String {
    format!("uploads/{}/{}/{}", name.collection, name.record, name.variant.as_str())
}

/// A request of this version of the protocol.
pub(super) fn versioned(request: Request) -> Request {
    request.header(TUS_RESUMABLE, HeaderValue::from_static("1.0.0"))
}

/// Begins an upload with its first bytes.
pub(super) fn creation(
    request: Request,
    name: &PhotoName,
    length: u64,
    first: Bytes,
) -> Result<Request, TransportError> {
    let value = |key: &str, value: &str| format!("{key} {}", STANDARD.encode(value));
    let metadata = [
        value("collection", &name.collection),
        value("id", &name.record.to_string()),
        value("variant", name.variant.as_str()),
    ]
    .join(",");
    let metadata = HeaderValue::try_from(metadata)
        .map_err(|error| TransportError::Garbage(format!("request: {error}")))?;
    let request = with_bytes(versioned(request), first)
        .header(UPLOAD_LENGTH, length.into())
        .header(UPLOAD_METADATA, metadata);
    Ok(request)
}

/// Sends bytes from an offset on.
pub(super) fn piece(request: Request, offset: u64, bytes: Bytes) -> Request {
    with_bytes(versioned(request), bytes).header(UPLOAD_OFFSET, offset.into())
}

fn with_bytes(request: Request, bytes: Bytes) -> Request {
    let kind = HeaderValue::from_static("application/offset+octet-stream");
    Request { body: bytes, ..request.header(CONTENT_TYPE, kind) }
}

/// Whether an answer is of somebody who speaks this protocol, and not of a hotel's machine.
pub(super) fn is_spoken(answer: &Answer) -> bool {
    answer.header(TUS_RESUMABLE).is_some()
}

/// How many bytes the server says that it has.
pub(super) fn offset(answer: &Answer) -> Result<u64, TransportError> {
    answer
        .header(UPLOAD_OFFSET)
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| TransportError::Garbage("an upload without an offset".to_owned()))
}
