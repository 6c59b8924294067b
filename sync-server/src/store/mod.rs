//! The two stores behind one interface: PostgreSQL ([`postgres`]) and SQLite ([`sqlite`]).
//!
//! The interface is cut where the two differ. What is above it (deciding about edits, cutting
//! pages, reviewing) is written once; what is below it is how rows are locked, read and written,
//! and how each change is stamped: on PostgreSQL by statement triggers, whoever writes; on SQLite,
//! where nobody else writes, by the store itself, from the same rules
//! ([`sync_protocol::merge::RowMeta`]). One suite of tests (`tests/store`) runs on both.
//!
//! A database transaction is a value: [`WriteTx`] ends with [`WriteTx::commit`], or changes nothing
//! when it is dropped; [`ReadTx`] is one snapshot.

pub mod accounts;
pub mod error;
pub mod moves;
pub mod page;
pub mod photos;
pub mod postgres;
pub mod row;
pub mod sqlite;
pub mod tidy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sync_protocol::limits::TRANSACTION_MUTATIONS_MAX;
use sync_protocol::schema::{Collection, Schema};
use sync_protocol::wire::pull::ScopeDigest;
use sync_protocol::wire::push::PushMark;
use sync_protocol::wire::receipt::Receipt;
use sync_protocol::wire::review::{Authorship, Conflict};
use sync_protocol::{
    ConflictId, PushId, ReceiptId, RecordId, RowVersion, Scope, StreamId, TenantId, UserId, Value,
};

pub use accounts::Accounts;
pub use error::StoreError;
pub use moves::Moves;
pub use page::{
    BackfillQuery, DeltaQuery, Grants, PageRows, Position, RefetchQuery, RowKey, SettledKey,
};
pub use photos::PhotoRows;
pub use row::{AuditEntry, ConflictFilter, RowWrite, StoredReceipt, StoredRow, WriteKind};
pub use tidy::{Retention, Tidied};

/// Most records that [`WriteTx::referring`] answers for each of those referred to: more than one transaction may
/// delete besides it.
pub(crate) const REFERRING_MAX: usize = TRANSACTION_MUTATIONS_MAX + 1;

/// A database with the tables of one [`Schema`].
#[async_trait]
pub trait Store: Accounts + Moves + Send + Sync + 'static {
    /// The schema whose tables this store holds.
    fn schema(&self) -> &Arc<Schema>;

    /// Begins a transaction that may write rows of the tenant.
    ///
    /// `writer` is recorded as the stream that made its changes.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when no connection or lock is to be had in time.
    async fn write(
        &self,
        tenant: TenantId,
        writer: StreamId,
    ) -> Result<Box<dyn WriteTx>, StoreError>;

    /// Begins a read-only transaction: one snapshot of the tenant.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when no connection is to be had in time.
    async fn read(&self, tenant: TenantId) -> Result<Box<dyn ReadTx>, StoreError>;

    /// Does a bounded part of the housekeeping of all tenants.
    ///
    /// # Errors
    /// What the database says; what was done before stays done.
    async fn tidy(&self, retention: Retention) -> Result<Tidied, StoreError>;
}

/// A transaction that may write rows of one tenant. Dropped without [`Self::commit`] it changes nothing.
#[async_trait]
pub trait WriteTx: Send {
    /// The server's time of the changes from here on, in microseconds since 1970; the machine's clock
    /// at the beginning, where nobody says. What is deleted is kept from then on.
    fn received_at(&mut self, now_us: i64);

    /// From here on changes are recorded as made by this stream instead.
    async fn write_as(&mut self, writer: StreamId) -> Result<(), StoreError>;

    /// Waits until no other transaction works for this stream, so that its pushes are settled one
    /// after another, whichever device they come from (a copied phone has its original's stream).
    async fn lock_stream(&mut self, stream: StreamId) -> Result<(), StoreError>;

    /// Notes a push as the stream's last one, if the one before is among those that it may follow (or
    /// there was none). Otherwise changes nothing and answers the one before.
    async fn follow(
        &mut self,
        stream: StreamId,
        mark: &PushMark,
    ) -> Result<Option<PushId>, StoreError>;
    /// From here on each lock is waited for at most so long (in steps of a millisecond).
    ///
    /// What waits longer fails with [`StoreError::Locked`]; it can be rolled back to a savepoint.
    async fn wait_for_locks(&mut self, at_most: Duration) -> Result<(), StoreError>;

    /// The scopes that a user holds.
    async fn scopes_of(&mut self, user: UserId) -> Result<BTreeSet<Scope>, StoreError>;

    /// The scopes that a user held once, and does not hold now.
    async fn lost_scopes(&mut self, user: UserId) -> Result<BTreeSet<Scope>, StoreError>;

    /// Those of the records that are or were in a scope which the user holds or held.
    async fn once_held(
        &mut self,
        user: UserId,
        collection: &Collection,
        ids: &[RecordId],
    ) -> Result<BTreeSet<RecordId>, StoreError>;

    /// Those of the receipts that exist, of whichever device of the tenant.
    async fn receipts(&mut self, ids: &[ReceiptId]) -> Result<Vec<StoredReceipt>, StoreError>;

    /// As [`Self::receipts`], locked until the end of the transaction: two decisions about one
    /// transaction's conflicts must not overwrite what each writes into its receipt.
    async fn lock_receipts(&mut self, ids: &[ReceiptId]) -> Result<Vec<StoredReceipt>, StoreError>;

    /// Reads rows, deleted ones included, and locks them in key order until the end of the
    /// transaction. Ids that never existed are missing from the result.
    ///
    /// A deleted row has the content of its tombstone.
    async fn lock_rows(
        &mut self,
        collection: &Collection,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, StoredRow>, StoreError>;

    /// As [`Self::lock_rows`], without locking: for rows that are only referred to.
    async fn rows(
        &mut self,
        collection: &Collection,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, StoredRow>, StoreError>;

    /// Grants a scope to a user; nothing happens if it is held.
    async fn grant(&mut self, user: UserId, scope: &Scope) -> Result<(), StoreError>;

    /// Who writes in a stream, from its newest receipt; none for plain SQL and unknown streams.
    async fn author_of(&mut self, stream: StreamId) -> Result<Option<Authorship>, StoreError>;

    /// Live rows by their natural key: for each of `keys` (values in the order of the key's
    /// fields) the row that has it, locked.
    async fn find_by_natural_key(
        &mut self,
        collection: &Collection,
        keys: &[Vec<Value>],
    ) -> Result<Vec<Option<RecordId>>, StoreError>;

    /// Those of these SHA-256 hashes that a record of one of these photo collections has: a live one, or a
    /// deleted one whose content is kept. What transactions that are not committed write is not seen.
    async fn known_pictures(
        &mut self,
        photos: &[&Collection],
        hashes: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, StoreError>;

    /// Live records, at most [`REFERRING_MAX`] for each, whose `field` refers to one of these.
    async fn referring(
        &mut self,
        collection: &Collection,
        field: &str,
        to: &[RecordId],
    ) -> Result<Vec<RecordId>, StoreError>;

    /// Writes rows of one collection with set statements, and their bookkeeping. A record occurs
    /// once in `writes`. Answers the version of each row after the write, in the order of `writes`.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] for an error of the tables' own constraints or triggers; after
    /// any error the transaction can only be rolled back, to a savepoint or whole.
    async fn write_rows(
        &mut self,
        collection: &Collection,
        writes: &[RowWrite],
    ) -> Result<Vec<RowVersion>, StoreError>;

    /// Sets a savepoint. One at a time.
    async fn savepoint(&mut self) -> Result<(), StoreError>;

    /// Forgets the savepoint and keeps what was written since.
    async fn release_savepoint(&mut self) -> Result<(), StoreError>;

    /// Undoes what was written since the savepoint, and forgets it.
    async fn rollback_to_savepoint(&mut self) -> Result<(), StoreError>;

    /// Writes receipts, new ones or with another state; stamps them for [`ReadTx::settled`].
    ///
    /// # Errors
    /// [`StoreError::Busy`] if an id was saved meanwhile for another stream: trying again finds it.
    async fn save_receipts(&mut self, receipts: &[StoredReceipt]) -> Result<(), StoreError>;

    /// Tells receipts of other streams to this one as well, now and when they change: its database
    /// has the same transactions.
    async fn echo_receipts(
        &mut self,
        stream: StreamId,
        ids: &[ReceiptId],
    ) -> Result<(), StoreError>;

    /// Marks receipts of this stream, and those echoed to it, as seen by their device; others stay
    /// as they are. A stream is one person's, which the caller has made sure of.
    async fn mark_seen(&mut self, stream: StreamId, ids: &[ReceiptId]) -> Result<(), StoreError>;

    /// Open and claimed conflicts of these records, locked.
    async fn open_conflicts(
        &mut self,
        collection: &str,
        records: &[RecordId],
    ) -> Result<Vec<Conflict>, StoreError>;

    /// One conflict, whatever its status, locked.
    async fn lock_conflict(&mut self, id: ConflictId) -> Result<Option<Conflict>, StoreError>;

    /// Writes a conflict, new or changed.
    async fn save_conflict(&mut self, conflict: &Conflict) -> Result<(), StoreError>;

    /// Appends to the audit trail, which nobody can change afterwards.
    async fn audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// Makes all of it durable and visible.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// One snapshot of one tenant.
#[async_trait]
pub trait ReadTx: PhotoRows + Send {
    /// What a cursor taken from this snapshot says: everything after it will be sent again.
    fn position(&self) -> &Position;

    /// Whether this store's history holds that position. Not, when the server was restored from an
    /// older state, or the position comes from another database.
    async fn knows(&mut self, position: &Position) -> Result<bool, StoreError>;

    /// The user's grants, told apart by whether they changed since a position.
    async fn grants(
        &mut self,
        user: UserId,
        since: Option<&Position>,
    ) -> Result<Grants, StoreError>;

    /// Rows that changed since a position in the scopes asked for, in key order.
    async fn delta(&mut self, query: DeltaQuery<'_>) -> Result<PageRows, StoreError>;

    /// All live rows of the scopes asked for, in key order.
    async fn backfill(&mut self, query: BackfillQuery<'_>) -> Result<PageRows, StoreError>;

    /// How many rows [`Self::backfill`] has still to bring. May be an estimate.
    async fn backfill_remaining(&mut self, query: BackfillQuery<'_>) -> Result<u64, StoreError>;

    /// These rows, in key order: with their content, or as exits where they are deleted, unknown or in none
    /// of the scopes.
    async fn refetch(&mut self, query: RefetchQuery<'_>) -> Result<PageRows, StoreError>;

    /// What each of the scopes holds of each visible collection; empty ones are left out.
    async fn digests(
        &mut self,
        scopes: &[Scope],
        visible: &Schema,
    ) -> Result<Vec<ScopeDigest>, StoreError>;

    /// Ids and versions of a scope's live rows of a collection, in the order of ids, after one, at most
    /// `limit`.
    async fn members(
        &mut self,
        scope: &Scope,
        collection: &Collection,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, RowVersion)>, StoreError>;

    /// Receipts of a stream, and those echoed to it, that were settled since a position; without one,
    /// those that its device has not seen. Oldest first, from a key on, at most `limit`.
    async fn settled(
        &mut self,
        stream: StreamId,
        since: Option<&Position>,
        after: Option<&SettledKey>,
        limit: usize,
    ) -> Result<Vec<(SettledKey, Receipt)>, StoreError>;

    /// As [`WriteTx::author_of`].
    async fn author_of(&mut self, stream: StreamId) -> Result<Option<Authorship>, StoreError>;

    /// One receipt.
    async fn receipt(&mut self, id: ReceiptId) -> Result<Option<StoredReceipt>, StoreError>;

    /// Rows by id, deleted ones included, not locked.
    async fn rows(
        &mut self,
        collection: &Collection,
        ids: &[RecordId],
    ) -> Result<BTreeMap<RecordId, StoredRow>, StoreError>;

    /// Conflicts, oldest first.
    async fn conflicts(&mut self, filter: &ConflictFilter) -> Result<Vec<Conflict>, StoreError>;

    /// The audit trail of a conflict, oldest first.
    async fn audit_trail(&mut self, conflict: ConflictId) -> Result<Vec<AuditEntry>, StoreError>;
}
