//! From the server's SQLite file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value as Json;
use sync_protocol::schema::{Collection, FieldType, Schema};
use sync_protocol::{ReceiptId, RecordId, UserId, Value};
use uuid::Uuid;

use super::{Row, Snapshot, is_emptied, scopes_of};

/// Reads snapshots.
pub struct Reader {
    db: Connection,
    schema: Arc<Schema>,
    last: Arc<Snapshot>,
    fresh: bool,
}

impl Reader {
    /// A reader of this file.
    #[must_use]
    pub fn open(file: &Path, schema: Arc<Schema>) -> Self {
        let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .expect("the server's file opens");
        db.pragma_update(None, "query_only", true).expect("a pragma");
        Self { db, schema, last: Arc::default(), fresh: true }
    }

    /// The next look reads everything, not only what has changed by the history.
    pub fn begin_anew(&mut self) {
        self.fresh = true;
    }

    /// Hashes of all refresh tokens, with when they end.
    ///
    /// # Panics
    /// When the file cannot be read.
    #[must_use]
    pub fn tokens(&self) -> BTreeMap<String, i64> {
        let read = || {
            let mut found =
                self.db.prepare_cached("SELECT hash, expires_at_us FROM sync_refresh_tokens")?;
            let tokens = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            tokens.collect::<rusqlite::Result<_>>()
        };
        read().expect("the server's file can be read")
    }

    /// The server's present content.
    ///
    /// # Panics
    /// When the file does not hold what it should.
    pub fn now(&mut self) -> Arc<Snapshot> {
        let commit: i64 = self
            .db
            .query_row("SELECT max(commit_no) FROM sync_history", [], |row| row.get(0))
            .expect("a history");
        if commit != self.last.commit || self.fresh {
            let next = self.read(commit).expect("the server's file can be read");
            self.last = Arc::new(next);
            self.fresh = false;
        }
        self.last.clone()
    }

    fn read(&self, commit: i64) -> rusqlite::Result<Snapshot> {
        let since = if self.fresh { -1 } else { self.last.commit };
        let mut next = Snapshot { commit, ..Snapshot::clone(&self.last) };
        for collection in self.schema.collections.values() {
            self.rows(collection, since, &mut next)?;
        }
        next.grants.clear();
        let mut grants =
            self.db.prepare_cached("SELECT user, scope FROM sync_grants WHERE held")?;
        let mut found = grants.query([])?;
        while let Some(row) = found.next()? {
            let scope: String = row.get(1)?;
            let scope = scope.parse().expect("a scope");
            next.grants.entry(UserId(id(row)?)).or_default().insert(scope);
        }
        let mut receipts =
            self.db.prepare_cached("SELECT id, body FROM sync_receipts WHERE stamp > ?1")?;
        let mut found = receipts.query([since])?;
        while let Some(row) = found.next()? {
            let body: String = row.get(1)?;
            let body: Json = serde_json::from_str(&body).expect("a receipt");
            let receipt = serde_json::from_value(body["receipt"].clone()).expect("a receipt");
            next.receipts.insert(ReceiptId(id(row)?), Arc::new(receipt));
        }
        let mut conflicts =
            self.db.prepare_cached("SELECT body FROM sync_conflicts ORDER BY id")?;
        next.conflicts = conflicts
            .query_map([], |row| row.get::<_, String>(0))?
            .map(|body| Ok(Arc::new(serde_json::from_str(&body?).expect("a conflict"))))
            .collect::<rusqlite::Result<_>>()?;
        Ok(next)
    }

    fn rows(
        &self,
        collection: &Collection,
        since: i64,
        next: &mut Snapshot,
    ) -> rusqlite::Result<()> {
        let columns: String =
            collection.fields.iter().map(|f| format!(", t.\"{}\"", f.name)).collect();
        let sql = format!(
            "SELECT r.record, r.version, r.tombstone, r.meta{columns} FROM sync_rows r
             JOIN sync_collections c ON c.id = r.collection AND c.name = ?1
             LEFT JOIN \"{}\" t ON t.id = r.record WHERE r.stamp > ?2",
            collection.name
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let mut found = statement.query((&collection.name, since))?;
        while let Some(row) = found.next()? {
            let record = RecordId(id(row)?);
            let tombstone: Option<String> = row.get(2)?;
            let kept: Option<Json> =
                tombstone.map(|text| serde_json::from_str(&text).expect("a tombstone"));
            let emptied = kept.as_ref().is_some_and(is_emptied);
            let mut fields = BTreeMap::new();
            for (index, field) in collection.fields.iter().enumerate() {
                let value = match &kept {
                    // A field that is newer than the deletion gets its default when the row comes back.
                    Some(kept) => match kept.get(&field.name) {
                        Some(value) => value.clone(),
                        None => field.default_value().to_json(&field.kind),
                    },
                    None => json_of(&field.kind, row.get_ref(4 + index)?),
                };
                fields.insert(field.name.clone(), value);
            }
            let scopes = scopes_of(collection, record, &fields);
            let meta: String = row.get(3)?;
            let meta = serde_json::from_str(&meta).expect("bookkeeping");
            let (version, deleted) = (row.get(1)?, kept.is_some());
            let row = Row { version, deleted, emptied, fields, scopes, meta };
            let name = (collection.name.clone(), record);
            // Equal rows are the same: that is how others tell what changed.
            let known = self.last.rows.get(&name).filter(|known| ***known == row).cloned();
            next.rows.insert(name, known.unwrap_or_else(|| Arc::new(row)));
        }
        Ok(())
    }
}

/// The id in the first column.
fn id(row: &rusqlite::Row<'_>) -> rusqlite::Result<Uuid> {
    Ok(Uuid::from_slice(&row.get::<_, Vec<u8>>(0)?).expect("an id"))
}

/// A column as the server's SQLite store has it, in canonical JSON.
fn json_of(kind: &FieldType, value: ValueRef<'_>) -> Json {
    let int = || value.as_i64().expect("a number");
    let text = || value.as_str().expect("a text");
    if matches!(value, ValueRef::Null) {
        return Json::Null;
    }
    let read = match kind {
        FieldType::Integer => Value::Integer(int()),
        FieldType::Decimal { .. } => Value::Decimal(int()),
        FieldType::Timestamp => Value::Timestamp(int()),
        FieldType::Boolean => Value::Boolean(int() != 0),
        FieldType::Date => Value::Date(i32::try_from(int()).expect("a date")),
        FieldType::Real => Value::Real(value.as_f64().expect("a real")),
        FieldType::Uuid => {
            Value::Uuid(Uuid::from_slice(value.as_blob().expect("a uuid")).expect("a uuid"))
        }
        FieldType::Text | FieldType::Enum { .. } => Value::Text(text().to_owned()),
        FieldType::Set => Value::Set(serde_json::from_str(text()).expect("a set")),
        FieldType::Json => Value::Json(serde_json::from_str(text()).expect("JSON")),
    };
    read.to_json(kind)
}
