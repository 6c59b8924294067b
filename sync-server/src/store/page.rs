//! Reading for a pull: positions in history, grants, and rows in key order.

use serde::{Deserialize, Serialize};
use sync_protocol::schema::Schema;
use sync_protocol::wire::pull::PageTable;
use sync_protocol::{RecordId, Scope};

/// A place in the history of one database, as a cursor carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case")]
pub enum Position {
    /// PostgreSQL: the newest witness that the reading snapshot saw.
    Postgres {
        /// System identifier and timeline.
        epoch: String,
        /// The witness's random value.
        witness: String,
        /// The witness's `pg_current_snapshot()`.
        snapshot: String,
    },
    /// SQLite: the tenant's commit counter.
    Sqlite {
        /// Random value of the file's incarnation; a restored file gets a new one.
        epoch: String,
        /// The commit counter.
        commit: i64,
    },
}

/// Key order of rows: collections in the order of [`Schema::by_priority`], then record ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowKey {
    /// Collection name.
    pub collection: String,
    /// Record id.
    pub record: RecordId,
}

/// Order of receipts: when they were settled, and what tells apart those of one moment. Opaque: each
/// store has its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledKey(pub i64, pub String);

impl SettledKey {
    /// Whether the store of this position can have made it.
    #[must_use]
    pub fn is_of(&self, position: &Position) -> bool {
        match position {
            Position::Postgres { .. } => uuid::Uuid::parse_str(&self.1).is_ok(),
            Position::Sqlite { .. } => self
                .1
                .split_once('/')
                .is_some_and(|(place, id)| place.parse::<i64>().is_ok() && !id.contains('\0')),
        }
    }
}

/// A user's grants against a position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Held, and unchanged since the position; without a position all that are held.
    pub held: Vec<Scope>,
    /// Changed since the position.
    pub changed: Vec<GrantChange>,
}

/// A grant that changed since a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantChange {
    /// The scope.
    pub scope: Scope,
    /// The change's stamp, opaque; two changes of one grant differ in it.
    pub stamp: String,
    /// Whether it is held now.
    pub held: bool,
}

/// What changed since a position.
#[derive(Debug, Clone, Copy)]
pub struct DeltaQuery<'a> {
    /// The position.
    pub since: &'a Position,
    /// Scopes that are held whole.
    pub scopes: &'a [Scope],
    /// Scopes that are held up to a key: they count only for rows up to and including it.
    pub partial: Option<(&'a [Scope], &'a RowKey)>,
    /// Collections and fields that may be answered.
    pub visible: &'a Schema,
    /// Continue after this key.
    pub after: Option<&'a RowKey>,
    /// Most rows, exits included.
    pub limit: usize,
}

/// All rows of scopes.
#[derive(Debug, Clone, Copy)]
pub struct BackfillQuery<'a> {
    /// The scopes.
    pub scopes: &'a [Scope],
    /// Scopes that the device holds besides: they appear in the rows' sets, but bring no rows.
    pub held: &'a [Scope],
    /// Collections and fields that may be answered.
    pub visible: &'a Schema,
    /// Continue after this key.
    pub after: Option<&'a RowKey>,
    /// Most rows.
    pub limit: usize,
}

/// Some rows, whether they changed or not.
#[derive(Debug, Clone, Copy)]
pub struct RefetchQuery<'a> {
    /// The rows, of visible collections.
    pub records: &'a [RowKey],
    /// Scopes that are held whole.
    pub scopes: &'a [Scope],
    /// As in [`DeltaQuery::partial`].
    pub partial: Option<(&'a [Scope], &'a RowKey)>,
    /// Collections and fields that may be answered.
    pub visible: &'a Schema,
}

/// Rows in key order, as a page takes them.
#[derive(Debug, Clone, Default)]
pub struct PageRows {
    /// The sets that [`PageTable::scope_sets`] points into; each sorted.
    pub scope_sets: Vec<Vec<Scope>>,
    /// Rows and exits by collection. A row in none of the asked scopes, and a deleted one, is an exit.
    pub tables: Vec<PageTable>,
    /// How many rows and exits there are.
    pub count: usize,
    /// Where to continue; none if this was the end.
    pub next: Option<RowKey>,
}
