//! Comparing records with objects: what a record says is here has to be here.
//!
//! Where it is not (a disk was lost, a bucket was restored, somebody removed a file), the record's `estado`
//! goes back. That is how the server asks for a photo again: every device that has the file sees the
//! change with its next pull and sends it.

use serde::Serialize;
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::Collection;
use sync_protocol::{Fields, RecordId, TenantId};

use super::finish::{Here, set_state};
use super::held::Held;
use super::key::{PhotoKey, Variant};
use super::record::{Expected, PhotoState, state};
use super::{ObjectError, Photos};
use crate::clock::Clock;
use crate::store::{Store, StoreError};

/// Records that are read at once.
const PAGE_RECORDS: usize = 500;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Records that were looked at.
    pub records: u64,
    /// Records whose `estado` was corrected.
    pub corrected: Vec<Correction>,
}

/// A record whose `estado` was not what is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Correction {
    /// The photo collection.
    pub collection: String,
    /// The record.
    pub id: RecordId,
    /// What it said.
    pub said: PhotoState,
    /// What it says now.
    pub says: PhotoState,
}

/// What stopped the comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The database.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The object store. Nothing is concluded from an object that could not be looked at.
    #[error("{0}")]
    Objects(#[from] ObjectError),
}

/// Compares all records of a company with their objects; with `content` also their hashes.
///
/// # Errors
/// Those of the stores; what was corrected before stays corrected.
pub async fn compare(
    photos: &Photos,
    store: &dyn Store,
    clock: &dyn Clock,
    tenant: TenantId,
    content: bool,
) -> Result<Compared, CompareError> {
    let mut compared = Compared::default();
    for collection in store.schema().collections.values().filter(|found| found.photos) {
        let mut after = None;
        loop {
            let rows = {
                let mut tx = store.read(tenant).await?;
                let ids = tx.photo_ids(collection, false, after, PAGE_RECORDS).await?;
                after = ids.last().copied();
                tx.rows(collection, &ids).await?
            };
            if rows.is_empty() {
                break;
            }
            for (record, row) in rows {
                compared.records += 1;
                let one = Record { photos, store, clock, tenant, collection, record };
                compared.corrected.extend(one.compare(&row.fields, content).await?);
            }
        }
    }
    Ok(compared)
}

struct Record<'a> {
    photos: &'a Photos,
    store: &'a dyn Store,
    clock: &'a dyn Clock,
    tenant: TenantId,
    collection: &'a Collection,
    record: RecordId,
}

impl Record<'_> {
    fn key(&self, variant: Variant) -> PhotoKey {
        PhotoKey {
            tenant: self.tenant,
            collection: self.collection.name.clone(),
            record: self.record,
            variant,
        }
    }

    async fn compare(
        &self,
        fields: &Fields,
        content: bool,
    ) -> Result<Option<Correction>, CompareError> {
        let said = state(fields);
        let mut spoiled = Vec::new();
        let mut here = Here { photo: None, thumbnail: None };
        for variant in Variant::ALL {
            let key = self.key(variant);
            let mut length = self.photos.objects.photo_length(&key).await?;
            // Where the record does not say that it is here, its length alone proves nothing.
            if length.is_some() && (content || !said.has(variant)) {
                match self.held(&key, fields).await? {
                    Held::Whole => {}
                    Held::Nothing => length = None,
                    Held::Spoiled => {
                        spoiled.push(key);
                        length = None;
                    }
                }
            }
            match variant {
                Variant::Photo => here.photo = length,
                Variant::Thumbnail => here.thumbnail = length,
            }
        }
        // Before the record: what a crash leaves is then a record of a picture that is not here, which the next
        // comparison corrects, and never a spoiled picture that the record asks for.
        for key in spoiled {
            self.photos.objects.remove(&key.object()).await?;
        }
        // Whoever changed it meanwhile knows better.
        let decide = |present: PhotoState, fields: &Fields| match present == said {
            true if planted::is(Bug::LostPhotoForgotten) => present,
            true => here.state(fields),
            false => present,
        };
        let name = &self.collection.name;
        let says =
            set_state(self.store, self.clock, self.tenant, name, self.record, decide).await?;
        Ok(says.filter(|says| *says != said).map(|says| Correction {
            collection: name.clone(),
            id: self.record,
            said,
            says,
        }))
    }

    async fn held(&self, key: &PhotoKey, fields: &Fields) -> Result<Held, ObjectError> {
        match Expected::of(fields, key.variant) {
            Some(expected) => Held::read(&self.photos.objects, key, &expected).await,
            None => Ok(Held::Nothing),
        }
    }
}
