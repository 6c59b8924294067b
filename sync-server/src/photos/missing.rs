//! Which photos have not come, and from whom they are awaited.

use std::collections::BTreeMap;

use serde::Serialize;
use sync_protocol::schema::Collection;
use sync_protocol::{RecordId, StreamId, TenantId, UserId};

use super::record::{PhotoState, parent, state};
use crate::store::{ReadTx, Store, StoreError};

/// Most photos in one page.
pub const PAGE_MAX: usize = 500;

/// A photo that is not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissingPhoto {
    /// The photo collection.
    pub collection: String,
    /// The record.
    pub id: RecordId,
    /// Whose photo it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentRecord>,
    /// How far it is.
    pub state: PhotoState,
    /// Who made the record, where a device did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The name of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// When the record was made, in microseconds since 1970.
    pub since_us: i64,
}

/// The record that a photo belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParentRecord {
    /// Its collection.
    pub collection: String,
    /// The record.
    pub id: RecordId,
}

/// A page of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MissingPage {
    /// In the order of collections and ids.
    pub photos: Vec<MissingPhoto>,
    /// Where the next page begins; none at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A place in the list: `collection/record`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After(String, RecordId);

impl std::str::FromStr for After {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (collection, record) = text.split_once('/').ok_or(())?;
        Ok(Self(collection.to_owned(), record.parse().map_err(drop)?))
    }
}

/// The next page of photos that have not come, of the collections that may be told.
///
/// # Errors
/// Those of the store.
pub async fn page(
    store: &dyn Store,
    tenant: TenantId,
    told: impl Fn(&Collection) -> bool,
    after: Option<&After>,
    limit: usize,
) -> Result<MissingPage, StoreError> {
    let mut tx = store.read(tenant).await?;
    let mut authors = BTreeMap::new();
    let mut page = MissingPage::default();
    for collection in store.schema().collections.values().filter(|c| c.photos && told(c)) {
        let after = match after {
            Some(After(name, _)) if collection.name < *name => continue,
            Some(After(name, record)) if collection.name == *name => Some(*record),
            _ => None,
        };
        let left = limit - page.photos.len();
        // One more than fits says whether there are more.
        let mut ids = tx.photo_ids(collection, true, after, left + 1).await?;
        let more = ids.len() > left;
        ids.truncate(left);
        let rows = tx.rows(collection, &ids).await?;
        for (id, row) in rows {
            let by = author(tx.as_mut(), &mut authors, row.meta.born.writer).await?;
            let (user, user_name, device_name) = by.unwrap_or_default();
            page.photos.push(MissingPhoto {
                collection: collection.name.clone(),
                id,
                parent: parent(collection, &row.fields)
                    .map(|(collection, id)| ParentRecord { collection, id }),
                state: state(&row.fields),
                user,
                user_name,
                device_name,
                since_us: row.meta.born.at_us,
            });
        }
        if more {
            page.next = page.photos.last().map(|last| format!("{}/{}", last.collection, last.id));
            return Ok(page);
        }
    }
    Ok(page)
}

type Author = (Option<UserId>, Option<String>, Option<String>);

/// Who writes in a stream: asked once for a page.
async fn author(
    tx: &mut dyn ReadTx,
    known: &mut BTreeMap<StreamId, Option<Author>>,
    stream: StreamId,
) -> Result<Option<Author>, StoreError> {
    if let Some(author) = known.get(&stream) {
        return Ok(author.clone());
    }
    let by = tx.author_of(stream).await?;
    let author = by.map(|by| (by.user, by.user_name, by.device_name));
    known.insert(stream, author.clone());
    Ok(author)
}
