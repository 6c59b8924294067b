//! Reading a photo that is here.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::BoxStream;
use sync_protocol::problem::Problem;

use super::compare::compare_one;
use super::permit::{Permitted, Purpose, permit};
use super::verify::{MAGIC_BYTES, media_type};
use super::{ObjectError, PhotoContext, PhotoKey, place};

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
/// `photo_not_stored` if the object store has lost it; its record then asks for it again.
pub async fn read(
    context: PhotoContext<'_>,
    permitted: &Permitted,
    range: Range<u64>,
) -> Result<Reading, Problem> {
    match open(context, permitted, range).await {
        Err(ObjectError::Missing) => {
            set_back(context, permitted).await;
            Err(not_stored())
        }
        other => Ok(other?),
    }
}

async fn open(
    context: PhotoContext<'_>,
    permitted: &Permitted,
    range: Range<u64>,
) -> Result<Reading, ObjectError> {
    let objects = &context.photos.objects;
    let object = permitted.key.object();
    let start = 0..MAGIC_BYTES.min(permitted.expected.bytes);
    let start = objects.range(&object, start).await?;
    let bytes = objects.stream(&object, range).await?;
    Ok(Reading { media_type: media_type(&start), bytes })
}

/// A stored photo is not here: its record asks for it again, if this is where it was.
async fn set_back(context: PhotoContext<'_>, permitted: &Permitted) {
    let PhotoContext { photos, store, clock, .. } = context;
    let key = &permitted.key;
    let asked_again = async {
        if !place::is_of(&photos.objects, key.tenant).await? {
            return Ok(None);
        }
        compare_one(photos, store, clock, key).await
    };
    match asked_again.await {
        Ok(Some(_)) => tracing::error!(
            collection = key.collection, record = %key.record,
            "a stored photo was lost, and is asked for again; run `sync-server photo check`"
        ),
        Ok(None) => tracing::error!(
            collection = key.collection, record = %key.record,
            "a stored photo is not here; is --photos right?"
        ),
        Err(error) => tracing::error!(%error, "a lost photo could not be asked for again"),
    }
}

fn not_stored() -> Problem {
    Problem::new(404, "photo_not_stored", "The photo is not here yet")
        .detail("its device has not sent it; it comes when that device has a connection")
}
