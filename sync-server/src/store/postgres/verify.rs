//! Whether a database fits the schema, and whether the server's role is as harmless as it must be.
//!
//! Start-up and `schema check --database` compare the catalogue with what `migrate` would make:
//! columns and their types, triggers (ENABLE ALWAYS: DISABLE and ENABLE TRIGGER ALL turn them into
//! ordinary ones that replication and restores pass by), row level security, the rules of the tables
//! ([`super::rules`]), and that no synced
//! table is partitioned, inherited or fed by a subscription, where triggers do not see every row.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnectOptions;
use sqlx::{PgPool, Row};
use sync_protocol::schema::{Collection, Schema};

use super::begin::{Purpose, begin};
use super::error::store_error;
use super::{capture, ddl, query, rules};
use crate::store::StoreError;

const MIGRATE: &str = "run `sync-server migrate`";
/// The trigger that fills a child's columns from its parent.
const FOLLOW_TRIGGER: &str = "aa_campo_follow";

/// Every difference between the database and the schema, each with its remedy.
///
/// # Errors
/// [`StoreError::Busy`] without a connection, [`StoreError::Setup`] for a wrong URL.
pub async fn verify(url: &str, schema: &Schema) -> Result<Vec<String>, StoreError> {
    let options: PgConnectOptions =
        url.parse().map_err(|e| StoreError::Setup(format!("the database URL is wrong: {e}")))?;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options.statement_cache_capacity(0))
        .await
        .map_err(store_error)?;
    let differences = differences(&pool, schema).await;
    pool.close().await;
    differences
}

/// Refuses to work as a role that the wall between tenants would not hold.
pub(super) async fn refuse_powerful_role(pool: &PgPool) -> Result<(), StoreError> {
    let mut tx = begin(pool, Purpose::Write).await?;
    let row = query(
        "SELECT current_user::text, r.rolsuper, r.rolbypassrls, \
         EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
           WHERE n.nspname = 'sync' AND pg_has_role(c.relowner, 'USAGE')) \
         FROM pg_roles r WHERE r.rolname = current_user",
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(store_error)?;
    let name: String = row.try_get(0).map_err(store_error)?;
    let power = if row.try_get(1).map_err(store_error)? {
        "is a superuser"
    } else if row.try_get(2).map_err(store_error)? {
        "may bypass row level security"
    } else if row.try_get(3).map_err(store_error)? {
        "owns the tables"
    } else {
        return Ok(());
    };
    Err(StoreError::Setup(format!(
        "the role `{name}` {power}, so PostgreSQL would not keep tenants apart: \
         let the server connect as `campo_server`, and only `migrate` as a powerful role"
    )))
}

/// See [`verify`].
pub(super) async fn differences(pool: &PgPool, schema: &Schema) -> Result<Vec<String>, StoreError> {
    let mut tx = begin(pool, Purpose::Write).await?;
    let there = query("SELECT to_regclass('sync.rows') IS NOT NULL")
        .fetch_one(&mut *tx)
        .await
        .map_err(store_error)?;
    if !there.try_get::<bool, _>(0).map_err(store_error)? {
        return Ok(vec![format!("the database holds no Campo tables: {MIGRATE}")]);
    }
    let tables = query(
        "SELECT n.nspname || '.' || c.relname, c.relkind::text, c.relrowsecurity, \
         c.relforcerowsecurity, c.relispartition OR EXISTS (SELECT FROM pg_inherits i \
           WHERE i.inhrelid = c.oid OR i.inhparent = c.oid), \
         EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = c.oid) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')",
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(store_error)?;
    let columns = query(
        "SELECT n.nspname || '.' || c.relname, a.attname::text, \
         format_type(a.atttypid, a.atttypmod), a.attnotnull \
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') \
         AND n.nspname NOT IN ('pg_catalog', 'information_schema')",
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(store_error)?;
    let triggers = query(
        "SELECT n.nspname || '.' || c.relname, t.tgname::text, t.tgenabled::text \
         FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal",
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(store_error)?;
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for row in &tables {
        let table: String = row.try_get(0).map_err(store_error)?;
        found.insert(
            table,
            Found {
                kind: row.try_get(1).map_err(store_error)?,
                secured: row.try_get(2).map_err(store_error)?,
                forced: row.try_get(3).map_err(store_error)?,
                inherited: row.try_get(4).map_err(store_error)?,
                subscribed: row.try_get(5).map_err(store_error)?,
                ..Found::default()
            },
        );
    }
    for row in &columns {
        let table: String = row.try_get(0).map_err(store_error)?;
        if let Some(found) = found.get_mut(&table) {
            let kind = row.try_get(2).map_err(store_error)?;
            let required = row.try_get(3).map_err(store_error)?;
            found.columns.insert(row.try_get(1).map_err(store_error)?, (kind, required));
        }
    }
    for row in &triggers {
        let table: String = row.try_get(0).map_err(store_error)?;
        if let Some(found) = found.get_mut(&table) {
            let name = row.try_get(1).map_err(store_error)?;
            found.triggers.insert(name, row.try_get(2).map_err(store_error)?);
        }
    }
    let mut differences = bookkeeping(&found);
    for collection in schema.collections.values() {
        compare(schema, collection, &found, &mut differences);
    }
    let own = |name: &str| {
        name.starts_with("sync.")
            || schema.collections.values().any(|c| name == format!("{}.{}", c.vertical, c.name))
    };
    let tenant_tables = found
        .iter()
        .filter(|(name, table)| own(name) && table.columns.contains_key("tenant_id"))
        .map(|(name, _)| name.clone())
        .collect();
    differences.extend(rules::differences(&mut tx, schema, &tenant_tables).await?);
    Ok(differences)
}

/// A table as the catalogue has it.
#[derive(Debug, Default)]
struct Found {
    kind: String,
    secured: bool,
    forced: bool,
    inherited: bool,
    subscribed: bool,
    /// Type and whether it is NOT NULL, by name.
    columns: BTreeMap<String, (String, bool)>,
    /// `tgenabled` by name.
    triggers: BTreeMap<String, String>,
}

/// The wall and the guards of the bookkeeping itself.
fn bookkeeping(found: &BTreeMap<String, Found>) -> Vec<String> {
    let mut differences = Vec::new();
    let guarded: [(&str, &[&str]); 8] = [
        ("sync.rows", &["guard"]),
        ("sync.memberships", &["guard"]),
        ("sync.scope_log", &["guard"]),
        ("sync.audit", &["guard"]),
        ("sync.grants", &["stamp", "moved"]),
        ("sync.receipts", &["stamp", "echo", "moved", "tenant"]),
        ("sync.users", &["moved"]),
        ("sync.devices", &["moved"]),
    ];
    for (name, triggers) in guarded {
        match found.get(name) {
            None => differences.push(format!("{name} does not exist: {MIGRATE}")),
            Some(table) => check_triggers(name, table, triggers.iter().copied(), &mut differences),
        }
    }
    // Deltas read it.
    if found.get("sync.scope_log").is_some_and(|log| !log.columns.contains_key("records")) {
        differences.push(format!("sync.scope_log has no column records: {MIGRATE}"));
    }
    for (name, table) in found.iter().filter(|(name, _)| name.starts_with("sync.")) {
        if table.columns.contains_key("tenant_id") {
            check_wall(name, table, &mut differences);
        }
    }
    differences
}

fn compare(
    schema: &Schema,
    collection: &Collection,
    found: &BTreeMap<String, Found>,
    differences: &mut Vec<String>,
) {
    let name = format!("{}.{}", collection.vertical, collection.name);
    let Some(table) = found.get(&name) else {
        differences.push(format!("{name} does not exist: {MIGRATE}"));
        return;
    };
    if table.kind != "r" || table.inherited {
        differences.push(format!(
            "{name} is a view, or partitioned or inherited, so its triggers would miss changes: \
             make it an ordinary table"
        ));
    }
    if table.subscribed {
        differences.push(format!(
            "{name} is fed by logical replication, which statement triggers do not see: \
             take it out of the subscription"
        ));
    }
    let mut expected: Vec<(&str, String, bool)> =
        vec![("tenant_id", "uuid".to_owned(), true), ("id", "uuid".to_owned(), true)];
    for field in &collection.fields {
        expected.push((&field.name, ddl::sql_type(&field.kind), field.required));
    }
    if ddl::followed_parent(schema, collection).is_some() {
        expected.push((ddl::FOLLOW, "text".to_owned(), true));
    } else if ddl::is_followed(schema, collection) {
        expected.push((ddl::FOLLOW, "text".to_owned(), false));
    }
    for (column, kind, required) in expected {
        match table.columns.get(column) {
            None => differences.push(format!("{name} has no column {column}: {MIGRATE}")),
            Some((present, _)) if *present != kind => differences.push(format!(
                "{name}.{column} is {present}, but the schema says {kind}: change the schema back, \
                 or convert it with ALTER TABLE {name} ALTER COLUMN {column} TYPE {kind}"
            )),
            Some((_, not_null)) if *not_null != required => differences.push(format!(
                "{name}.{column} {}, but the schema says {}: change the schema back, or run \
                 ALTER TABLE {name} ALTER COLUMN {column} {} NOT NULL",
                if *not_null { "is NOT NULL" } else { "may be null" },
                if required { "required" } else { "optional" },
                if required { "SET" } else { "DROP" },
            )),
            Some(_) => {}
        }
    }
    check_wall(&name, table, differences);
    let follow = ddl::followed_parent(schema, collection).map(|_| FOLLOW_TRIGGER);
    let triggers = capture::TRIGGERS.iter().map(|t| t.0).chain(capture::REFUSALS).chain(follow);
    check_triggers(&name, table, triggers, differences);
}

fn check_wall(name: &str, table: &Found, differences: &mut Vec<String>) {
    if !table.secured || !table.forced {
        differences.push(format!(
            "{name} is not walled off between tenants: run ALTER TABLE {name} \
             ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        ));
    }
}

fn check_triggers<'a>(
    name: &str,
    table: &Found,
    triggers: impl Iterator<Item = &'a str>,
    differences: &mut Vec<String>,
) {
    for trigger in triggers {
        match table.triggers.get(trigger).map(String::as_str) {
            None => differences.push(format!("{name} has no trigger {trigger}: {MIGRATE}")),
            Some("A") => {}
            Some(_) => differences.push(format!(
                "the trigger {trigger} of {name} is not ENABLE ALWAYS, so changes could pass it by: \
                 run ALTER TABLE {name} ENABLE ALWAYS TRIGGER {trigger}"
            )),
        }
    }
}
