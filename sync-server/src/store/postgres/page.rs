//! Pages of rows, in key order, straight from the binary format into columns.
//!
//! **Delta.** The memberships and the log's lines that were stamped after the position, in the scopes
//! asked for, name the changed records (by indexes on tenant, scope and stamp: nothing new costs the same
//! in a large company); the page's records are then read from their tables. Which of the held scopes a
//! row is in is computed from its own columns, as of the same snapshot. In none, or gone: an exit.
//!
//! **Backfill.** Collection after collection, the rows of the scopes by the tables' own indexes,
//! copied out ([`copy`]).
//! The keyset bound stands on both sides of the join with the versions: on one side only, the
//! planner may read the other from its start for every page.

use std::collections::{BTreeSet, HashSet};

use sqlx::{Postgres, Row, Transaction};
use sync_protocol::schema::{Collection, Schema, ScopeRule};
use sync_protocol::{RecordId, Scope, TenantId};
use uuid::Uuid;

use super::copy::CutCopies;
use super::ddl::table;
use super::decode::Cells;
use super::error::store_error;
use super::filling::Page;
use super::quote::ident;
use super::quote::literal;
use super::read::snapshot_of;
use super::{copy, decode, query};
use crate::store::{
    BackfillQuery, DeltaQuery, PageRows, Position, RefetchQuery, RowKey, StoreError,
};

type Tx = Transaction<'static, Postgres>;

/// See [`crate::store::ReadTx::delta`].
pub(super) async fn delta(
    tx: &mut Tx,
    ahead: &mut Ahead,
    tenant: TenantId,
    asked: DeltaQuery<'_>,
) -> Result<PageRows, StoreError> {
    let order = asked.visible.by_priority();
    let (changed, more) = ahead.changed_records(tx, tenant, asked, &order).await?;
    let page = rows_of(tx, tenant, &order, &changed, (asked.scopes, asked.partial)).await?;
    let next = changed.last().filter(|_| more).and_then(|(rank, id)| {
        let collection = order.get(*rank)?.name.clone();
        Some(RowKey { collection, record: RecordId(*id) })
    });
    Ok(page.finish(next))
}

/// See [`crate::store::ReadTx::refetch`].
pub(super) async fn refetch(
    tx: &mut Tx,
    tenant: TenantId,
    asked: RefetchQuery<'_>,
) -> Result<PageRows, StoreError> {
    let order = asked.visible.by_priority();
    let key = |key: &RowKey| (rank_of(&order, &key.collection), key.record.0);
    let keys: BTreeSet<Key> = asked.records.iter().map(key).collect();
    let keys: Vec<Key> = keys.into_iter().collect();
    let page = rows_of(tx, tenant, &order, &keys, (asked.scopes, asked.partial)).await?;
    Ok(page.finish(None))
}

/// Scopes that are held whole, and those that are held up to a key.
type Held<'a> = (&'a [Scope], Option<(&'a [Scope], &'a RowKey)>);

/// Reads the rows of keys, which are in order; those that are in no scope held become exits.
async fn rows_of(
    tx: &mut Tx,
    tenant: TenantId,
    order: &[&Collection],
    keys: &[Key],
    (whole, partial): Held<'_>,
) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let mut start = 0;
    while let Some((rank, _)) = keys.get(start) {
        let end = start + keys[start..].iter().take_while(|(r, _)| r == rank).count();
        let ids: Vec<Uuid> = keys[start..end].iter().map(|(_, id)| *id).collect();
        start = end;
        let Some(collection) = order.get(*rank) else { continue };
        let held = |id: RecordId| {
            let key = (*rank, id.0);
            partial.filter(|(_, to)| key <= (rank_of(order, &to.collection), to.record.0))
        };
        let sql = format!(
            "{} WHERE b.tenant_id = $1 AND b.id = ANY($3) \
             AND r.tenant_id = $1 AND r.record_id = ANY($3) ORDER BY b.id",
            select(collection, "$2")
        );
        let rows = query(sql)
            .bind(tenant.0)
            .bind(collection.name.clone())
            .bind(ids.clone())
            .fetch_all(&mut **tx)
            .await
            .map_err(store_error)?;
        let mut filling = page.table(collection);
        let mut live = HashSet::new();
        for row in &rows {
            let id = record_id(row)?;
            let partial = held(id).map_or(&[][..], |(scopes, _)| scopes);
            let sees = |scope: &Scope| whole.contains(scope) || partial.contains(scope);
            if filling.push(row, id, &sees, partial.is_empty())? {
                live.insert(id.0);
            }
        }
        filling.table.exits =
            ids.into_iter().filter(|id| !live.contains(id)).map(RecordId).collect();
        page.add(filling);
    }
    Ok(page)
}

/// Most keys that are read ahead of their pages: 24 bytes each.
const KEYS_AHEAD_MAX: usize = 50_000;

/// Keys of changed records, read for several pages of one snapshot: finding and sorting them takes
/// all that changed, whatever part of it a page brings.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    of: Option<Asked>,
    /// In order.
    keys: Vec<Key>,
    /// Whether these are all.
    complete: bool,
}

/// Rank of the collection, and id.
type Key = (usize, Uuid);

/// What the keys are an answer to.
#[derive(Debug, PartialEq)]
struct Asked {
    since: Position,
    scopes: Vec<Scope>,
    partial: Option<(Vec<Scope>, RowKey)>,
    collections: Vec<String>,
}

impl Asked {
    fn of(asked: DeltaQuery<'_>, order: &[&Collection]) -> Self {
        Self {
            since: asked.since.clone(),
            scopes: asked.scopes.to_vec(),
            partial: asked.partial.map(|(scopes, to)| (scopes.to_vec(), to.clone())),
            collections: order.iter().map(|collection| collection.name.clone()).collect(),
        }
    }
}

impl Ahead {
    /// The changed records of the page, and whether more follow.
    async fn changed_records(
        &mut self,
        tx: &mut Tx,
        tenant: TenantId,
        asked: DeltaQuery<'_>,
        order: &[&Collection],
    ) -> Result<(Vec<Key>, bool), StoreError> {
        let question = Asked::of(asked, order);
        let after = asked.after.map(|key| (rank_of(order, &key.collection), key.record.0));
        // A page that goes on among the keys; one from the beginning is read anew.
        let goes_on = self.of.as_ref() == Some(&question)
            && after.is_some_and(|after| self.keys.first().is_none_or(|first| *first <= after));
        let mut start = self.keys.partition_point(|key| after.is_some_and(|after| *key <= after));
        if !goes_on || (!self.complete && self.keys.len() - start <= asked.limit) {
            let most = if goes_on { KEYS_AHEAD_MAX.max(asked.limit) } else { asked.limit };
            let most = most.saturating_add(1);
            self.keys = changed_keys(tx, tenant, asked, order, most).await?;
            self.complete = self.keys.len() < most;
            self.of = Some(question);
            start = 0;
        }
        let rest = &self.keys[start..];
        let more = rest.len() > asked.limit;
        Ok((rest.iter().take(asked.limit).copied().collect(), more))
    }
}

/// Keys of changed records in order, at most `most`.
async fn changed_keys(
    tx: &mut Tx,
    tenant: TenantId,
    asked: DeltaQuery<'_>,
    order: &[&Collection],
    most: usize,
) -> Result<Vec<Key>, StoreError> {
    let names: Vec<String> = order.iter().map(|c| c.name.clone()).collect();
    let rank = "array_position($4::text[], m.collection)";
    // What moved, by the memberships; what stayed where it is, by the log's lines.
    let changed = |scopes: &str, to: &str| {
        let since = format!(
            "m.tenant_id = $1 AND m.scope = ANY({scopes}::text[]) \
             AND m.stamp >= pg_snapshot_xmin($3::pg_snapshot) \
             AND NOT pg_visible_in_snapshot(m.stamp, $3::pg_snapshot) \
             AND m.collection = ANY($4::text[])"
        );
        format!(
            "SELECT m.collection, m.record_id FROM sync.memberships m WHERE {since}{to} \
             UNION \
             SELECT m.collection, m.record_id FROM ( \
               SELECT m.collection, unnest(m.records) AS record_id FROM sync.scope_log m \
               WHERE {since}) m WHERE true{to}"
        )
    };
    let sql = format!(
        "SELECT {rank}, m.record_id FROM ( \
           {} \
           UNION \
           {} \
         ) m WHERE $5::int IS NULL OR ({rank}, m.record_id) > ($5::int, $6::uuid) \
         ORDER BY 1, 2 LIMIT $7",
        changed("$2", ""),
        changed("$8", &format!(" AND ({rank}, m.record_id) <= ($9::int, $10::uuid)")),
    );
    let key = |key: &RowKey| {
        let rank = i32::try_from(rank_of(order, &key.collection)).unwrap_or(i32::MAX);
        // SQL's arrays count from 1.
        (rank.saturating_add(1), key.record.0)
    };
    let after = asked.after.map(key);
    let (partial, to) = match asked.partial {
        Some((scopes, to)) => (scopes, Some(key(to))),
        None => (&[][..], None),
    };
    let rows = query(sql)
        .bind(tenant.0)
        .bind(texts(asked.scopes))
        .bind(snapshot_of(asked.since)?.to_owned())
        .bind(names)
        .bind(after.map(|key| key.0))
        .bind(after.map(|key| key.1))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .bind(texts(partial))
        .bind(to.map(|key| key.0))
        .bind(to.map(|key| key.1))
        .fetch_all(&mut **tx)
        .await
        .map_err(store_error)?;
    let mut changed = Vec::with_capacity(rows.len());
    for row in &rows {
        let rank: i32 = row.try_get(0).map_err(store_error)?;
        let id = row.try_get(1).map_err(store_error)?;
        changed.push((usize::try_from(rank - 1).unwrap_or(usize::MAX), id));
    }
    Ok(changed)
}

/// See [`crate::store::ReadTx::backfill`].
pub(super) async fn backfill(
    tx: &mut Tx,
    cut: &CutCopies,
    tenant: TenantId,
    asked: BackfillQuery<'_>,
) -> Result<PageRows, StoreError> {
    let sees = |scope: &Scope| asked.scopes.contains(scope) || asked.held.contains(scope);
    let mut page = Page::default();
    let mut last: Option<RowKey> = None;
    for (collection, after) in remaining_collections(asked.visible, asked.after) {
        let Some(filter) = Filter::of(collection, asked.scopes) else { continue };
        // One more than fits tells whether more follow.
        let room = asked.limit.saturating_sub(page.rows.count);
        let after = after.map_or_else(String::new, |id| {
            format!(" AND b.id > '{id}'::uuid AND r.record_id > '{id}'::uuid")
        });
        let query = format!(
            "{} WHERE b.tenant_id = '{tenant}' AND r.tenant_id = '{tenant}'{}{after} \
             ORDER BY b.id LIMIT {}",
            select(collection, &literal(&collection.name)),
            filter.written_out(),
            room.saturating_add(1)
        );
        let mut filling = page.table(collection);
        let mut id = None;
        let mut count = 0;
        copy::each(tx, cut, &query, |row| {
            count += 1;
            if count <= room {
                let record = record_id(row)?;
                filling.push(row, record, &sees, true)?;
                id = Some(record);
            }
            Ok(())
        })
        .await?;
        page.add(filling);
        if let Some(record) = id {
            last = Some(RowKey { collection: collection.name.clone(), record });
        }
        if count > room {
            return Ok(page.finish(last.or_else(|| asked.after.cloned())));
        }
    }
    Ok(page.finish(None))
}

/// See [`crate::store::ReadTx::backfill_remaining`].
pub(super) async fn backfill_remaining(
    tx: &mut Tx,
    tenant: TenantId,
    asked: BackfillQuery<'_>,
) -> Result<u64, StoreError> {
    let mut remaining = 0;
    for (collection, after) in remaining_collections(asked.visible, asked.after) {
        let Some(filter) = Filter::of(collection, asked.scopes) else { continue };
        let bound = if after.is_some() { "b.id > $3::uuid" } else { "$3::uuid IS NULL" };
        let sql = format!(
            "SELECT count(*) FROM {} b WHERE b.tenant_id = $1 AND {bound}{}",
            table(collection),
            filter.sql.replace("$3", "$2")
        );
        let row = query(sql)
            .bind(tenant.0)
            .bind(filter.ids)
            .bind(after.map(|id| id.0))
            .fetch_one(&mut **tx)
            .await
            .map_err(store_error)?;
        let count: i64 = row.try_get(0).map_err(store_error)?;
        remaining += u64::try_from(count).unwrap_or(0);
    }
    Ok(remaining)
}

/// The collections from a key on, the first one with the id to continue after.
fn remaining_collections<'a>(
    visible: &'a Schema,
    after: Option<&RowKey>,
) -> impl Iterator<Item = (&'a Collection, Option<RecordId>)> {
    let order = visible.by_priority();
    let first = after.map_or(0, |key| rank_of(&order, &key.collection));
    let after = after.map(|key| key.record);
    let rest = order.into_iter().enumerate().skip(first);
    rest.map(move |(rank, c)| (c, after.filter(|_| rank == first)))
}

fn rank_of(order: &[&Collection], name: &str) -> usize {
    order.iter().position(|collection| collection.name == name).unwrap_or(order.len())
}

/// Which rows of a table are in some of the scopes.
struct Filter {
    /// Condition that follows others; `$3` are the ids.
    sql: String,
    ids: Vec<Uuid>,
}

impl Filter {
    /// None if no row can be in one of the scopes.
    fn of(collection: &Collection, scopes: &[Scope]) -> Option<Self> {
        if collection.scopes.contains(&ScopeRule::Tenant) && scopes.contains(&Scope::tenant()) {
            return Some(Self { sql: " AND $3::uuid[] IS NOT NULL".to_owned(), ids: Vec::new() });
        }
        let mut ids: BTreeSet<Uuid> = BTreeSet::new();
        let mut columns = Vec::new();
        for rule in &collection.scopes {
            let ScopeRule::Entity { kind, field } = rule else { continue };
            let before = ids.len();
            let of_kind = scopes.iter().filter_map(|scope| scope.as_str().split_once(':'));
            ids.extend(
                of_kind.filter(|(k, _)| k == kind).filter_map(|(_, id)| id.parse::<Uuid>().ok()),
            );
            if ids.len() > before || scopes.iter().any(|s| kind_of(s) == kind) {
                columns.push(format!("b.{} = ANY($3::uuid[])", ident(field)));
            }
        }
        if columns.is_empty() {
            return None;
        }
        let sql = format!(" AND ({})", columns.join(" OR "));
        Some(Self { sql, ids: ids.into_iter().collect() })
    }

    /// The condition with the ids in it, for statements that take no parameters.
    fn written_out(&self) -> String {
        let ids: Vec<String> = self.ids.iter().map(Uuid::to_string).collect();
        self.sql.replace("$3", &literal(&format!("{{{}}}", ids.join(","))))
    }
}

fn kind_of(scope: &Scope) -> &str {
    scope.as_str().split_once(':').map_or("", |(kind, _)| kind)
}

/// Id, version, scope columns, content. `name` is the collection's name, a parameter or quoted.
fn select(collection: &Collection, name: &str) -> String {
    let columns: String = scope_columns(collection)
        .into_iter()
        .chain(collection.fields.iter().map(|f| f.name.as_str()))
        .map(|name| format!(", b.{}", ident(name)))
        .collect();
    format!(
        "SELECT b.id, r.version{columns} FROM {} b \
         JOIN sync.rows r ON r.collection = {name} AND r.record_id = b.id",
        table(collection)
    )
}

/// The columns that name scopes, `id` among them, each once.
pub(super) fn scope_columns(collection: &Collection) -> Vec<&str> {
    let mut columns = Vec::new();
    for rule in &collection.scopes {
        if let ScopeRule::Entity { field, .. } = rule
            && !columns.contains(&field.as_str())
        {
            columns.push(field.as_str());
        }
    }
    columns
}

fn record_id(row: &impl Cells) -> Result<RecordId, StoreError> {
    let id = decode::bytes(row, 0)?.map(decode::uuid).transpose()?.unwrap_or_default();
    Ok(RecordId(id))
}

fn texts(scopes: &[Scope]) -> Vec<String> {
    scopes.iter().map(Scope::to_string).collect()
}
