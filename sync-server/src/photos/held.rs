//! Whether what stands under a picture's final name is the picture.
//!
//! Only what was checked is written there. Afterwards a disk may rot, or somebody may put a folder back, so
//! a record that does not say that its picture is here is not believed by the length of an object.

use super::key::PhotoKey;
use super::objects::{ObjectError, Objects};
use super::record::Expected;
use super::verify;

/// What stands under a picture's final name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// Something else: it was spoiled.
    Spoiled,
    /// The picture, by its length and SHA-256.
    Whole,
}

impl Held {
    /// Reads it.
    ///
    /// # Errors
    /// Those of the object store.
    pub async fn read(
        objects: &Objects,
        key: &PhotoKey,
        expected: &Expected,
    ) -> Result<Self, ObjectError> {
        match objects.photo_length(key).await? {
            None => return Ok(Self::Nothing),
            Some(length) if length != expected.bytes => return Ok(Self::Spoiled),
            Some(_) => {}
        }
        match objects.get(&key.object()).await {
            Ok(bytes) if verify::content(&bytes, expected).is_ok() => Ok(Self::Whole),
            Ok(_) => Ok(Self::Spoiled),
            Err(ObjectError::Missing) => Ok(Self::Nothing),
            Err(error) => Err(error),
        }
    }
}
