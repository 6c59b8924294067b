//! Photos, as apps add, look at and hurry them.

use std::path::PathBuf;

use rusqlite::OptionalExtension as _;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use sync_protocol::schema::{Collection, FieldType};
use sync_protocol::wire::push::Position as PushPosition;
use sync_protocol::{ReceiptId, RecordId, Value};

use super::Core;
use crate::CoreError;
use crate::edit::known_collection;
use crate::outbox::list::WaitingFor;
use crate::photos::queue::{self, Item, Waiting};
use crate::photos::{
    Budget, Capture, Input, NewPhoto, PhotoName, Position, Variant, prepare, space,
};
use crate::store::meta::{self, name};
use crate::store::tables::quoted;

/// A record that was made with its photos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckIn {
    /// The record.
    pub record: RecordId,
    /// The records of its photos, in the order given.
    pub photos: Vec<RecordId>,
    /// The receipt of all of it.
    pub receipt: Option<ReceiptId>,
}

/// A file of a photo on this device, and why it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PhotoView {
    /// The file.
    #[serde(flatten)]
    pub item: Item,
    /// Where it is.
    pub path: PathBuf,
    /// For what it waits, while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitingFor>,
}

/// Makes a photo ready to be attached: small, upright, and free of what it should not tell. It takes a tenth
/// of a second or more: not for a thread that draws.
///
/// # Errors
/// [`CoreError::Photo`].
pub fn new_photo<'i>(
    input: impl Into<Input<'i>>,
    capture: &Capture,
    budget: &Budget,
) -> Result<NewPhoto, CoreError> {
    let prepared = prepare(input, capture, budget)?;
    Ok(NewPhoto { prepared, zone: capture.taken_at.offset(), fields: Map::new() })
}

impl Core {
    /// Adds a photo to a record and returns the photo's own record.
    ///
    /// # Errors
    /// As [`crate::edit::Edit::attach`].
    pub fn add_photo(
        &self,
        collection: &str,
        record: RecordId,
        photo: &NewPhoto,
    ) -> Result<RecordId, CoreError> {
        Ok(self.transaction(|edit| edit.attach(collection, record, photo))?.0)
    }

    /// Makes a record with photos in one transaction. The position goes into the columns that the schema's
    /// `flags` name, where `fields` says nothing about them.
    ///
    /// # Errors
    /// As [`crate::edit::Edit::insert`] and [`crate::edit::Edit::attach`]; nothing was made then.
    pub fn check_in(
        &self,
        collection: &str,
        fields: &Map<String, Json>,
        position: Option<Position>,
        mocked: Option<bool>,
        photos: &[NewPhoto],
    ) -> Result<CheckIn, CoreError> {
        let schema = self.schema()?;
        let mut fields = fields.clone();
        place(known_collection(&schema, collection)?, &mut fields, position, mocked);
        let ((record, photos), receipt) = self.transaction(|edit| {
            edit.position = position.map(|position| PushPosition {
                latitude: position.lat,
                longitude: position.lon,
                accuracy_m: position.accuracy,
            });
            let record = edit.insert(collection, &fields)?;
            let mut made = Vec::with_capacity(photos.len());
            for photo in photos {
                made.push(edit.attach(collection, record, photo)?);
            }
            Ok((record, made))
        })?;
        Ok(CheckIn { record, photos, receipt })
    }

    /// The file of a photo, fetched from the server if it is not here. `record` is the photo's own.
    ///
    /// # Errors
    /// [`CoreError::NoSuchPhoto`]; [`CoreError::PhotoUnlike`]; those of the way to the server, of files and the
    /// database.
    pub async fn photo(
        &self,
        collection: &str,
        record: RecordId,
        variant: Variant,
    ) -> Result<PathBuf, CoreError> {
        let engine = self.engine()?;
        let store = engine.store();
        let wanted = PhotoName { collection: collection.to_owned(), record, variant };
        let sha256 = store.read(|db| {
            let schema = store.schema_in(db)?;
            let known = known_collection(&schema, collection)?;
            if !known.photos {
                return Err(CoreError::NoPhotos(collection.to_owned()));
            }
            let (column, _) = variant.columns();
            let sql =
                format!("SELECT {} FROM {} WHERE id = ?1", quoted(column), quoted(collection));
            let found: Option<String> =
                db.query_row(&sql, [record.to_string()], |row| row.get(0)).optional()?;
            found.ok_or(CoreError::NoSuchPhoto)
        })?;
        if store.photos().read(&sha256)?.is_none() {
            engine.fetch_photo(&wanted, &sha256).await?;
        }
        store.write(|db| queue::note_used(db, &wanted))?;
        Ok(store.photos().path(&sha256))
    }

    /// The files on this device, those that wait first, in the order in which they go.
    ///
    /// # Errors
    /// [`CoreError::SignedOut`]; those of the database.
    pub fn photos(&self) -> Result<Vec<PhotoView>, CoreError> {
        let engine = self.engine()?;
        let pictures = engine.sends_pictures()?;
        let why = engine.why_waiting()?;
        let store = engine.store();
        store.read(|db| {
            let mut views = Vec::new();
            for item in queue::list(db)? {
                let waiting_for = queue::why(db, &item, pictures, why.as_ref())?;
                views.push(PhotoView {
                    path: store.photos().path(&item.sha256),
                    item,
                    waiting_for,
                });
            }
            Ok(views)
        })
    }

    /// What waits for the server, in all.
    ///
    /// # Errors
    /// [`CoreError::SignedOut`]; those of the database.
    pub fn photos_waiting(&self) -> Result<Waiting, CoreError> {
        let engine = self.engine()?;
        let pictures = engine.sends_pictures()?;
        engine.store().read(|db| queue::waiting(db, pictures))
    }

    /// Sends both pictures of a photo before all others, whatever the network costs. Answers how many files
    /// that concerns.
    ///
    /// # Errors
    /// [`CoreError::SignedOut`]; those of the database.
    pub fn send_photo_now(&self, collection: &str, record: RecordId) -> Result<usize, CoreError> {
        let engine = self.engine()?;
        let hurried = engine.store().write(|db| queue::hurry(db, collection, record))?;
        if hurried > 0 {
            engine.kick();
        }
        Ok(hurried)
    }

    /// Whether pictures wait for a network that costs nothing; thumbnails never do.
    ///
    /// # Errors
    /// [`CoreError::SignedOut`]; those of the database.
    pub fn set_photos_unmetered(&self, wait: bool) -> Result<(), CoreError> {
        self.store()?.write(|db| match wait {
            true => meta::set(db, name::PHOTOS_UNMETERED, "1"),
            false => meta::remove(db, name::PHOTOS_UNMETERED),
        })
    }

    /// How many bytes photos may take on this device ([`space::SPACE_BYTES`] if nobody says). Pictures that the
    /// server has go first; those that it has not stay, whatever this says.
    ///
    /// # Errors
    /// [`CoreError::SignedOut`]; those of files and the database.
    pub fn set_photo_space(&self, bytes: u64) -> Result<(), CoreError> {
        let store = self.store()?;
        store.write(|db| meta::set(db, name::PHOTO_SPACE, &bytes.to_string()))?;
        space::make_room(&store)?;
        Ok(())
    }
}

/// Fills the columns that hold the position, as the schema names them.
fn place(
    collection: &Collection,
    fields: &mut Map<String, Json>,
    position: Option<Position>,
    mocked: Option<bool>,
) {
    let Some(flags) = &collection.flags else { return };
    let mut set = |column: Option<&String>, value: Option<Json>| {
        if let (Some(column), Some(value)) = (column, value) {
            fields.entry(column.clone()).or_insert(value);
        }
    };
    let real = |value: f64| Some(Value::Real(value).to_json(&FieldType::Real));
    if let Some(position) = position {
        let [latitude, longitude] = match &flags.position {
            Some([latitude, longitude]) => [Some(latitude), Some(longitude)],
            None => [None, None],
        };
        set(latitude, real(position.lat));
        set(longitude, real(position.lon));
        set(flags.accuracy.as_ref(), position.accuracy.and_then(real));
    }
    set(flags.mocked.as_ref(), mocked.map(Json::from));
}
