//! The headers of tus 1.0.

use axum::extract::{FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
use sync_protocol::problem::Problem;
use sync_protocol::schema::photos::BYTES_MAX;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::http::PREFIX;
use crate::http::app::App;
use crate::http::problem::Refusal;
use crate::photos::intake::Checksum;
use crate::photos::upload::Standing;
use crate::photos::{PhotoKey, Variant, unknown};

/// The version of tus.
pub const VERSION: &str = "1.0.0";
/// Its extensions that are here.
pub const EXTENSIONS: &str = "creation,creation-with-upload,checksum,termination,expiration";
/// Algorithms of checksums.
pub const CHECKSUM_ALGORITHMS: &str = "sha1,sha256";
/// Media type of a piece.
pub const PIECE_MEDIA_TYPE: &str = "application/offset+octet-stream";
/// Most bytes of an upload.
pub const BYTES_MAX_TEXT: HeaderValue = HeaderValue::from_static("16777216");
const _: () = assert!(BYTES_MAX == 16_777_216, "`BYTES_MAX_TEXT` says it as well");

/// Which tus a request or answer speaks.
pub const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
/// Which tus a server speaks.
pub const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
/// How far an upload is, or where a piece begins.
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// How long an upload is.
pub const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// When an upload will be given up.
pub const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");

/// Whether a path is that of the uploads, or of one.
pub fn is_of_uploads(path: &str) -> bool {
    path.strip_prefix(PREFIX)
        .and_then(|path| path.strip_prefix("/uploads"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Says in every answer about uploads which tus it speaks, whoever answers.
pub async fn resumable(request: Request, next: Next) -> Response {
    let of_uploads = is_of_uploads(request.uri().path());
    let mut response = next.run(request).await;
    if of_uploads {
        response.headers_mut().insert(TUS_RESUMABLE, HeaderValue::from_static(VERSION));
    }
    response
}

/// Whether an upload of so many bytes can be at all.
///
/// # Errors
/// `upload_too_long`.
pub fn check_length(bytes: u64) -> Result<(), Problem> {
    let bytes_max = BYTES_MAX.unsigned_abs();
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(Problem::new(413, "upload_too_long", "The upload is larger than any may be")
        .detail(format!("{bytes} bytes were announced, at most {bytes_max} are taken")))
}

/// Whether the request speaks this tus.
///
/// # Errors
/// `tus_version`.
pub fn check_version(headers: &HeaderMap) -> Result<(), Refused> {
    if headers.get(TUS_RESUMABLE).is_some_and(|given| given == VERSION) {
        return Ok(());
    }
    let problem =
        Problem::new(412, "tus_version", "The request does not say that it speaks tus 1.0")
            .detail("send the header `Tus-Resumable: 1.0.0`");
    Err(Refused { version: true, ..Refused::from(problem) })
}

/// A header that is a whole number of bytes.
///
/// # Errors
/// `bad_header`.
pub fn bytes(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Problem> {
    let text = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // `parse` alone would take a plus sign.
    if text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(bytes) = text.parse()
    {
        return Ok(bytes);
    }
    Err(bad_header(name, "it is needed, and is a number of bytes"))
}

/// The answer to a header that is not understood.
pub fn bad_header(name: &HeaderName, what: &str) -> Problem {
    Problem::new(400, "bad_header", "A header of the request is wrong")
        .detail(format!("`{name}`: {what}"))
}

/// The collection, record and variant that `Upload-Metadata` names.
///
/// # Errors
/// `bad_header`.
pub fn metadata(headers: &HeaderMap) -> Result<(String, String, String), Problem> {
    let wrong = |what: &str| bad_header(&UPLOAD_METADATA, what);
    let text = headers.get(UPLOAD_METADATA).and_then(|value| value.to_str().ok());
    let text = text.ok_or_else(|| wrong("it is needed"))?;
    let value_of = |wanted: &str| {
        let pairs =
            text.split(',').map(|pair| pair.trim().split_once(' ').unwrap_or((pair.trim(), "")));
        let mut values = pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| value.trim());
        let value = values.next().filter(|_| values.next().is_none());
        value
            .and_then(|value| STANDARD.decode(value).ok())
            .and_then(|value| String::from_utf8(value).ok())
            .ok_or_else(|| wrong("it names `collection`, `id` and `variant`, once each, in base64"))
    };
    Ok((value_of("collection")?, value_of("id")?, value_of("variant")?))
}

/// The checksum of a piece, if it has one.
///
/// # Errors
/// `bad_header`.
pub fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, Problem> {
    let Some(text) = headers.get(UPLOAD_CHECKSUM) else { return Ok(None) };
    let wrong =
        || bad_header(&UPLOAD_CHECKSUM, "it is `sha1` or `sha256`, a space, and the sum in base64");
    let (algorithm, sum) = text.to_str().ok().and_then(|t| t.split_once(' ')).ok_or_else(wrong)?;
    let sum = STANDARD.decode(sum.trim()).map_err(|_| wrong())?;
    match (algorithm, sum.len()) {
        ("sha1", 20) => Ok(Some(Checksum::Sha1(sum))),
        ("sha256", 32) => Ok(Some(Checksum::Sha256(sum))),
        _ => Err(wrong()),
    }
}

/// Whether the body is a piece of an upload.
///
/// # Errors
/// `unsupported_media_type`, `unsupported_encoding`.
pub fn check_piece(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !text(header::CONTENT_TYPE).eq_ignore_ascii_case(PIECE_MEDIA_TYPE) {
        return Err(Problem::new(
            415,
            "unsupported_media_type",
            "The body's content type is not known here",
        )
        .detail(format!("send the bytes with the header `Content-Type: {PIECE_MEDIA_TYPE}`")));
    }
    if !matches!(text(header::CONTENT_ENCODING), "" | "identity") {
        return Err(Problem::new(
            415,
            "unsupported_encoding",
            "The body's encoding is not known here",
        )
        .detail("send the bytes as they are: pictures do not compress"));
    }
    Ok(())
}

/// The photo that an address names.
#[derive(Debug, Clone)]
pub struct PathPhoto {
    collection: String,
    id: String,
    variant: String,
}

impl PathPhoto {
    /// Its name in a company.
    ///
    /// # Errors
    /// `malformed_id`; `unknown_photo`.
    pub fn key(&self, tenant: sync_protocol::TenantId) -> Result<PhotoKey, Problem> {
        named(tenant, &self.collection, &self.id, &self.variant)
    }
}

impl FromRequestParts<Arc<App>> for PathPhoto {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let path = Path::<(String, String, String)>::from_request_parts(parts, app).await;
        // Not UTF-8: nothing has such a name.
        let Path((collection, id, variant)) = path.map_err(|_| Refusal(unknown()))?;
        Ok(Self { collection, id, variant })
    }
}

/// The picture of these names.
///
/// # Errors
/// `malformed_id`; `unknown_photo`.
pub fn named(
    tenant: sync_protocol::TenantId,
    collection: &str,
    id: &str,
    variant: &str,
) -> Result<PhotoKey, Problem> {
    let record = id.parse().map_err(|_| {
        Problem::new(400, "malformed_id", "The id in the address is not one")
            .detail("ids are UUIDs, such as 0192f0c1-2a3b-7c4d-8e5f-60718293a4b5")
    })?;
    let variant: Variant = variant.parse().map_err(|_| unknown())?;
    Ok(PhotoKey { tenant, collection: collection.to_owned(), record, variant })
}

/// A request about an upload that is refused, with where the upload is.
#[derive(Debug)]
pub struct Refused {
    problem: Problem,
    /// Where the upload is.
    offset: Option<u64>,
    version: bool,
}

impl Refused {
    /// With where the upload is.
    pub fn at(problem: Problem, offset: Option<u64>) -> Self {
        Self { problem, offset, version: false }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self { problem, offset: None, version: false }
    }
}

impl axum::response::IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = Refusal(self.problem).into_response();
        let headers = response.headers_mut();
        if let Some(offset) = self.offset {
            headers.insert(UPLOAD_OFFSET, offset.into());
        }
        if self.version {
            headers.insert(TUS_VERSION, HeaderValue::from_static(VERSION));
        }
        response
    }
}

/// An answer that says how far an upload is.
pub fn progress(status: StatusCode, standing: &Standing, length: u64) -> Response {
    let mut response = status.into_response();
    let headers = response.headers_mut();
    match standing {
        Standing::Arriving(parts) => {
            headers.insert(UPLOAD_OFFSET, parts.end.into());
            if let Some(date) = http_date(parts.expires_us()) {
                headers.insert(UPLOAD_EXPIRES, date);
            }
        }
        _ => drop(headers.insert(UPLOAD_OFFSET, length.into())),
    }
    response
}

/// Where an upload is.
pub fn location(key: &PhotoKey) -> Option<HeaderValue> {
    let PhotoKey { collection, record, variant, .. } = key;
    HeaderValue::try_from(format!("{PREFIX}/uploads/{collection}/{record}/{variant}")).ok()
}

/// A moment as HTTP writes it.
fn http_date(us: i64) -> Option<HeaderValue> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let time = OffsetDateTime::from_unix_timestamp(us.div_euclid(1_000_000)).ok()?;
    HeaderValue::try_from(time.format(format).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn metadata_are_read_whatever_their_order() {
        let names = |text| metadata(&headers(UPLOAD_METADATA, text)).ok();
        let all = ("fotos".to_owned(), "7".to_owned(), "photo".to_owned());
        assert_eq!(names("collection Zm90b3M=,id Nw==,variant cGhvdG8="), Some(all.clone()));
        assert_eq!(names("more,variant cGhvdG8=, id Nw==,collection Zm90b3M="), Some(all));
        assert_eq!(names("collection Zm90b3M=,id Nw=="), None);
        assert_eq!(names("collection Zm90b3M=,id Nw==,id Nw==,variant cGhvdG8="), None);
        assert_eq!(names("collection ?,id Nw==,variant cGhvdG8="), None);
    }

    #[test]
    fn numbers_and_sums_are_checked() {
        let number = |text| bytes(&headers(UPLOAD_LENGTH, text), &UPLOAD_LENGTH).ok();
        assert_eq!(number("300"), Some(300));
        assert_eq!(
            (number("+300"), number("-1"), number(""), number("99999999999999999999")),
            (None, None, None, None)
        );
        let sum = |text| checksum(&headers(UPLOAD_CHECKSUM, text)).is_ok();
        assert!(sum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="));
        assert!(!sum("md5 Kq5sNclPz7QV2+lfQIuc6R7oRu0="));
        assert!(!sum("sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0="));
    }

    #[test]
    fn a_moment_is_written_as_http_has_it() {
        assert_eq!(http_date(784_111_777_000_000).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
