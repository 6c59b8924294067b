//! Reading a photo that is here.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::BoxStream;
use sync_protocol::problem::Problem;

use super::permit::{Permitted, Purpose, permit};
use super::verify::{MAGIC_BYTES, media_type};
use super::{ObjectError, PhotoContext, PhotoKey};

/// A picture that the caller may see.
///
/// # Errors
/// `unknown_photo`; `photo_not_stored` if they see its record and the picture is not here.
pub async fn find(context: PhotoContext<'_>, key: &PhotoKey) -> Result<Permitted, Problem> {
    let permitted = permit(context, key, Purpose::Read).await?;
    if permitted.state.has(key.variant) {
        return Ok(permitted);
    }
    // A picture whose thumbnail never comes can be seen all the same: what stands under its final name was
    // checked when it came.
    match context.photos.objects.photo_length(key).await? {
        Some(length) if length == permitted.expected.bytes => Ok(permitted),
        _ => Err(not_stored()),
    }
}

/// What is read of a picture.
pub struct Reading {
    /// Its media type.
    pub media_type: &'static str,
    /// The bytes, as they come.
    pub bytes: BoxStream<'static, object_store::Result<Bytes>>,
}

/// Reads a part of a picture.
///
/// # Errors
/// `photo_not_stored` if the object store has lost it.
pub async fn read(
    context: PhotoContext<'_>,
    permitted: &Permitted,
    range: Range<u64>,
) -> Result<Reading, Problem> {
    let lost = |error| match error {
        ObjectError::Missing => {
            tracing::error!(
                collection = permitted.key.collection, record = %permitted.key.record,
                "a stored photo is not in the object store; run `sync-server photo check`"
            );
            not_stored()
        }
        other => other.into(),
    };
    let objects = &context.photos.objects;
    let object = permitted.key.object();
    let start = 0..MAGIC_BYTES.min(permitted.expected.bytes);
    let start = objects.range(&object, start).await.map_err(lost)?;
    let bytes = objects.stream(&object, range).await.map_err(lost)?;
    Ok(Reading { media_type: media_type(&start), bytes })
}

fn not_stored() -> Problem {
    Problem::new(404, "photo_not_stored", "The photo is not here yet")
        .detail("its device has not sent it; it comes when that device has a connection")
}
