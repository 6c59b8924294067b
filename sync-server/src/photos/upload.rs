//! An upload: how far it is, how it begins, how it is given up.
//!
//! All of it stands in the object store, so any server answers alike, and none remembers anything.

use std::sync::atomic::Ordering;

use futures::TryStreamExt as _;
use sync_protocol::problem::Problem;

use super::finish::{self, mark};
use super::held::Held;
use super::key::{UploadKey, UploadName};
use super::objects::{Listed, Objects};
use super::permit::Permitted;
use super::{ObjectError, PhotoContext, place};
use crate::clock::Clock;

/// How long an upload that nobody touches is kept, in microseconds: 7 days.
pub const KEPT_US: i64 = 7 * 24 * 3600 * 1_000_000;

/// The parts of an upload that has begun.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Those that follow each other from 0, in order: their offsets.
    pub offsets: Vec<u64>,
    /// Where they end: the offset of the upload.
    pub end: u64,
    /// When somebody last sent something, in microseconds since 1970.
    pub touched_us: i64,
}

/// How far a picture is.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Nobody has begun, or it was so long ago that it was given up.
    Absent,
    /// Some of it is here.
    Arriving(Parts),
    /// All of it is here and was found good.
    Done,
}

impl Parts {
    /// Reads what an upload has; none if it has not begun.
    ///
    /// # Errors
    /// Those of the object store.
    pub async fn read(objects: &Objects, key: &UploadKey) -> Result<Option<Self>, ObjectError> {
        let listed: Vec<Listed> = objects.list(&key.folder()).try_collect().await?;
        let Some(touched_us) = listed.iter().map(|found| found.written_us).max() else {
            return Ok(None);
        };
        let mut begun = false;
        let mut found = Vec::with_capacity(listed.len());
        for object in &listed {
            match UploadKey::of_object(&object.path) {
                Some((_, UploadName::Part { offset })) => found.push((offset, object.bytes)),
                Some((_, UploadName::Begun { .. })) => begun = true,
                None => {}
            }
        }
        let (offsets, end) = contiguous(found);
        Ok(begun.then_some(Self { offsets, end, touched_us }))
    }

    /// Whether it was given up.
    #[must_use]
    pub fn is_expired(&self, clock: &dyn Clock) -> bool {
        self.expires_us() < clock.now_us()
    }

    /// When it will be given up if nobody touches it.
    #[must_use]
    pub fn expires_us(&self) -> i64 {
        self.touched_us + KEPT_US
    }
}

/// The parts that follow each other from 0, and where they end. What is behind a hole was left by an
/// upload that was given up while somebody sent; it does not count.
fn contiguous(mut parts: Vec<(u64, u64)>) -> (Vec<u64>, u64) {
    parts.sort_unstable();
    let (mut offsets, mut end) = (Vec::with_capacity(parts.len()), 0);
    for (offset, bytes) in parts {
        if offset == end && bytes > 0 {
            offsets.push(offset);
            end += bytes;
        }
    }
    (offsets, end)
}

/// How far a picture is, of which the caller sends or has sent. What was left half done is finished first.
///
/// # Errors
/// Those of [`finish::finish`], and of the stores.
pub async fn standing(
    context: PhotoContext<'_>,
    permitted: &Permitted,
) -> Result<Standing, Problem> {
    let Permitted { key, expected, state, .. } = permitted;
    if state.has(key.variant) {
        return Ok(Standing::Done);
    }
    let objects = &context.photos.objects;
    match Held::read(objects, key, expected).await? {
        Held::Whole => {
            mark(context, permitted).await?;
            objects.remove_uploads(key).await?;
            return Ok(Standing::Done);
        }
        Held::Spoiled => {
            tracing::warn!(
                collection = key.collection, record = %key.record,
                "a spoiled photo goes, and is sent again"
            );
            objects.remove(&key.object()).await?;
        }
        Held::Nothing => {}
    }
    match Parts::read(objects, &permitted.upload()).await? {
        Some(parts) if parts.is_expired(context.clock) => Ok(Standing::Absent),
        Some(parts) if parts.end >= expected.bytes => {
            finish::finish(context, permitted, &parts).await?;
            Ok(Standing::Done)
        }
        Some(parts) => Ok(Standing::Arriving(parts)),
        None => Ok(Standing::Absent),
    }
}

/// Begins an upload, or goes on with the one that has begun.
///
/// # Errors
/// `photo_quota`, and those of [`standing`].
pub async fn begin(context: PhotoContext<'_>, permitted: &Permitted) -> Result<Standing, Problem> {
    let present = standing(context, permitted).await?;
    if !matches!(present, Standing::Absent) {
        return Ok(present);
    }
    let PhotoContext { photos, store, clock, caller } = context;
    let bytes = permitted.expected.bytes;
    photos.quota.check(&photos.objects, caller, bytes).await?;
    if !photos.marked.load(Ordering::Relaxed) {
        let marked = place::claim(&photos.objects, store, caller.tenant).await?;
        photos.marked.store(marked, Ordering::Relaxed);
    }
    // What was given up does not count for the new one.
    let upload = permitted.upload();
    photos.objects.remove_upload(&upload).await?;
    let now = clock.now_us();
    match photos.objects.create(&upload.marker(bytes), now.to_string().into()).await {
        Ok(()) => photos.quota.add(caller.tenant, bytes),
        // Another phone of theirs begins it at the same moment.
        Err(ObjectError::Exists) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Standing::Arriving(Parts { offsets: Vec::new(), end: 0, touched_us: now }))
}

/// Gives the caller's upload up. Answers whether there was one; what is done stays.
///
/// # Errors
/// Those of the object store.
pub async fn give_up(context: PhotoContext<'_>, permitted: &Permitted) -> Result<bool, Problem> {
    let objects = &context.photos.objects;
    let upload = permitted.upload();
    let begun = match Parts::read(objects, &upload).await? {
        Some(parts) => !parts.is_expired(context.clock),
        None => false,
    };
    if begun {
        objects.remove_upload(&upload).await?;
    }
    Ok(begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_count_as_far_as_they_follow_each_other() {
        assert_eq!(contiguous(vec![]), (vec![], 0));
        assert_eq!(contiguous(vec![(3, 4), (0, 3)]), (vec![0, 3], 7));
        assert_eq!(contiguous(vec![(0, 3), (4, 4)]), (vec![0], 3));
        assert_eq!(contiguous(vec![(1, 3)]), (vec![], 0));
        assert_eq!(contiguous(vec![(0, 5), (3, 9), (5, 1)]), (vec![0, 5], 6));
    }
}
