//! Adding a photo to a record, within a transaction of edits.

use serde_json::{Map, Value as Json};
use sync_protocol::RecordId;
use sync_protocol::fault::{self, Point};
use time::UtcOffset;

use super::files::hex;
use super::{PhotoName, Prepared, Variant, queue, record};
use crate::CoreError;
use crate::edit::Edit;
use crate::store::tables::quoted;

/// A prepared photo, and what else its record is to hold.
#[derive(Debug, Clone)]
pub struct NewPhoto {
    /// The pictures.
    pub prepared: Prepared,
    /// The zone of the place: cameras that write no zone mean the local one.
    pub zone: UtcOffset,
    /// Further fields of the photo's record, such as a description.
    pub fields: Map<String, Json>,
}

impl Edit<'_> {
    /// The photos of a record that are here, as (collection, record).
    pub(crate) fn photos_of(
        &self,
        collection: &str,
        record: RecordId,
    ) -> Result<Vec<(String, RecordId)>, CoreError> {
        let mut found = Vec::new();
        for home in self.schema().photos_of(collection) {
            let Some(parent) = &home.parent else { continue };
            let sql = format!(
                "SELECT id FROM {} WHERE {} = ?1 ORDER BY id",
                quoted(&home.name),
                quoted(&parent.field)
            );
            let mut statement = self.db().prepare_cached(&sql)?;
            let ids: Vec<String> = statement
                .query_map([record.to_string()], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let ids = ids.iter().filter_map(|id| id.parse().ok());
            found.extend(ids.map(|id| (home.name.clone(), id)));
        }
        Ok(found)
    }

    /// Adds a photo to a record, also to one that this transaction makes. Returns the photo's own record.
    ///
    /// Its files are on the disk when this returns, and in the queue when the transaction is committed.
    ///
    /// # Errors
    /// [`CoreError::NoPhotos`] if no photo collection belongs to `collection`; [`CoreError::DiskFull`] and
    /// [`CoreError::File`]; as [`Edit::insert`].
    pub fn attach(
        &mut self,
        collection: &str,
        record: RecordId,
        photo: &NewPhoto,
    ) -> Result<RecordId, CoreError> {
        let schema = self.schema();
        let home = schema.photos_of(collection).next();
        let home = home.ok_or_else(|| CoreError::NoPhotos(collection.to_owned()))?;
        if !self.exists(collection, record)? {
            return Err(CoreError::NoSuchRecord { collection: collection.to_owned(), record });
        }
        let mut fields = record::fields(&photo.prepared, photo.zone);
        fields.extend(photo.fields.clone());
        if let Some(parent) = &home.parent {
            fields.insert(parent.field.clone(), record.to_string().into());
        }
        let made = self.insert(&home.name, &fields)?;
        let Prepared { photo: picture, thumbnail, sha256, thumbnail_sha256, .. } = &photo.prepared;
        for (variant, bytes, hash) in
            [(Variant::Thumbnail, thumbnail, thumbnail_sha256), (Variant::Photo, picture, sha256)]
        {
            let hash = hex(hash);
            self.files().put(&hash, bytes)?;
            let name = PhotoName { collection: home.name.clone(), record: made, variant };
            queue::add(self.db(), &name, &hash, bytes.len(), queue::State::Waiting)?;
        }
        fault::reached(Point::PhotoWritten);
        Ok(made)
    }
}
