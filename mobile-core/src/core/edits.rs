//! Making edits and reading rows.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};
use sync_protocol::value::fields_to_json;
use sync_protocol::{ReceiptId, RecordId};

use super::Core;
use crate::CoreError;
use crate::edit::{Edit, known_collection};
use crate::photos::sweep;
use crate::query::{self, LiveQuery, QueryResult};
use crate::store::meta::{self, name};
use crate::store::rows;

impl Core {
    /// Makes edits that take effect together. Returns what `f` returned and the receipt's id (`None`
    /// when nothing was changed).
    ///
    /// # Errors
    /// Those of `f`, and of the database; nothing was changed then.
    pub fn transaction<T>(
        &self,
        f: impl FnOnce(&mut Edit<'_>) -> Result<T, CoreError>,
    ) -> Result<(T, Option<ReceiptId>), CoreError> {
        let engine = self.engine()?;
        let now = self.config.clock.read();
        let made = engine.store().write(|db| {
            let schema = engine.store().schema_in(db)?;
            let permissions = permissions(db)?;
            let random = self.config.random.as_ref();
            let files = engine.store().photos();
            let mut edit = Edit::begin(db, &schema, &permissions, random, files, now)?;
            let value = f(&mut edit)?;
            Ok((value, edit.finish()?))
        });
        // Also where nothing was saved: what was written of its pictures is nobody's.
        if !matches!(made, Ok((_, None)))
            && let Err(error) = sweep::settle(engine.store())
        {
            // An edit that is saved has its files: they are found under either name.
            tracing::warn!(code = error.code(), "files of photos wait for their names");
        }
        let made = made?;
        if made.1.is_some() {
            engine.edited();
        }
        Ok(made)
    }

    /// Makes a record and returns its id.
    ///
    /// # Errors
    /// As [`Edit::insert`].
    pub fn insert(
        &self,
        collection: &str,
        fields: &Map<String, Json>,
    ) -> Result<RecordId, CoreError> {
        Ok(self.transaction(|edit| edit.insert(collection, fields))?.0)
    }

    /// Changes fields of a record.
    ///
    /// # Errors
    /// As [`Edit::update`].
    pub fn update(
        &self,
        collection: &str,
        record: RecordId,
        fields: &Map<String, Json>,
    ) -> Result<Option<ReceiptId>, CoreError> {
        Ok(self.transaction(|edit| edit.update(collection, record, fields))?.1)
    }

    /// Updates the record that `fields` names under `id` if it is here, makes one otherwise. Returns its
    /// id.
    ///
    /// # Errors
    /// As [`Edit::insert`] and [`Edit::update`].
    pub fn put(&self, collection: &str, fields: &Map<String, Json>) -> Result<RecordId, CoreError> {
        let named = fields.get("id").and_then(Json::as_str).and_then(|id| id.parse().ok());
        let put = |edit: &mut Edit<'_>| match named {
            Some(record) if edit.exists(collection, record)? => {
                edit.update(collection, record, fields)?;
                Ok(record)
            }
            _ => edit.insert(collection, fields),
        };
        Ok(self.transaction(put)?.0)
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// As [`Edit::delete`].
    pub fn delete(&self, collection: &str, record: RecordId) -> Result<ReceiptId, CoreError> {
        let (_, receipt) = self.transaction(|edit| edit.delete(collection, record))?;
        receipt.ok_or_else(|| CoreError::Stored("a deletion without a receipt".to_owned()))
    }

    /// Brings a deleted record back.
    ///
    /// # Errors
    /// As [`Edit::restore`].
    pub fn restore(&self, collection: &str, record: RecordId) -> Result<ReceiptId, CoreError> {
        let (_, receipt) = self.transaction(|edit| edit.restore(collection, record))?;
        receipt.ok_or_else(|| CoreError::Stored("a restoration without a receipt".to_owned()))
    }

    /// A record as the app sees it, in canonical JSON with `id`, `_version` and `_pending`.
    ///
    /// # Errors
    /// [`CoreError::NoSuchRecord`]; those of the database.
    pub fn get(&self, collection: &str, record: RecordId) -> Result<Map<String, Json>, CoreError> {
        let store = self.store()?;
        let (schema, row) = store.read(|db| {
            let schema = store.schema_in(db)?;
            let row = rows::read(db, known_collection(&schema, collection)?, record)?;
            Ok((schema, row))
        })?;
        let known = known_collection(&schema, collection)?;
        let row = row
            .ok_or_else(|| CoreError::NoSuchRecord { collection: collection.to_owned(), record })?;
        let mut json = fields_to_json(&known.fields, &row.fields);
        json.insert("id".to_owned(), record.to_string().into());
        json.insert("_version".to_owned(), row.version.into());
        json.insert("_pending".to_owned(), row.pending.into());
        Ok(json)
    }

    /// All records of a collection, by id, as [`Core::query`] gives them.
    ///
    /// # Errors
    /// [`CoreError::UnknownCollection`]; those of the database.
    pub fn list(&self, collection: &str) -> Result<QueryResult, CoreError> {
        let store = self.store()?;
        let schema = store.read(|db| store.schema_in(db))?;
        let known = known_collection(&schema, collection)?;
        let columns: String = known
            .fields
            .iter()
            .map(|f| format!(", {}", crate::store::tables::quoted(&f.name)))
            .collect();
        let table = crate::store::tables::quoted(&known.name);
        query::run(
            &store,
            &format!("SELECT id{columns}, _version, _pending FROM {table} ORDER BY id"),
            &[],
        )
    }

    /// Runs the app's own reading SQL.
    ///
    /// # Errors
    /// [`CoreError::Query`]; those of the database.
    pub fn query(&self, sql: &str, parameters: &[Json]) -> Result<QueryResult, CoreError> {
        query::run(self.store()?.as_ref(), sql, parameters)
    }

    /// Tells when tables that a statement reads have changed.
    ///
    /// # Errors
    /// [`CoreError::Query`]; those of the database.
    pub fn watch(&self, sql: &str) -> Result<LiveQuery, CoreError> {
        LiveQuery::watch(&self.store()?, sql)
    }
}

pub(super) fn permissions(db: &rusqlite::Connection) -> Result<BTreeSet<String>, CoreError> {
    // After a logout edits go on with what was last known: the server checks again.
    Ok(meta::get_json(db, name::PERMISSIONS)?.unwrap_or_default())
}
