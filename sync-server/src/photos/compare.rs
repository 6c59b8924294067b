//! Comparing records with objects: what a record says is here has to be here.
//!
//! Where it is not (a disk was lost, a bucket was restored, somebody removed a file), the record's `estado`
//! goes back. That is how the server asks for a photo again: every device that has the file sees the
//! change with its next pull and sends it.

use serde::Serialize;
use sync_protocol::planted::{self, Bug};
use sync_protocol::problem::Problem;
use sync_protocol::schema::Collection;
use sync_protocol::{Fields, RecordId, TenantId};

use super::finish::{Here, set_state};
use super::held::Held;
use super::key::{PhotoKey, Variant};
use super::record::{Expected, PhotoState, state};
use super::{ObjectError, Photos};
use crate::clock::Clock;
use crate::push::failed;
use crate::store::{Store, StoreError};

/// Records that are read at once.
const PAGE_RECORDS: usize = 500;
/// So many photos may go back without anybody being asked,
const LOST_UNASKED_MAX: usize = 20;
/// and of so many stored ones one.
const LOST_UNASKED_OF: usize = 20;

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

/// What was found, before anything is changed.
#[derive(Debug, Clone, Default)]
pub struct Examined {
    /// Records that were looked at.
    pub records: u64,
    /// Those that say that something is here.
    pub stored: usize,
    /// Those whose `estado` goes back when it is corrected.
    pub lost: usize,
    /// Those to be corrected, by collection.
    wrong: Vec<(String, RecordId)>,
}

impl Examined {
    /// Whether so much is missing that somebody should say that this is right.
    #[must_use]
    pub fn is_much_lost(&self) -> bool {
        self.lost > LOST_UNASKED_MAX && self.lost.saturating_mul(LOST_UNASKED_OF) > self.stored
    }
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

impl From<CompareError> for Problem {
    fn from(error: CompareError) -> Self {
        match error {
            CompareError::Store(error) => failed(&error),
            CompareError::Objects(error) => error.into(),
        }
    }
}

/// Compares all records of a company with their objects; with `content` also the hashes of what records
/// say is here.
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
    let examined = examine(photos, store, tenant, content).await?;
    correct(photos, store, clock, tenant, content, &examined).await
}

/// Looks what is wrong, and changes nothing.
///
/// # Errors
/// Those of the stores.
pub async fn examine(
    photos: &Photos,
    store: &dyn Store,
    tenant: TenantId,
    content: bool,
) -> Result<Examined, CompareError> {
    let mut examined = Examined::default();
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
                let one = Record { photos, store, tenant, collection, record };
                let said = state(&row.fields);
                let found = one.look(&row.fields, content).await?;
                let says = found.here.state(&row.fields);
                examined.records += 1;
                examined.stored += usize::from(said > PhotoState::Pending);
                examined.lost += usize::from(says < said);
                if says != said || !found.spoiled.is_empty() {
                    examined.wrong.push((collection.name.clone(), record));
                }
            }
        }
    }
    Ok(examined)
}

/// Corrects what was found wrong, as far as it still is.
///
/// # Errors
/// Those of the stores; what was corrected before stays corrected.
pub async fn correct(
    photos: &Photos,
    store: &dyn Store,
    clock: &dyn Clock,
    tenant: TenantId,
    content: bool,
    examined: &Examined,
) -> Result<Compared, CompareError> {
    let mut compared = Compared { records: examined.records, ..Compared::default() };
    for (collection, record) in &examined.wrong {
        let Some(collection) = store.schema().collection(collection) else { continue };
        let one = Record { photos, store, tenant, collection, record: *record };
        compared.corrected.extend(one.correct(clock, content).await?);
    }
    Ok(compared)
}

/// Compares one record with its objects.
///
/// # Errors
/// Those of the stores.
pub async fn compare_one(
    photos: &Photos,
    store: &dyn Store,
    clock: &dyn Clock,
    key: &PhotoKey,
) -> Result<Option<Correction>, CompareError> {
    let Some(collection) = store.schema().collection(&key.collection) else { return Ok(None) };
    let one = Record { photos, store, tenant: key.tenant, collection, record: key.record };
    one.correct(clock, false).await
}

struct Record<'a> {
    photos: &'a Photos,
    store: &'a dyn Store,
    tenant: TenantId,
    collection: &'a Collection,
    record: RecordId,
}

/// What is here of a record.
struct Found {
    here: Here,
    /// Objects that are something else.
    spoiled: Vec<PhotoKey>,
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

    async fn look(&self, fields: &Fields, content: bool) -> Result<Found, ObjectError> {
        let said = state(fields);
        let mut found = Found { here: Here { photo: None, thumbnail: None }, spoiled: Vec::new() };
        for variant in Variant::ALL {
            let key = self.key(variant);
            let mut length = self.photos.objects.photo_length(&key).await?;
            // Where the record does not say that it is here, its length alone proves nothing.
            if length.is_some() && (content || !said.has(variant)) {
                match self.held(&key, fields).await? {
                    Held::Whole => {}
                    Held::Nothing => length = None,
                    Held::Spoiled => {
                        found.spoiled.push(key);
                        length = None;
                    }
                }
            }
            match variant {
                Variant::Photo => found.here.photo = length,
                Variant::Thumbnail => found.here.thumbnail = length,
            }
        }
        Ok(found)
    }

    async fn correct(
        &self,
        clock: &dyn Clock,
        content: bool,
    ) -> Result<Option<Correction>, CompareError> {
        let row = {
            let mut tx = self.store.read(self.tenant).await?;
            tx.rows(self.collection, &[self.record]).await?.remove(&self.record)
        };
        let Some(row) = row.filter(|row| row.meta.deleted.is_none()) else { return Ok(None) };
        let said = state(&row.fields);
        let Found { here, spoiled } = self.look(&row.fields, content).await?;
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
        let says = set_state(self.store, clock, self.tenant, name, self.record, decide).await?;
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
