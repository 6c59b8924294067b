//! From all bytes to a photo that others see.
//!
//! ```text
//!  parts ─► checked ·1· object ·2· record ·3· parts gone
//! ```
//!
//! At 1, 2 and 3 stand fault points. After a crash there whoever comes next (a HEAD, a POST, a PATCH)
//! finds all parts and checks again (1), or the object and an older record, which it marks (2), or a record
//! that says all (3); leftover parts go with [`super::tidy`].

use bytes::{Bytes, BytesMut};
use sync_protocol::fault::{self, Point};
use sync_protocol::planted::{self, Bug};
use sync_protocol::problem::Problem;
use sync_protocol::schema::photos as fields;
use sync_protocol::{EditTime, Fields, RecordId, StreamId, TenantId, Value};

use super::held::Held;
use super::key::{UploadKey, Variant};
use super::objects::Objects;
use super::permit::Permitted;
use super::record::{Expected, PhotoState, state};
use super::upload::Parts;
use super::{ObjectError, PhotoContext, Photos, unknown, verify};
use crate::clock::Clock;
use crate::push::failed;
use crate::store::{RowWrite, Store, StoreError, WriteKind};

/// Checks what has come and makes it the record's photo.
///
/// # Errors
/// `photo_mismatch`, `photo_not_an_image`, `photo_too_large`: then nothing is left of the bytes, and the
/// caller's upload is at 0 again. Those of the stores: then it can be tried again.
pub async fn finish(
    context: PhotoContext<'_>,
    permitted: &Permitted,
    parts: &Parts,
) -> Result<(), Problem> {
    let Permitted { key, expected, .. } = permitted;
    let (photos, upload) = (context.photos, permitted.upload());
    let bytes = match checked(photos, &upload, expected, parts).await {
        Ok(bytes) => bytes,
        Err(Unfit::Content(problem)) => {
            tracing::info!(code = problem.code, "an upload is not what its record says");
            remove_parts(&photos.objects, &upload, parts).await?;
            return Err(problem);
        }
        // Somebody else finished it, or gave it up, in the meantime.
        Err(Unfit::Objects(ObjectError::Missing)) => {
            return match Held::read(&photos.objects, key, expected).await? {
                Held::Whole => Ok(()),
                Held::Nothing | Held::Spoiled => Err(crate::http::limits::turns::busy()),
            };
        }
        Err(Unfit::Objects(error)) => return Err(error.into()),
    };
    fault::reached(Point::PhotoChecked);
    let name = match planted::is(Bug::PictureUnderOther) {
        true => key.other().object(),
        false => key.object(),
    };
    match photos.objects.put(&name, bytes).await {
        Err(_) if planted::is(Bug::UnwrittenPictureStored) => {}
        written => written?,
    }
    fault::reached(Point::PhotoKept);
    mark(context, permitted).await?;
    fault::reached(Point::PhotoMarked);
    photos.objects.remove_uploads(key).await?;
    Ok(())
}

#[derive(Debug)]
enum Unfit {
    Content(Problem),
    Objects(ObjectError),
}

/// Reads the parts and checks them: as many at once as may be decoded at once.
async fn checked(
    photos: &Photos,
    upload: &UploadKey,
    expected: &Expected,
    parts: &Parts,
) -> Result<Bytes, Unfit> {
    let _turn = photos.checkers.acquire().await;
    let mut whole = BytesMut::with_capacity(usize::try_from(parts.end).unwrap_or(0));
    for offset in &parts.offsets {
        let part = photos.objects.get(&upload.part(*offset)).await.map_err(Unfit::Objects)?;
        whole.extend_from_slice(&part);
    }
    let whole = whole.freeze();
    let (picture, expected) = (whole.clone(), expected.clone());
    let pixels = apart(move || {
        verify::content(&picture, &expected).and_then(|()| verify::pixels(&picture, &expected))
    });
    let permits = u32::try_from(pixels.await?.div_ceil(1_000_000)).unwrap_or(u32::MAX).max(1);
    let turn = photos.decoders.clone().acquire_many_owned(permits).await;
    let picture = whole.clone();
    apart(move || {
        // Until it is decoded, also if nobody waits for that any more.
        let _turn = turn;
        verify::decodes(&picture)
    })
    .await?;
    Ok(whole)
}

/// Looks at a picture on a thread of its own. One on which a decoder panics is none: tried again, it would
/// only do that for ever.
async fn apart<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Unfit> {
    match tokio::task::spawn_blocking(look).await {
        Ok(looked) => looked.map_err(Unfit::Content),
        Err(error) if error.is_panic() => {
            tracing::error!("a decoder of pictures panicked");
            Err(Unfit::Content(verify::not_an_image("it cannot be decoded")))
        }
        Err(error) => {
            Err(Unfit::Objects(ObjectError::Storage(format!("checking failed: {error}"))))
        }
    }
}

/// The upload stays begun, at 0.
async fn remove_parts(
    objects: &Objects,
    upload: &UploadKey,
    parts: &Parts,
) -> Result<(), ObjectError> {
    // From the end: what is left by a crash in between is a shorter upload, and never one with a hole.
    for offset in parts.offsets.iter().rev() {
        objects.remove(&upload.part(*offset)).await?;
    }
    Ok(())
}

/// Raises a record's `estado` to what is here of its photo, of which the caller has just checked the picture
/// that this is about. The other one counts if the record says that it is here, or if it is read and found
/// whole. Never lowers it.
///
/// # Errors
/// `unknown_photo` if the record was deleted meanwhile; passing ones of the stores.
pub async fn mark(context: PhotoContext<'_>, permitted: &Permitted) -> Result<PhotoState, Problem> {
    let PhotoContext { photos, store, clock, .. } = context;
    let key = &permitted.key;
    // Before the transaction: nothing waits for a network inside one.
    let looks_away =
        planted::is(Bug::PictureUnderOther) || planted::is(Bug::UnwrittenPictureStored);
    if photos.objects.photo_length(key).await?.is_none() && !looks_away {
        // Whoever found it spoiled has taken it away meanwhile.
        return Err(crate::http::limits::turns::busy());
    }
    let other = key.other();
    let other_is_whole = match &permitted.other {
        Some(expected) if !permitted.state.has(other.variant) => {
            Held::read(&photos.objects, &other, expected).await? == Held::Whole
        }
        _ => false,
    };
    let raise = |present: PhotoState, _: &Fields| {
        let is_here = |variant| variant == key.variant || other_is_whole || present.has(variant);
        PhotoState::of(is_here(Variant::Photo), is_here(Variant::Thumbnail)).max(present)
    };
    match set_state(store, clock, key.tenant, &key.collection, key.record, raise).await {
        Ok(Some(state)) => Ok(state),
        Ok(None) => Err(unknown()),
        Err(error) => Err(failed(&error)),
    }
}

/// Lengths of the objects of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here {
    pub photo: Option<u64>,
    pub thumbnail: Option<u64>,
}

impl Here {
    /// What a record with these fields has of them.
    pub(super) fn state(self, fields: &Fields) -> PhotoState {
        let fits = |length: Option<u64>, variant| {
            length.is_some() && length == Expected::of(fields, variant).map(|e| e.bytes)
        };
        PhotoState::of(fits(self.photo, Variant::Photo), fits(self.thumbnail, Variant::Thumbnail))
    }
}

/// Sets a live record's `estado` to what `decide` makes of the present one. Answers it; none for a record
/// that is deleted or unknown.
pub(super) async fn set_state(
    store: &dyn Store,
    clock: &dyn Clock,
    tenant: TenantId,
    collection: &str,
    record: RecordId,
    decide: impl Fn(PhotoState, &Fields) -> PhotoState,
) -> Result<Option<PhotoState>, StoreError> {
    let schema = store.schema().clone();
    let Some(collection) = schema.collection(collection) else { return Ok(None) };
    let mut tx = store.write(tenant, StreamId::SQL).await?;
    let row = tx.lock_rows(collection, &[record]).await?.remove(&record);
    let Some(row) = row.filter(|row| row.meta.deleted.is_none()) else { return Ok(None) };
    let present = state(&row.fields);
    let next = decide(present, &row.fields);
    if next == present {
        return Ok(Some(present));
    }
    let now_us = clock.now_us();
    tx.received_at(now_us);
    let mut set = Fields::new();
    set.insert(fields::STATE.to_owned(), Value::Text(next.as_str().to_owned()));
    let write = RowWrite {
        record,
        kind: WriteKind::Update,
        set,
        touched: Vec::new(),
        time: EditTime::certain(now_us),
    };
    tx.write_rows(collection, &[write]).await?;
    tx.commit().await?;
    Ok(Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_makes_a_decoder_panic_is_no_picture() {
        let looked = apart(|| -> Result<(), Problem> { panic!("as a decoder may") }).await;
        let Err(Unfit::Content(problem)) = looked else { panic!("{looked:?}") };
        assert_eq!((problem.code.as_str(), problem.retryable), ("photo_not_an_image", false));
    }
}
