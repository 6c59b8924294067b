//! Who may do what with a photo: what they may do with its record, found out anew with each request.

use sync_protocol::UserId;
use sync_protocol::planted::{self, Bug};
use sync_protocol::problem::Problem;
use sync_protocol::schema::Collection;

use super::key::{PhotoKey, UploadKey};
use super::record::{Expected, PhotoState, state};
use super::{PhotoContext, unknown};
use crate::push::failed;
use crate::store::StoreError;

/// What for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Looking at it.
    Read,
    /// Sending it.
    Write,
}

/// A picture that the caller may have to do with.
#[derive(Debug, Clone)]
pub struct Permitted {
    /// Its name.
    pub key: PhotoKey,
    /// What it must be.
    pub expected: Expected,
    /// What the record's other picture must be.
    pub other: Option<Expected>,
    /// How far its record says that it is.
    pub state: PhotoState,
    /// The caller.
    pub caller: UserId,
}

impl Permitted {
    /// The caller's upload of it.
    #[must_use]
    pub fn upload(&self) -> UploadKey {
        UploadKey { photo: self.key.clone(), sender: self.caller }
    }
}

/// Whether the caller may, now.
///
/// # Errors
/// `unknown_photo` whatever the reason why they do not see it; `forbidden` if they see it and may not send
/// it.
pub async fn permit(
    context: PhotoContext<'_>,
    key: &PhotoKey,
    purpose: Purpose,
) -> Result<Permitted, Problem> {
    let caller = context.caller;
    let schema = context.store.schema();
    let collection = schema
        .collection(&key.collection)
        .filter(|collection| collection.photos && caller.may(&collection.read))
        .ok_or_else(unknown)?;
    let found = find(context, collection, key, purpose).await.map_err(|error| failed(&error))?;
    let permitted = found.ok_or_else(unknown)?;
    if purpose == Purpose::Write && !caller.may(&collection.write) {
        return Err(Problem::new(403, "forbidden", "You may not do this").detail(format!(
            "sending photos of `{}` needs the permission `{}`",
            collection.name, collection.write
        )));
    }
    Ok(permitted)
}

async fn find(
    context: PhotoContext<'_>,
    collection: &Collection,
    key: &PhotoKey,
    purpose: Purpose,
) -> Result<Option<Permitted>, StoreError> {
    let mut tx = context.store.read(context.caller.tenant).await?;
    let Some(row) = tx.rows(collection, &[key.record]).await?.remove(&key.record) else {
        return Ok(None);
    };
    let held = tx.grants(context.caller.user, None).await?.held;
    let seen = collection.scopes_of(key.record, &row.fields).iter().any(|s| held.contains(s));
    let outlives = match purpose {
        Purpose::Read => planted::is(Bug::DownloadOutlivesGrant),
        Purpose::Write => planted::is(Bug::UploadOutlivesGrant),
    };
    if row.meta.deleted.is_some() || !(seen || outlives) {
        return Ok(None);
    }
    Ok(Expected::of(&row.fields, key.variant).map(|expected| Permitted {
        key: key.clone(),
        expected,
        other: Expected::of(&row.fields, key.variant.other()),
        state: state(&row.fields),
        caller: context.caller.user,
    }))
}
