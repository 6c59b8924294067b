//! Writing rows of one collection with their bookkeeping.
//!
//! ```text
//! writes ─ rows as they are ─► decide (pure): row after the write, its meta
//!                               │
//!        deleted ids ───────────┼─► one DELETE
//!        new and changed rows ──┼─► upserts of whole rows
//!        meta, tombstones ──────┼─► sync_rows
//!        scopes before / after ─┴─► memberships, counts and digests
//! ```
//! Rows that are in the table are known in full, so that inserting and updating is one statement
//! for many rows, whatever fields each of them changes.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row;
use sync_protocol::merge::{Restoration, RowMeta};
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::Collection;
use sync_protocol::value::fields_to_json;
use sync_protocol::{EditTime, Fields, RecordId, RowVersion, Scope, StreamId, Value};

use super::columns::{bind, ids_json, record};
use super::error::{damaged, failed};
use super::memberships::{Stamped, digest, number_scopes, stamp};
use super::tables::{Table, batches, generated, quote, variables};
use super::write::SqliteWrite;
use crate::store::error::ConstraintKind;
use crate::store::{RowWrite, StoreError, StoredRow, WriteKind};

/// A row before and after a write.
pub(super) struct Change {
    pub record: RecordId,
    pub before: Option<StoredRow>,
    pub after: StoredRow,
    pub time: EditTime,
}

impl Change {
    /// The content before, of a row that was there.
    pub fn live_before(&self) -> Option<&Fields> {
        self.before.as_ref().filter(|row| row.meta.deleted.is_none()).map(|row| &row.fields)
    }

    /// The content after, of a row that is still there.
    pub fn live_after(&self) -> Option<&Fields> {
        self.after.meta.deleted.is_none().then_some(&self.after.fields)
    }
}

/// What a write makes of a row. Pure.
pub(super) fn decide(
    table: &Table,
    write: &RowWrite,
    before: Option<StoredRow>,
    writer: StreamId,
) -> Result<Change, StoreError> {
    let collection = &table.collection;
    let wrong = |what: &str| {
        StoreError::Internal(format!("{what} of {} {}", collection.name, write.record))
    };
    let live = before.as_ref().map(|row| row.meta.deleted.is_none());
    let after = match (write.kind, &before, live) {
        (WriteKind::Insert, None, _) => {
            let of = |name: &String| write.set.get(name).cloned().unwrap_or(Value::Null);
            let fields = collection.fields.iter().map(|f| (f.name.clone(), of(&f.name))).collect();
            StoredRow { fields, meta: RowMeta::inserted(writer, write.time) }
        }
        (WriteKind::Insert, Some(_), _) => {
            return Err(StoreError::Constraint {
                kind: ConstraintKind::Unique,
                name: Some(format!("{}.id", collection.name)),
                message: format!("the id {} was used before in {}", write.record, collection.name),
            });
        }
        (WriteKind::Update, Some(row), Some(true)) => updated(row, write, writer),
        (WriteKind::Delete, Some(row), Some(true)) => {
            let mut row = row.clone();
            row.meta.record_delete(writer, write.time);
            row
        }
        (WriteKind::Restore, Some(row), Some(false)) => {
            let mut row = updated(row, write, writer);
            row.meta.deleted = None;
            row.meta.restored = Some(Restoration { version: row.meta.version, writer });
            row
        }
        (WriteKind::Restore, ..) => return Err(wrong("restoring a row that is not deleted")),
        (_, None, _) => return Err(wrong("changing a row that does not exist")),
        (_, Some(_), _) => return Err(wrong("changing a deleted row")),
    };
    Ok(Change { record: write.record, before, after, time: write.time })
}

fn updated(row: &StoredRow, write: &RowWrite, writer: StreamId) -> StoredRow {
    let mut after = row.clone();
    let changed = write.set.iter().filter_map(|(name, new)| {
        let old = row.fields.get(name)?;
        (old != new).then_some((name.as_str(), old, new))
    });
    let touched = write.touched.iter().map(|(field, element)| (field.as_str(), element.as_str()));
    after.meta.record_update(changed, touched, writer, write.time);
    for (name, new) in &write.set {
        if let Some(value) = after.fields.get_mut(name) {
            value.clone_from(new);
        }
    }
    after
}

impl SqliteWrite {
    /// Writes rows of one collection. Parents' columns are in `writes` already.
    pub(super) async fn write_batch(
        &mut self,
        rank: usize,
        writes: &[RowWrite],
    ) -> Result<Vec<Change>, StoreError> {
        self.fill(rank, writes.iter().map(|write| &write.record)).await?;
        let tables = self.tenant.tables.clone();
        let table = &tables.tables[rank];
        let mut changes = Vec::with_capacity(writes.len());
        for write in writes {
            let before = self.rows.get(&(rank, write.record)).cloned();
            changes.push(decide(table, write, before, self.writer)?);
        }
        self.delete(table, &changes).await?;
        self.upsert(table, &changes).await?;
        self.save_meta(table, &changes).await?;
        self.save_memberships(table, &changes).await?;
        for change in &changes {
            self.rows.insert((rank, change.record), change.after.clone());
        }
        Ok(changes)
    }

    async fn delete(&mut self, table: &Table, changes: &[Change]) -> Result<(), StoreError> {
        let gone: Vec<&RecordId> = changes
            .iter()
            .filter(|change| change.live_after().is_none())
            .map(|change| &change.record)
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "DELETE FROM {} WHERE id IN (SELECT unhex(value) FROM json_each(?))",
            table.quoted()
        );
        let statement = sqlx::query(generated(sql)).bind(ids_json(gone));
        statement.execute(self.changing()).await.map(|_| ()).map_err(failed)
    }

    async fn upsert(&mut self, table: &Table, changes: &[Change]) -> Result<(), StoreError> {
        let rows = in_order_of_reference(table, changes);
        for range in batches(rows.len()) {
            let mut statement = sqlx::query(generated(table.upsert(range.len())));
            for (id, fields) in &rows[range] {
                statement = statement.bind(id.0);
                for field in &table.collection.fields {
                    statement = bind(statement, fields.get(&field.name).unwrap_or(&Value::Null));
                }
            }
            statement.execute(self.changing()).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn save_meta(&mut self, table: &Table, changes: &[Change]) -> Result<(), StoreError> {
        let number = self.tenant.collection_numbers[table.rank];
        let (commit, received_us) = (self.commit_no, self.received_us);
        for range in batches(changes.len()) {
            let sql = format!(
                "INSERT INTO sync_rows (collection, record, version, stamp, deleted, meta, tombstone, \
                 deleted_at_us) VALUES {} ON CONFLICT (collection, record) DO UPDATE SET \
                 version = excluded.version, stamp = excluded.stamp, deleted = excluded.deleted, \
                 meta = excluded.meta, tombstone = excluded.tombstone, \
                 deleted_at_us = excluded.deleted_at_us",
                variables(range.len(), 8)
            );
            let mut statement = sqlx::query(generated(sql));
            for change in &changes[range] {
                let meta = serde_json::to_string(&change.after.meta).map_err(damaged)?;
                let tombstone = change.live_after().is_none().then(|| {
                    let content = fields_to_json(&table.collection.fields, &change.after.fields);
                    serde_json::Value::Object(content).to_string()
                });
                statement = statement
                    .bind(number)
                    .bind(change.record.0)
                    .bind(change.after.meta.version)
                    .bind(commit)
                    .bind(i64::from(tombstone.is_some()))
                    .bind(meta);
                let deleted_at_us = tombstone.is_some().then_some(received_us);
                statement = statement.bind(tombstone).bind(deleted_at_us);
            }
            statement.execute(self.changing()).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn save_memberships(
        &mut self,
        table: &Table,
        changes: &[Change],
    ) -> Result<(), StoreError> {
        let number = self.tenant.collection_numbers[table.rank];
        let scopes_of = |record: RecordId, fields: Option<&Fields>| -> BTreeSet<Scope> {
            fields.map_or_else(BTreeSet::new, |fields| {
                table.collection.scopes_of(record, fields).into_iter().collect()
            })
        };
        let scopes: Vec<(BTreeSet<Scope>, BTreeSet<Scope>)> = changes
            .iter()
            .map(|change| {
                let before = scopes_of(change.record, change.live_before());
                (before, scopes_of(change.record, change.live_after()))
            })
            .collect();
        let all: BTreeSet<Scope> =
            scopes.iter().flat_map(|(before, after)| before.union(after)).cloned().collect();
        let numbers = number_scopes(self.changing(), &all).await?;
        let mut stamped = Vec::new();
        for (change, (before, after)) in changes.iter().zip(&scopes) {
            let record = change.record;
            for scope in after {
                stamped.push(Stamped { scope: numbers[scope], record, gone: false });
                let came = digest(record, change.after.meta.version);
                self.heads.came(numbers[scope], number, came);
            }
            for scope in before {
                if !after.contains(scope) {
                    stamped.push(Stamped { scope: numbers[scope], record, gone: true });
                }
                if change.live_after().is_none() && planted::is(Bug::DigestCountsDeleted) {
                    continue;
                }
                let version: RowVersion = change.before.as_ref().map_or(0, |b| b.meta.version);
                self.heads.went(numbers[scope], number, digest(record, version));
            }
        }
        let commit = self.commit_no;
        stamp(self.changing(), number, commit, &stamped).await
    }

    /// Live rows by their natural key.
    pub(super) async fn natural_keys(
        &mut self,
        collection: &Collection,
        keys: &[Vec<Value>],
    ) -> Result<Vec<Option<RecordId>>, StoreError> {
        let (rank, _) = Self::table(&self.tenant, collection)?;
        let table = &self.tenant.tables.tables[rank];
        let fields = table.key_fields();
        let mut found = vec![None; keys.len()];
        if fields.is_empty() {
            return Ok(found);
        }
        let equal: Vec<String> = fields
            .iter()
            .enumerate()
            .map(|(i, f)| format!("t.{} = k.column{}", quote(&f.name), i + 2))
            .collect();
        for range in batches(keys.len()) {
            let sql = format!(
                "SELECT k.column1, t.id FROM (VALUES {}) k JOIN {} t ON {}",
                variables(range.len(), fields.len() + 1),
                table.quoted(),
                equal.join(" AND ")
            );
            let mut statement = sqlx::query(generated(sql));
            for index in range {
                statement = statement.bind(i64::try_from(index).map_err(damaged)?);
                for (position, _) in fields.iter().enumerate() {
                    let value = keys[index].get(position).unwrap_or(&Value::Null);
                    statement = bind(statement, value);
                }
            }
            for row in statement.fetch_all(&mut *self.connection).await.map_err(failed)? {
                let index: i64 = row.try_get_unchecked(0).map_err(failed)?;
                found[usize::try_from(index).map_err(damaged)?] = Some(record(&row, 1)?);
            }
        }
        Ok(found)
    }
}

/// The rows to be written, those that others of them refer to first: SQLite checks references at
/// the end of each statement. Rows in a circle come last, and are refused if one statement does
/// not take them all.
fn in_order_of_reference<'a>(table: &Table, changes: &'a [Change]) -> Vec<(RecordId, &'a Fields)> {
    let mut left: Vec<(RecordId, &Fields)> =
        changes.iter().filter_map(|c| Some((c.record, c.live_after()?))).collect();
    if table.self_references.is_empty() || left.len() < 2 {
        return left;
    }
    let mut order = Vec::with_capacity(left.len());
    let mut waiting: BTreeMap<RecordId, ()> = left.iter().map(|(id, _)| (*id, ())).collect();
    loop {
        let (ready, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(|(id, fields)| {
            !table.self_references.iter().any(|name| match fields.get(name) {
                Some(Value::Uuid(to)) => to != &id.0 && waiting.contains_key(&RecordId(*to)),
                _ => false,
            })
        });
        if ready.is_empty() {
            order.extend(rest);
            return order;
        }
        for (id, _) in &ready {
            waiting.remove(id);
        }
        order.extend(ready);
        left = rest;
    }
}
