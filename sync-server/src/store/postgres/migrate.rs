//! `migrate`: the bookkeeping by numbered files, and the collections' tables by what the schema says.
//!
//! Run by a superuser or a member of `campo_owner` and `campo_capture`, beside writers at work: each numbered
//! file is a transaction, and the tables are one; what waits too long for a lock lets the writers by and tries
//! again. Beside servers at work, too, unless a file says that those of before would not understand what it
//! writes ([`ALONE`]). It is idempotent: what is there stays, new collections become tables, new fields become columns, and
//! functions and triggers are made anew each time, so that a newer version of this program brings
//! its own. Nothing is ever dropped: a field that left the schema keeps its column.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};
use sync_protocol::schema::{Collection, Schema};

use super::error::store_error;
use super::quote::{ident, literal};
use super::{APPLICATION, capture, ddl};
use crate::store::StoreError;

/// The numbered files: name, role that runs it, text.
const FILES: [(&str, &str, &str); 16] = [
    (
        "0001_bookkeeping",
        "campo_owner",
        include_str!("../../../../migrations/postgres/0001_bookkeeping.sql"),
    ),
    (
        "0002_capture",
        "campo_capture",
        include_str!("../../../../migrations/postgres/0002_capture.sql"),
    ),
    ("0003_guards", "campo_owner", include_str!("../../../../migrations/postgres/0003_guards.sql")),
    (
        "0004_streams",
        "campo_owner",
        include_str!("../../../../migrations/postgres/0004_streams.sql"),
    ),
    (
        "0005_restorations",
        "campo_owner",
        include_str!("../../../../migrations/postgres/0005_restorations.sql"),
    ),
    (
        "0006_housekeeping_rights",
        "campo_owner",
        include_str!("../../../../migrations/postgres/0006_housekeeping_rights.sql"),
    ),
    (
        "0007_housekeeping",
        "campo_capture",
        include_str!("../../../../migrations/postgres/0007_housekeeping.sql"),
    ),
    (
        "0008_deletion_time",
        "campo_owner",
        include_str!("../../../../migrations/postgres/0008_deletion_time.sql"),
    ),
    (
        "0009_retention",
        "campo_capture",
        include_str!("../../../../migrations/postgres/0009_retention.sql"),
    ),
    (
        "0010_digests",
        "campo_capture",
        include_str!("../../../../migrations/postgres/0010_digests.sql"),
    ),
    ("0011_events", "campo_owner", include_str!("../../../../migrations/postgres/0011_events.sql")),
    (
        "0012_deleted_pictures",
        "campo_owner",
        include_str!("../../../../migrations/postgres/0012_deleted_pictures.sql"),
    ),
    (
        "0013_seen_pictures",
        "campo_capture",
        include_str!("../../../../migrations/postgres/0013_seen_pictures.sql"),
    ),
    (
        "0014_changes",
        "campo_owner",
        include_str!("../../../../migrations/postgres/0014_changes.sql"),
    ),
    (
        "0015_receipts",
        "campo_owner",
        include_str!("../../../../migrations/postgres/0015_receipts.sql"),
    ),
    (
        "0016_made_by_decision",
        "campo_owner",
        include_str!("../../../../migrations/postgres/0016_made_by_decision.sql"),
    ),
];
/// Files after which servers of an earlier version would not tell phones everything: they are stopped first.
const ALONE: [&str; 2] = ["0014_changes", "0015_receipts"];
const ROLES: &str = include_str!("../../../../migrations/postgres/0000_roles.sql");
/// Key of the advisory lock that lets one migration run at a time.
const MIGRATION_LOCK: i64 = 0x0063_616d_706f_6d67;

/// Brings a database to this program's bookkeeping and to the schema's tables. Says what it did.
///
/// # Errors
/// [`StoreError::Setup`] when the role may not do it or an existing table stands in the way.
pub async fn migrate(url: &str, schema: &Schema) -> Result<Vec<String>, StoreError> {
    let options: PgConnectOptions =
        url.parse().map_err(|e| StoreError::Setup(format!("the database URL is wrong: {e}")))?;
    let mut connection = options.connect().await.map_err(store_error)?;
    let done = run(&mut connection, schema).await.map_err(|error| match error {
        StoreError::Internal(text) => StoreError::Setup(format!(
            "migrating failed: {text}; what it says to have applied stays, the rest is as it was; \
             run it as a superuser or as a member of campo_owner and campo_capture"
        )),
        other => other,
    });
    let _ = connection.close().await;
    done
}

async fn run(connection: &mut PgConnection, schema: &Schema) -> Result<Vec<String>, StoreError> {
    // For the session, which ends with the migration: each part below is a transaction of its own.
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    refuse_beside_servers(connection).await?;
    let mut done = Vec::new();
    let mut tx = connection.begin().await.map_err(store_error)?;
    execute(&mut tx, ROLES.to_owned()).await?;
    tx.commit().await.map_err(store_error)?;
    for (name, role, text) in FILES {
        let mut attempt = 1;
        loop {
            match file(connection, name, role, text).await {
                Ok(true) => done.push(format!("applied {name}")),
                Ok(false) => {}
                Err(error) if error.is_passing() && attempt < ATTEMPTS_MAX => {
                    attempt += 1;
                    continue;
                }
                Err(error) => return Err(error),
            }
            break;
        }
    }
    let mut attempt = 1;
    loop {
        match tables(connection, schema).await {
            Ok(made) => {
                done.extend(made);
                return Ok(done);
            }
            Err(error) if error.is_passing() && attempt < ATTEMPTS_MAX => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Refuses while servers are at work that would not understand what is to be applied. It sees their sessions: a
/// server that has had nothing to do for ten minutes has none, and is not seen.
async fn refuse_beside_servers(connection: &mut PgConnection) -> Result<(), StoreError> {
    if !is_there(connection, "sync", "migrations").await? {
        return Ok(());
    }
    let waiting: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM unnest($1::text[]) name \
         WHERE NOT EXISTS (SELECT FROM sync.migrations m WHERE m.name = name.name) ORDER BY name",
    )
    .bind(&ALONE[..])
    .fetch_all(&mut *connection)
    .await
    .map_err(store_error)?;
    if waiting.is_empty() {
        return Ok(());
    }
    // The role as well: somebody may have given the sessions another name.
    let sessions: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid() \
         AND (application_name = $1 OR usename = 'campo_server')",
    )
    .bind(APPLICATION)
    .fetch_one(connection)
    .await
    .map_err(store_error)?;
    if sessions == 0 {
        return Ok(());
    }
    Err(StoreError::Setup(format!(
        "servers are at work ({sessions} sessions named `{APPLICATION}` or of the role campo_server), \
         and those of an earlier version would not tell phones what {} writes: stop them, migrate, then \
         start this version. If none runs, a pooler keeps these sessions: end them there. Nothing of \
         it was applied",
        waiting.join(" and ")
    )))
}

/// How often a part is tried that writers stand in the way of.
const ATTEMPTS_MAX: u32 = 10;
/// How long a part waits for a lock. While it waits, writers wait behind it.
const LOCK_WAIT: &str = "SET LOCAL lock_timeout = '5s'";

/// Runs a numbered file, if it was not yet. Committed by itself: writers at work are waited for with no
/// other lock in hand, or they and the migration would wait for each other.
async fn file(
    connection: &mut PgConnection,
    name: &str,
    role: &str,
    text: &str,
) -> Result<bool, StoreError> {
    let mut tx = connection.begin().await.map_err(store_error)?;
    execute(&mut tx, LOCK_WAIT.to_owned()).await?;
    if applied(&mut tx, name).await? {
        return Ok(false);
    }
    run_as(&mut tx, role, text.to_owned()).await?;
    if ALONE.contains(&name) {
        // One may have come since the beginning.
        refuse_beside_servers(&mut tx).await?;
    }
    note(&mut tx, name).await?;
    tx.commit().await.map_err(store_error)?;
    Ok(true)
}

/// Brings the collections' tables, functions and triggers to the schema.
async fn tables(connection: &mut PgConnection, schema: &Schema) -> Result<Vec<String>, StoreError> {
    let mut tx = connection.begin().await.map_err(store_error)?;
    execute(&mut tx, LOCK_WAIT.to_owned()).await?;
    let mut done = Vec::new();
    let mut present = BTreeMap::new();
    let verticals: BTreeSet<&str> =
        schema.collections.values().map(|c| c.vertical.as_str()).collect();
    for vertical in verticals {
        let name = ident(vertical);
        run_as(
            &mut tx,
            "campo_owner",
            format!(
                "CREATE SCHEMA IF NOT EXISTS {name};\n\
                 GRANT USAGE ON SCHEMA {name} TO campo_server, campo_capture;"
            ),
        )
        .await?;
    }
    for collection in schema.collections.values() {
        let columns = columns(&mut tx, collection).await?;
        if columns.is_empty() {
            run_as(&mut tx, "campo_owner", ddl::create_table(schema, collection)).await?;
            done.push(format!("made {}", ddl::table(collection)));
        } else {
            for field in collection.fields.iter().filter(|f| !columns.contains(&f.name)) {
                run_as(&mut tx, "campo_owner", ddl::add_column(collection, field)).await?;
                done.push(format!("added {} to {}", field.name, ddl::table(collection)));
            }
            if let Some(index) = ddl::picture_index(collection)
                && !is_there(&mut tx, &collection.vertical, &index.name).await?
            {
                run_as(&mut tx, "campo_owner", index.sql(&ddl::table(collection))).await?;
                done.push(format!("made the index {}", index.name));
            }
        }
        present.insert(collection.name.as_str(), columns);
    }
    for collection in schema.collections.values() {
        let known = &present[collection.name.as_str()];
        for field in collection.fields.iter().filter(|f| !known.contains(&f.name)) {
            if let Some(sql) = ddl::foreign_key(schema, collection, field) {
                run_as(&mut tx, "campo_owner", sql).await?;
            }
        }
        if let Some((function, trigger)) = ddl::follow_trigger(schema, collection) {
            run_as(&mut tx, "campo_capture", function).await?;
            run_as(&mut tx, "campo_owner", trigger).await?;
        }
        run_as(&mut tx, "campo_capture", capture::functions(collection)).await?;
        run_as(&mut tx, "campo_owner", capture::triggers(collection)).await?;
    }
    tx.commit().await.map_err(store_error)?;
    Ok(done)
}

/// Runs generated or embedded statements; never anything that a user typed.
async fn execute(tx: &mut PgConnection, sql: String) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(tx).await.map_err(store_error)?;
    Ok(())
}

async fn run_as(tx: &mut PgConnection, role: &str, sql: String) -> Result<(), StoreError> {
    execute(tx, format!("SET LOCAL ROLE {};\n{sql}\nRESET ROLE;", ident(role))).await
}

async fn applied(tx: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    run_as(
        tx,
        "campo_owner",
        "CREATE SCHEMA IF NOT EXISTS sync;\n\
         CREATE TABLE IF NOT EXISTS sync.migrations (\n  name text PRIMARY KEY,\n  \
         applied_at timestamptz NOT NULL DEFAULT clock_timestamp()\n);\n\
         GRANT SELECT ON sync.migrations TO campo_server;"
            .to_owned(),
    )
    .await?;
    let found = sqlx::query("SELECT 1 FROM sync.migrations WHERE name = $1")
        .bind(name)
        .fetch_optional(tx)
        .await
        .map_err(store_error)?;
    Ok(found.is_some())
}

async fn note(tx: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    run_as(
        tx,
        "campo_owner",
        format!("INSERT INTO sync.migrations (name) VALUES ({});", literal(name)),
    )
    .await
}

/// Whether a schema has a table or index of that name.
async fn is_there(tx: &mut PgConnection, schema: &str, name: &str) -> Result<bool, StoreError> {
    let found = sqlx::query(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = $2",
    )
    .bind(schema)
    .bind(name)
    .fetch_optional(tx)
    .await
    .map_err(store_error)?;
    Ok(found.is_some())
}

/// The columns that a collection's table has; none if there is no table.
async fn columns(
    tx: &mut PgConnection,
    collection: &Collection,
) -> Result<BTreeSet<String>, StoreError> {
    let rows = sqlx::query(
        "SELECT a.attname::text FROM pg_attribute a \
         JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped",
    )
    .bind(&collection.vertical)
    .bind(&collection.name)
    .fetch_all(tx)
    .await
    .map_err(store_error)?;
    rows.iter().map(|row| row.try_get(0).map_err(store_error)).collect()
}
