//! Pages of rows in key order: what changed (delta), and all there is (backfill).
//!
//! Both find the keys of their rows in the memberships, collection by collection in the order of
//! priority, and stop at the limit; then they read the rows of these keys. The set of scopes of a
//! row is taken from its own columns, which are what the memberships were written from.
//!
//! A delta first asks which collections have changed at all, by the index on (scope, stamp): a pull
//! that finds nothing new looks once into that index per scope held, however many rows there are.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::{Collection, FieldType, Schema, ScopeRule};
use sync_protocol::wire::pull::{Column, PageTable};
use sync_protocol::{RecordId, Scope};
use uuid::Uuid;

use super::columns::{append, record};
use super::error::{damaged, failed};
use super::memberships::{all_scopes, known_scopes};
use super::position::since;
use super::tables::{Table, batches, generated, quote, variables};
use super::tenants::TenantFile;
use crate::store::{BackfillQuery, DeltaQuery, PageRows, RefetchQuery, RowKey, StoreError};

/// Scopes in one statement of a backfill, which merges as many ordered runs of keys. SQLite allows
/// 500 parts of a compound statement; more scopes are merged here.
const RUNS_MAX: usize = 200;
/// Up to how many keys [`backfill_remaining`] counts; beyond, it answers what the scopes hold.
const COUNT_MAX: i64 = 20_000;

/// The columns of each row that a page reads before the visible fields: key, version, whether it
/// is there.
const LEADING: usize = 3;

/// What changed after a position.
pub(super) async fn delta(
    connection: &mut SqliteConnection,
    tenant: &TenantFile,
    query: DeltaQuery<'_>,
) -> Result<PageRows, StoreError> {
    let commit = since(query.since);
    let (partial, up_to) = match query.partial {
        Some((scopes, key)) => (scopes, Some(key)),
        None => (&[][..], None),
    };
    let held_numbers = known_scopes(connection, query.scopes).await?;
    let partial_numbers = known_scopes(connection, partial).await?;
    let both: Vec<i64> = held_numbers.values().chain(partial_numbers.values()).copied().collect();
    let changed = changed_collections(connection, &both, commit).await?;

    let whole: BTreeSet<&Scope> = query.scopes.iter().collect();
    let with_partial: BTreeSet<&Scope> = query.scopes.iter().chain(partial).collect();
    let mut page = Page::new(query.limit);
    for table in tables_after(tenant, query.visible, query.after) {
        let number = tenant.collection_numbers[table.rank];
        if !changed.contains(&number) {
            continue;
        }
        let reach = reach(tenant, table, up_to);
        let keys = ChangedKeys {
            whole: held_numbers.values().copied().collect(),
            partial: partial_numbers.values().copied().collect(),
            up_to: reach,
            commit,
            number,
            after: after_in(table, query.after),
            limit: page.room() + 1,
        };
        let rows = changed_rows(connection, table, query.visible, &keys).await?;
        let counted = |id| if reach.includes(id) { &with_partial } else { &whole };
        if page.take(table, query.visible, &rows, counted)? {
            break;
        }
    }
    Ok(page.finish())
}

/// Some rows, whether they changed or not.
pub(super) async fn refetch(
    connection: &mut SqliteConnection,
    tenant: &TenantFile,
    query: RefetchQuery<'_>,
) -> Result<PageRows, StoreError> {
    let (partial, up_to) = match query.partial {
        Some((scopes, key)) => (scopes, Some(key)),
        None => (&[][..], None),
    };
    let others = match planted::is(Bug::RefetchOutOfScope) {
        true => all_scopes(connection).await?,
        false => Vec::new(),
    };
    let whole: BTreeSet<&Scope> = query.scopes.iter().chain(&others).collect();
    let with_partial: BTreeSet<&Scope> = query.scopes.iter().chain(partial).collect();
    let mut page = Page::new(query.records.len());
    for table in tables_after(tenant, query.visible, None) {
        let name = &table.collection.name;
        let of_table = query.records.iter().filter(|key| key.collection == *name);
        let ids: BTreeSet<RecordId> = of_table.map(|key| key.record).collect();
        let ids: Vec<RecordId> = ids.into_iter().collect();
        let number = tenant.collection_numbers[table.rank];
        let reach = reach(tenant, table, up_to);
        let mut rows = Vec::with_capacity(ids.len());
        for range in batches(ids.len()) {
            let ids = &ids[range];
            rows.extend(named_rows(connection, table, query.visible, number, ids).await?);
        }
        let counted = |id| if reach.includes(id) { &with_partial } else { &whole };
        page.take(table, query.visible, &rows, counted)?;
    }
    Ok(page.finish())
}

async fn named_rows(
    connection: &mut SqliteConnection,
    table: &Table,
    visible: &Schema,
    number: i64,
    ids: &[RecordId],
) -> Result<Vec<SqliteRow>, StoreError> {
    let sql = format!(
        "WITH k (record) AS (VALUES {}) \
         SELECT {} FROM k LEFT JOIN sync_rows r ON r.collection = ? AND r.record = k.record \
         LEFT JOIN {} t ON t.id = k.record ORDER BY k.record",
        variables(ids.len(), 1),
        page_columns(table, visible),
        table.quoted()
    );
    let mut statement = sqlx::query(generated(sql));
    for id in ids {
        statement = statement.bind(id.0);
    }
    statement.bind(number).fetch_all(connection).await.map_err(failed)
}

/// How far partial scopes count in one collection.
#[derive(Debug, Clone, Copy)]
enum Reach {
    All,
    UpTo(RecordId),
    None,
}

impl Reach {
    fn includes(self, id: RecordId) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::UpTo(last) => id <= last,
        }
    }
}

fn reach(tenant: &TenantFile, table: &Table, up_to: Option<&RowKey>) -> Reach {
    let Some(key) = up_to else { return Reach::None };
    match tenant.tables.get(&key.collection).map(|t| t.rank.cmp(&table.rank)) {
        Some(std::cmp::Ordering::Greater) => Reach::All,
        Some(std::cmp::Ordering::Equal) => Reach::UpTo(key.record),
        _ => Reach::None,
    }
}

async fn changed_collections(
    connection: &mut SqliteConnection,
    scopes: &[i64],
    commit: i64,
) -> Result<BTreeSet<i64>, StoreError> {
    sqlx::query_scalar::<_, i64>(
        "SELECT DISTINCT collection FROM sync_memberships INDEXED BY sync_memberships_changed \
         WHERE scope IN (SELECT value FROM json_each(?)) AND stamp > ?",
    )
    .bind(serde_json::to_string(scopes).map_err(damaged)?)
    .bind(commit)
    .fetch_all(connection)
    .await
    .map(|numbers| numbers.into_iter().collect())
    .map_err(failed)
}

struct ChangedKeys {
    whole: Vec<i64>,
    partial: Vec<i64>,
    up_to: Reach,
    commit: i64,
    number: i64,
    after: Vec<u8>,
    limit: usize,
}

async fn changed_rows(
    connection: &mut SqliteConnection,
    table: &Table,
    visible: &Schema,
    keys: &ChangedKeys,
) -> Result<Vec<SqliteRow>, StoreError> {
    let mut whole = keys.whole.clone();
    let (partial, last): (&[i64], Vec<u8>) = match keys.up_to {
        Reach::None => (&[], Vec::new()),
        Reach::All => {
            whole.extend(&keys.partial);
            (&[], Vec::new())
        }
        Reach::UpTo(last) => (&keys.partial, last.0.as_bytes().to_vec()),
    };
    let sql = format!(
        "WITH k AS ( \
           SELECT record FROM sync_memberships INDEXED BY sync_memberships_changed \
           WHERE scope IN (SELECT value FROM json_each(?1)) \
             AND stamp > ?3 AND collection = ?4 AND record > ?5 \
           UNION \
           SELECT record FROM sync_memberships INDEXED BY sync_memberships_changed \
           WHERE scope IN (SELECT value FROM json_each(?2)) \
             AND stamp > ?3 AND collection = ?4 AND record > ?5 AND record <= ?6 \
           ORDER BY record LIMIT ?7) \
         SELECT {} FROM k JOIN sync_rows r ON r.collection = ?4 AND r.record = k.record \
         LEFT JOIN {} t ON t.id = k.record ORDER BY k.record",
        page_columns(table, visible),
        table.quoted()
    );
    sqlx::query(generated(sql))
        .bind(serde_json::to_string(&whole).map_err(damaged)?)
        .bind(serde_json::to_string(partial).map_err(damaged)?)
        .bind(keys.commit)
        .bind(keys.number)
        .bind(keys.after.clone())
        .bind(last)
        .bind(i64::try_from(keys.limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
        .map_err(failed)
}

/// All live rows of scopes.
pub(super) async fn backfill(
    connection: &mut SqliteConnection,
    tenant: &TenantFile,
    query: BackfillQuery<'_>,
) -> Result<PageRows, StoreError> {
    let numbers: Vec<i64> = known_scopes(connection, query.scopes).await?.into_values().collect();
    let counted: BTreeSet<&Scope> = query.scopes.iter().chain(query.held).collect();
    let mut page = Page::new(query.limit);
    if numbers.is_empty() {
        return Ok(page.finish());
    }
    for table in tables_after(tenant, query.visible, query.after) {
        let number = tenant.collection_numbers[table.rank];
        let after = after_in(table, query.after);
        let limit = page.room() + 1;
        let rows = if numbers.len() <= RUNS_MAX {
            live_rows(connection, table, query.visible, &numbers, number, &after, limit).await?
        } else {
            let mut merged = BTreeMap::new();
            for part in numbers.chunks(RUNS_MAX) {
                for row in
                    live_rows(connection, table, query.visible, part, number, &after, limit).await?
                {
                    merged.insert(record(&row, 0)?, row);
                }
            }
            merged.into_values().take(limit).collect()
        };
        if page.take(table, query.visible, &rows, |_| &counted)? {
            break;
        }
    }
    Ok(page.finish())
}

/// `SELECT … UNION SELECT …`: SQLite merges the runs, each in the order of the primary key, and
/// stops at the limit; it sorts nothing.
fn runs(scopes: usize) -> String {
    let run = |i: usize| {
        format!(
            "SELECT record FROM sync_memberships \
             WHERE scope = ?{} AND collection = ?1 AND record > ?2 AND gone = 0",
            i + 4
        )
    };
    (0..scopes).map(run).collect::<Vec<_>>().join(" UNION ")
}

async fn live_rows(
    connection: &mut SqliteConnection,
    table: &Table,
    visible: &Schema,
    scopes: &[i64],
    number: i64,
    after: &[u8],
    limit: usize,
) -> Result<Vec<SqliteRow>, StoreError> {
    let sql = format!(
        "WITH k AS ({} ORDER BY record LIMIT ?3) \
         SELECT {} FROM k JOIN sync_rows r ON r.collection = ?1 AND r.record = k.record \
         JOIN {} t ON t.id = k.record ORDER BY k.record",
        runs(scopes.len()),
        page_columns(table, visible),
        table.quoted()
    );
    let mut statement = sqlx::query(generated(sql))
        .bind(number)
        .bind(after.to_vec())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX));
    for scope in scopes {
        statement = statement.bind(*scope);
    }
    statement.fetch_all(connection).await.map_err(failed)
}

/// How many rows a backfill has still to bring: counted where they are few, otherwise what the
/// scopes hold together (a row in two of them counts twice).
pub(super) async fn backfill_remaining(
    connection: &mut SqliteConnection,
    tenant: &TenantFile,
    query: BackfillQuery<'_>,
) -> Result<u64, StoreError> {
    let numbers: Vec<i64> = known_scopes(connection, query.scopes).await?.into_values().collect();
    if numbers.is_empty() {
        return Ok(0);
    }
    let scopes = serde_json::to_string(&numbers).map_err(damaged)?;
    let mut remaining = 0;
    for table in tables_after(tenant, query.visible, query.after) {
        let number = tenant.collection_numbers[table.rank];
        let after = after_in(table, query.after);
        let held: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(live_rows), 0) FROM sync_heads \
             WHERE collection = ? AND scope IN (SELECT value FROM json_each(?))",
        )
        .bind(number)
        .bind(scopes.clone())
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
        if held == 0 {
            continue;
        }
        let counted: i64 = sqlx::query_scalar(
            "SELECT count(DISTINCT record) FROM (SELECT record FROM sync_memberships \
             WHERE collection = ?1 AND scope IN (SELECT value FROM json_each(?2)) \
             AND record > ?3 AND gone = 0 LIMIT ?4)",
        )
        .bind(number)
        .bind(scopes.clone())
        .bind(after)
        .bind(COUNT_MAX)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
        remaining += if counted < COUNT_MAX { counted } else { held };
    }
    u64::try_from(remaining).map_err(damaged)
}

/// The visible tables from the one where a page continues, in key order.
fn tables_after<'a>(
    tenant: &'a TenantFile,
    visible: &'a Schema,
    after: Option<&RowKey>,
) -> impl Iterator<Item = &'a Table> {
    let first = after.and_then(|key| tenant.tables.get(&key.collection)).map_or(0, |t| t.rank);
    let tables = tenant.tables.tables[first..].iter();
    tables.filter(|table| visible.collection(&table.collection.name).is_some())
}

/// After which id a page continues in a table; the empty one comes before all.
fn after_in(table: &Table, after: Option<&RowKey>) -> Vec<u8> {
    match after {
        Some(key) if key.collection == table.collection.name => key.record.0.as_bytes().to_vec(),
        _ => Vec::new(),
    }
}

/// The fields that are both visible and in the table, in the order of the visible collection.
fn visible_fields<'a>(table: &'a Table, visible: &'a Schema) -> Vec<(&'a str, &'a FieldType)> {
    let fields = visible.collection(&table.collection.name).into_iter().flat_map(|c| &c.fields);
    fields
        .filter_map(|field| table.collection.field(&field.name))
        .map(|field| (field.name.as_str(), &field.kind))
        .collect()
}

fn page_columns(table: &Table, visible: &Schema) -> String {
    let mut columns = vec!["k.record".to_owned(), "r.version".to_owned(), "t.id".to_owned()];
    let fields = visible_fields(table, visible);
    columns.extend(fields.iter().map(|(name, _)| format!("t.{}", quote(name))));
    columns.extend(table.scope_columns().iter().map(|name| format!("t.{}", quote(name))));
    columns.join(", ")
}

/// A page that is being filled.
struct Page {
    limit: usize,
    rows: PageRows,
    sets: BTreeMap<Vec<Scope>, u32>,
    last: Option<RowKey>,
}

impl Page {
    fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), rows: PageRows::default(), sets: BTreeMap::new(), last: None }
    }

    fn room(&self) -> usize {
        self.limit - self.rows.count
    }

    /// Takes rows of a table up to the limit. Answers whether there are more than fit.
    fn take<'s>(
        &mut self,
        table: &Table,
        visible: &Schema,
        rows: &[SqliteRow],
        counted: impl Fn(RecordId) -> &'s BTreeSet<&'s Scope>,
    ) -> Result<bool, StoreError> {
        let taken = &rows[..rows.len().min(self.room())];
        if !taken.is_empty() {
            let fields = visible_fields(table, visible);
            let mut to = PageTable {
                collection: table.collection.name.clone(),
                fields: fields.iter().map(|(name, _)| (*name).to_owned()).collect(),
                columns: fields.iter().map(|(_, kind)| Column::for_type(kind)).collect(),
                ..PageTable::default()
            };
            for row in taken {
                let id = record(row, 0)?;
                let scopes =
                    scopes_of(&table.collection, row, LEADING + fields.len(), counted(id))?;
                self.last = Some(RowKey { collection: to.collection.clone(), record: id });
                if scopes.is_empty() {
                    to.exits.push(id);
                    continue;
                }
                to.ids.push(id);
                to.versions.push(row.try_get_unchecked(1).map_err(failed)?);
                to.scope_sets.push(self.set(scopes)?);
                for (i, column) in to.columns.iter_mut().enumerate() {
                    append(column, row, LEADING + i)?;
                }
            }
            self.rows.count += taken.len();
            self.rows.tables.push(to);
        }
        let more = rows.len() > taken.len();
        if more {
            self.rows.next.clone_from(&self.last);
        }
        Ok(more)
    }

    fn set(&mut self, scopes: Vec<Scope>) -> Result<u32, StoreError> {
        if let Some(index) = self.sets.get(&scopes) {
            return Ok(*index);
        }
        let index = u32::try_from(self.rows.scope_sets.len()).map_err(damaged)?;
        self.rows.scope_sets.push(scopes.clone());
        self.sets.insert(scopes, index);
        Ok(index)
    }

    fn finish(self) -> PageRows {
        self.rows
    }
}

/// Those of the counted scopes that a row is in, sorted; none for a deleted row.
fn scopes_of(
    collection: &Collection,
    row: &SqliteRow,
    first: usize,
    counted: &BTreeSet<&Scope>,
) -> Result<Vec<Scope>, StoreError> {
    let there: Option<Uuid> = row.try_get_unchecked(LEADING - 1).map_err(failed)?;
    let mut scopes = Vec::new();
    if there.is_none() {
        return Ok(scopes);
    }
    let mut column = first;
    for rule in &collection.scopes {
        let scope = match rule {
            ScopeRule::Tenant => Some(Scope::tenant()),
            ScopeRule::Entity { kind, .. } => {
                let id: Option<Uuid> = row.try_get_unchecked(column).map_err(failed)?;
                column += 1;
                id.map(|id| Scope::entity(kind, id))
            }
        };
        scopes.extend(scope.filter(|scope| counted.contains(scope)));
    }
    scopes.sort();
    scopes.dedup();
    Ok(scopes)
}
