//! What the server holds at one commit, read beside the code that serves phones: from the SQLite file by
//! plain SQL, from PostgreSQL by plain SQL and the store's reading of rows.

mod postgres;
mod sqlite;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;
use sync_protocol::schema::{Collection, Schema, ScopeRule};
use sync_protocol::wire::receipt::Receipt;
use sync_protocol::wire::review::Conflict;
use sync_protocol::{ReceiptId, RecordId, Scope, UserId};
use uuid::Uuid;

use crate::server::Place;

/// A row's name.
pub type Name = (String, RecordId);

/// A row as the server has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its version.
    pub version: i64,
    /// Whether it is deleted; its fields are then those of the tombstone.
    pub deleted: bool,
    /// The content of its tombstone was given up; its fields are then the defaults.
    pub emptied: bool,
    /// Its content, in canonical JSON.
    pub fields: BTreeMap<String, Json>,
    /// The scopes that its columns name.
    pub scopes: BTreeSet<Scope>,
    /// The server's bookkeeping about it, for what the oracle does not find out by itself.
    pub meta: Json,
}

/// Everything at one commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// The commit's number; on PostgreSQL, which has none, how many changes the oracle has seen.
    pub commit: i64,
    /// Live and deleted rows.
    pub rows: BTreeMap<Name, Arc<Row>>,
    /// What each person holds.
    pub grants: BTreeMap<UserId, BTreeSet<Scope>>,
    /// All receipts.
    pub receipts: BTreeMap<ReceiptId, Arc<Receipt>>,
    /// All conflicts, in the order of their ids.
    pub conflicts: Vec<Arc<Conflict>>,
}

/// Reads snapshots, each from the one before it and what changed since.
pub enum Reader {
    /// From a file.
    Sqlite(sqlite::Reader),
    /// From a database of a PostgreSQL cluster.
    Postgres(postgres::Reader),
}

impl Reader {
    /// A reader of what is there.
    #[must_use]
    pub fn open(place: &Place, schema: Arc<Schema>) -> Self {
        match place {
            Place::Sqlite(file) => Self::Sqlite(sqlite::Reader::open(file, schema)),
            Place::Postgres(urls, tenant) => {
                Self::Postgres(postgres::Reader::open(urls, *tenant, schema))
            }
        }
    }

    /// The server's present content, also what changed without being news to devices.
    ///
    /// # Panics
    /// When the database does not hold what it should.
    pub fn afresh(&mut self) -> Arc<Snapshot> {
        if let Self::Sqlite(reader) = self {
            reader.begin_anew();
        }
        self.now()
    }

    /// Hashes of all refresh tokens, with when they end.
    ///
    /// # Panics
    /// When the database cannot be read.
    #[must_use]
    pub fn tokens(&self) -> BTreeMap<String, i64> {
        match self {
            Self::Sqlite(reader) => reader.tokens(),
            Self::Postgres(reader) => reader.tokens(),
        }
    }

    /// The server's present content.
    ///
    /// # Panics
    /// When the database does not hold what it should.
    pub fn now(&mut self) -> Arc<Snapshot> {
        match self {
            Self::Sqlite(reader) => reader.now(),
            Self::Postgres(reader) => reader.now(),
        }
    }
}

/// Whether a tombstone keeps nothing any more.
fn is_emptied(tombstone: &Json) -> bool {
    tombstone.as_object().is_some_and(serde_json::Map::is_empty)
}

/// The scopes that a row's columns name.
pub(super) fn scopes_of(
    collection: &Collection,
    record: RecordId,
    fields: &BTreeMap<String, Json>,
) -> BTreeSet<Scope> {
    let entity = |kind: &str, id: Uuid| Scope::entity(kind, id);
    let scope = |rule: &ScopeRule| match rule {
        ScopeRule::Tenant => Some(Scope::tenant()),
        ScopeRule::Entity { kind, field } if field == "id" => Some(entity(kind, record.0)),
        ScopeRule::Entity { kind, field } => {
            Some(entity(kind, fields.get(field)?.as_str()?.parse().ok()?))
        }
    };
    collection.scopes.iter().filter_map(scope).collect()
}
