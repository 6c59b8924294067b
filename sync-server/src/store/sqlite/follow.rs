//! Children go where their parent goes.
//!
//! A child's `from_parent` columns are filled from its parent when it is inserted, restored or given
//! another parent; and when a parent's columns change, its children are changed with it, by the same
//! writer at the same time, and so on down to their own children. What a caller sets in such a
//! column is ignored.

use std::collections::{BTreeMap, VecDeque};

use sqlx::Row;
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::Collection;
use sync_protocol::{EditTime, Fields, RecordId, RowVersion, Value};

use super::columns::{ids_json, record};
use super::error::failed;
use super::rows::Change;
use super::tables::{ParentLink, generated, quote};
use super::write::SqliteWrite;
use crate::store::{RowWrite, StoreError, WriteKind};

impl SqliteWrite {
    /// Writes rows and everything that follows from it.
    pub(super) async fn write_and_follow(
        &mut self,
        collection: &Collection,
        writes: &[RowWrite],
    ) -> Result<Vec<RowVersion>, StoreError> {
        let (rank, _) = Self::table(&self.tenant, collection)?;
        let mut writes = writes.to_vec();
        self.fill_from_parents(rank, &mut writes).await?;
        let changes = self.write_batch(rank, &writes).await?;
        let versions = changes.iter().map(|change| change.after.meta.version).collect();
        let mut open = VecDeque::from([(rank, changes)]);
        while let Some((parent, changes)) = open.pop_front() {
            for (child, writes) in self.followers(parent, &changes).await? {
                let changes = self.write_batch(child, &writes).await?;
                open.push_back((child, changes));
            }
        }
        Ok(versions)
    }

    /// Sets the columns that are taken from the parent.
    async fn fill_from_parents(
        &mut self,
        rank: usize,
        writes: &mut [RowWrite],
    ) -> Result<(), StoreError> {
        let tables = self.tenant.tables.clone();
        let Some(link) = &tables.tables[rank].parent else { return Ok(()) };
        for write in writes.iter_mut() {
            write.set.retain(|name, _| !link.carried.contains(name));
        }
        self.fill(rank, writes.iter().map(|write| &write.record)).await?;
        let parents: Vec<Option<RecordId>> = writes
            .iter()
            .map(|write| {
                let needed = match write.kind {
                    WriteKind::Insert | WriteKind::Restore => true,
                    WriteKind::Update => write.set.contains_key(&link.field),
                    WriteKind::Delete => false,
                };
                let present = || self.rows.get(&(rank, write.record))?.fields.get(&link.field);
                match write.set.get(&link.field).or_else(present) {
                    Some(Value::Uuid(id)) if needed => Some(RecordId(*id)),
                    _ => None,
                }
            })
            .collect();
        self.fill(link.rank, parents.iter().flatten()).await?;
        for (write, parent) in writes.iter_mut().zip(parents) {
            // A parent that is not there is for the foreign key to refuse.
            let row = parent.and_then(|parent| self.rows.get(&(link.rank, parent)));
            if let Some(row) = row.filter(|row| row.meta.deleted.is_none()) {
                write.set.extend(carried(link, &row.fields));
            }
        }
        Ok(())
    }

    /// Updates of the children of parents whose carried columns changed, by the children's rank.
    async fn followers(
        &mut self,
        parent: usize,
        changes: &[Change],
    ) -> Result<Vec<(usize, Vec<RowWrite>)>, StoreError> {
        let tables = self.tenant.tables.clone();
        let mut all = Vec::new();
        if planted::is(Bug::MovedChildrenStay) {
            return Ok(all);
        }
        for child in &tables.tables[parent].children {
            let Some(link) = &tables.tables[*child].parent else { continue };
            let moved: BTreeMap<RecordId, (Fields, EditTime)> = changes
                .iter()
                .filter_map(|change| {
                    let before = carried(link, change.live_before()?);
                    let after = carried(link, change.live_after()?);
                    (before != after).then_some((change.record, (after, change.time)))
                })
                .collect();
            if moved.is_empty() {
                continue;
            }
            let sql = format!(
                "SELECT id, {0} FROM {1} WHERE {0} IN (SELECT unhex(value) FROM json_each(?))",
                quote(&link.field),
                tables.tables[*child].quoted()
            );
            let rows = sqlx::query(generated(sql))
                .bind(ids_json(moved.keys()))
                .fetch_all(&mut *self.connection)
                .await
                .map_err(failed)?;
            let mut writes = Vec::with_capacity(rows.len());
            for row in &rows {
                let of: uuid::Uuid = row.try_get_unchecked(1).map_err(failed)?;
                let Some((set, time)) = moved.get(&RecordId(of)) else { continue };
                writes.push(RowWrite {
                    record: record(row, 0)?,
                    kind: WriteKind::Update,
                    set: set.clone(),
                    touched: Vec::new(),
                    time: *time,
                });
            }
            if !writes.is_empty() {
                all.push((*child, writes));
            }
        }
        Ok(all)
    }
}

/// The carried columns of a parent's row.
fn carried(link: &ParentLink, parent: &Fields) -> Fields {
    let value = |name: &String| parent.get(name).cloned().unwrap_or(Value::Null);
    link.carried.iter().map(|name| (name.clone(), value(name))).collect()
}
