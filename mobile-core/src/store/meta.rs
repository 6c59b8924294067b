//! Single values of a database: cursor, schema, stream, session.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_protocol::schema::Schema;

use crate::CoreError;

/// Names of the values.
pub mod name {
    /// Where the next pull begins, opaque.
    pub const CURSOR: &str = "cursor";
    /// The schema that the tables were made from, JSON.
    pub const SCHEMA: &str = "schema";
    /// Hash of the schema as the server knows it.
    pub const SCHEMA_HASH: &str = "schema_hash";
    /// The history that this database's edits belong to.
    pub const STREAM: &str = "stream";
    /// Tokens, JSON.
    pub const SESSION: &str = "session";
    /// What the person may do, as of the last login or refresh, JSON.
    pub const PERMISSIONS: &str = "permissions";
    /// How far the boot clock is from the server's, JSON.
    pub const ANCHOR: &str = "anchor";
    /// The server's clock at the last contact, in microseconds since 1970.
    pub const LAST_CONTACT_US: &str = "last_contact_us";
    /// The server's clock at the last checkpoint, in microseconds since 1970.
    pub const LAST_CHECKPOINT_US: &str = "last_checkpoint_us";
    /// The last certain edit time, in microseconds since 1970.
    pub const LAST_EDIT_US: &str = "last_edit_us";
    /// Present while rows of an ended history wait to be brought anew.
    pub const BEGUN_ANEW: &str = "begun_anew";
    /// Rows that the server has not sent yet, as it said with the last page.
    pub const REMAINING: &str = "remaining";
    /// Transactions that a file holds which only this device had, JSON.
    pub const EXPORTED: &str = "exported";
    /// The server's clock at the last checkpoint that was compared by digests, in microseconds since 1970.
    pub const VERIFIED_US: &str = "verified_us";
    /// When everything was last brought anew because digests differed, by the server's clock, in microseconds
    /// since 1970.
    pub const BEGUN_FOR_DIGESTS_US: &str = "begun_for_digests_us";
    /// How far the scrub has come: collection and id, JSON.
    pub const SCRUBBED: &str = "scrubbed";
    /// Present where pictures wait for a network that costs nothing.
    pub const PHOTOS_UNMETERED: &str = "photos_unmetered";
    /// How much room photos may take, in bytes.
    pub const PHOTO_SPACE: &str = "photo_space";
    /// Why the last sync failed, JSON; absent after one that ended well.
    pub const LAST_FAILURE: &str = "last_failure";
}

/// Reads a value.
///
/// # Errors
/// Those of SQLite.
pub fn get(db: &Connection, name: &str) -> Result<Option<String>, CoreError> {
    let mut statement = db.prepare_cached("SELECT value FROM campo_meta WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

/// Writes a value.
///
/// # Errors
/// Those of SQLite.
pub fn set(db: &Connection, name: &str, value: &str) -> Result<(), CoreError> {
    db.prepare_cached(
        "INSERT INTO campo_meta (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![name, value])?;
    Ok(())
}

/// Removes a value.
///
/// # Errors
/// Those of SQLite.
pub fn remove(db: &Connection, name: &str) -> Result<(), CoreError> {
    db.execute("DELETE FROM campo_meta WHERE name = ?1", [name])?;
    Ok(())
}

/// Reads a value that is kept as JSON.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn get_json<T: DeserializeOwned>(db: &Connection, name: &str) -> Result<Option<T>, CoreError> {
    get(db, name)?.map(|text| Ok(serde_json::from_str(&text)?)).transpose()
}

/// Writes a value as JSON.
///
/// # Errors
/// Those of SQLite.
pub fn set_json<T: Serialize>(db: &Connection, name: &str, value: &T) -> Result<(), CoreError> {
    set(db, name, &serde_json::to_string(value)?)
}

/// Reads a whole number; 0 where there is none.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn get_number(db: &Connection, name: &str) -> Result<i64, CoreError> {
    Ok(get_json(db, name)?.unwrap_or(0))
}

/// The schema that the tables were made from; empty before the first sync.
///
/// # Errors
/// Those of SQLite, and [`CoreError::Stored`].
pub fn schema(db: &Connection) -> Result<Schema, CoreError> {
    Ok(get_json(db, name::SCHEMA)?.unwrap_or_default())
}
