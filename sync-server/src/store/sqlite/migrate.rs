//! Bringing files up to date: numbered migrations for the bookkeeping, and the collections' tables.
//!
//! `PRAGMA user_version` is the number of the last migration. Each one runs in a transaction with
//! the raising of that number. A file from a newer program is left alone.
//!
//! A collection that is new gets its table. One that changed since its table was made is compared
//! field by field: new fields become new columns (rows that are there take the default); another
//! natural key, reference, `required` or list of words is put in force if the rows that are there
//! fit it. Anything else is reported with its remedy. All of it is one transaction, so that what
//! cannot be done changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row};
use sync_protocol::schema::{Collection, Field, FieldType, Schema};

use super::connection::connect;
use super::error::{damaged, failed, no_randomness};
use super::tables::{column, create_indexes, create_table, generated, quote};
use crate::random::Random;
use crate::store::StoreError;
use sync_protocol::Value;

const CATALOG: &[&str] = &[include_str!("../../../../migrations/sqlite/catalog/0001_catalog.sql")];
const TENANT: &[&str] = &[
    include_str!("../../../../migrations/sqlite/tenant/0001_bookkeeping.sql"),
    include_str!("../../../../migrations/sqlite/tenant/0002_streams.sql"),
    include_str!("../../../../migrations/sqlite/tenant/0003_housekeeping.sql"),
    include_str!("../../../../migrations/sqlite/tenant/0004_retention.sql"),
    include_str!("../../../../migrations/sqlite/tenant/0005_events.sql"),
    include_str!("../../../../migrations/sqlite/tenant/0006_deleted_pictures.sql"),
    include_str!("../../../../migrations/sqlite/tenant/0007_made_by_decision.sql"),
];

/// Brings the catalogue up to date.
pub(super) async fn catalog(path: &Path) -> Result<(), StoreError> {
    let mut connection = connect(path).await?;
    numbered(&mut connection, path, CATALOG).await?;
    connection.close().await.map_err(failed)
}

/// Brings a tenant's file up to date.
pub(super) async fn tenant(
    path: &Path,
    schema: &Schema,
    random: &dyn Random,
) -> Result<(), StoreError> {
    let mut connection = connect(path).await?;
    numbered(&mut connection, path, TENANT).await?;
    // Only a table that is rebuilt needs it, but inside of a transaction it cannot be changed.
    run(&mut connection, "PRAGMA foreign_keys = OFF").await?;
    begin(&mut connection).await?;
    incarnation(&mut connection, random).await?;
    if collections(&mut connection, schema).await? {
        check_references(&mut connection).await?;
    }
    commit(&mut connection).await?;
    connection.close().await.map_err(failed)
}

async fn begin(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    run(connection, "BEGIN IMMEDIATE").await
}

async fn commit(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    run(connection, "COMMIT").await
}

async fn run(connection: &mut SqliteConnection, sql: &str) -> Result<(), StoreError> {
    sqlx::raw_sql(generated(sql)).execute(connection).await.map(|_| ()).map_err(failed)
}

async fn numbered(
    connection: &mut SqliteConnection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), StoreError> {
    begin(connection).await?;
    let done: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let done = usize::try_from(done).map_err(damaged)?;
    if done > migrations.len() {
        return Err(StoreError::Setup(format!(
            "{} was written by a newer version (its format is {done}, this program knows {}): \
             run the newer version",
            path.display(),
            migrations.len()
        )));
    }
    for migration in &migrations[done..] {
        run(connection, migration).await?;
    }
    run(connection, &format!("PRAGMA user_version = {}", migrations.len())).await?;
    commit(connection).await
}

/// Draws what makes this file different from all others, and the witness of its beginning.
async fn incarnation(
    connection: &mut SqliteConnection,
    random: &dyn Random,
) -> Result<(), StoreError> {
    let mut drawn = [0u8; 24];
    random.fill(&mut drawn).map_err(no_randomness)?;
    let (incarnation, witness) = drawn.split_at(16);
    sqlx::query(
        "INSERT INTO sync_meta (key, value) VALUES ('incarnation', lower(hex(?))) \
         ON CONFLICT DO NOTHING",
    )
    .bind(incarnation.to_vec())
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    sqlx::query(
        "INSERT INTO sync_history (commit_no, witness) SELECT 0, ? \
         WHERE NOT EXISTS (SELECT 1 FROM sync_history)",
    )
    .bind(witness.to_vec())
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// That every row that is referred to is there.
async fn check_references(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let broken =
        sqlx::query("PRAGMA foreign_key_check").fetch_optional(connection).await.map_err(failed)?;
    let Some(broken) = broken else { return Ok(()) };
    let table: String = broken.try_get(0).map_err(failed)?;
    let target: String = broken.try_get(2).map_err(failed)?;
    Err(StoreError::Setup(format!(
        "rows of `{table}` refer to rows of `{target}` that are not there: change these rows \
         first, or leave `references` as it was"
    )))
}

/// Answers whether a table changed.
async fn collections(
    connection: &mut SqliteConnection,
    schema: &Schema,
) -> Result<bool, StoreError> {
    let known = sqlx::query("SELECT name, declared FROM sync_collections")
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    let indexes: BTreeSet<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND name LIKE '%!'",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?
    .into_iter()
    .collect();
    let mut evolved = false;
    let mut known_names = BTreeMap::new();
    for row in known {
        let name: String = row.try_get(0).map_err(failed)?;
        let declared: String = row.try_get(1).map_err(failed)?;
        known_names.insert(name, serde_json::from_str::<Collection>(&declared).map_err(damaged)?);
    }
    for collection in schema.collections.values() {
        match known_names.get(&collection.name) {
            None => {
                run(connection, &create_table(collection, &collection.name)).await?;
                for index in create_indexes(collection) {
                    run(connection, &index.sql).await?;
                }
            }
            Some(old) if old == collection => {
                missing_indexes(connection, collection, &indexes).await?;
                continue;
            }
            Some(old) => {
                evolve(connection, old, collection).await?;
                evolved = true;
            }
        }
        let declared = serde_json::to_string(collection).map_err(damaged)?;
        sqlx::query(
            "INSERT INTO sync_collections (name, declared) VALUES (?, ?) \
             ON CONFLICT (name) DO UPDATE SET declared = excluded.declared",
        )
        .bind(collection.name.clone())
        .bind(declared)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    Ok(evolved)
}

/// Makes indexes that an earlier version of this program did not make.
async fn missing_indexes(
    connection: &mut SqliteConnection,
    collection: &Collection,
    present: &BTreeSet<String>,
) -> Result<(), StoreError> {
    for index in create_indexes(collection) {
        if !present.contains(&index.name) {
            run(connection, &index.sql).await?;
        }
    }
    Ok(())
}

/// Changes a table for a collection that was declared otherwise before.
async fn evolve(
    connection: &mut SqliteConnection,
    old: &Collection,
    new: &Collection,
) -> Result<(), StoreError> {
    let differences = differences(old, new);
    if !differences.is_empty() {
        return Err(StoreError::Setup(format!(
            "the collection `{}` does not fit its table: {}",
            new.name,
            differences.join("; ")
        )));
    }
    let redefined = new
        .fields
        .iter()
        .any(|field| old.field(&field.name).is_some_and(|was| column(field) != column(was)));
    for index in create_indexes(old) {
        run(connection, &format!("DROP INDEX IF EXISTS {}", quote(&index.name))).await?;
    }
    if redefined {
        rebuild(connection, old, new).await?;
    } else {
        for field in new.fields.iter().filter(|field| old.field(&field.name).is_none()) {
            let table = quote(&new.name);
            let (column, default) = (column(field), default_sql(field));
            run(connection, &format!("ALTER TABLE {table} ADD COLUMN {column}{default}")).await?;
        }
    }
    for index in create_indexes(new) {
        run(connection, &index.sql).await.map_err(|e| does_not_hold(new, e))?;
    }
    Ok(())
}

/// Makes the table anew under another name, copies the rows, and puts it in the old one's place:
/// what SQLite offers where a column's own definition changes. Foreign keys are not enforced
/// meanwhile; [`tenant`] checks them all before it commits.
async fn rebuild(
    connection: &mut SqliteConnection,
    old: &Collection,
    new: &Collection,
) -> Result<(), StoreError> {
    const REBUILT: &str = "sync_rebuilt";
    run(connection, &create_table(new, REBUILT)).await?;
    let names: Vec<String> = new.fields.iter().map(|field| quote(&field.name)).collect();
    let values: Vec<String> = new
        .fields
        .iter()
        .map(|field| {
            let name = quote(&field.name);
            let default = default_sql(field);
            let default = default.trim_start_matches(" DEFAULT ");
            match old.field(&field.name) {
                None if default.is_empty() => "NULL".to_owned(),
                None => default.to_owned(),
                Some(was) if field.required && !was.required && !default.is_empty() => {
                    format!("coalesce({name}, {default})")
                }
                Some(_) => name,
            }
        })
        .collect();
    let table = quote(&new.name);
    let copy = format!(
        "INSERT INTO {REBUILT} (\"id\",{}) SELECT \"id\",{} FROM {table}",
        names.join(","),
        values.join(",")
    );
    run(connection, &copy).await.map_err(|e| does_not_hold(new, e))?;
    run(connection, &format!("DROP TABLE {table}")).await?;
    run(connection, &format!("ALTER TABLE {REBUILT} RENAME TO {table}")).await
}

/// Rows that are there break what is newly declared.
fn does_not_hold(collection: &Collection, error: StoreError) -> StoreError {
    match error {
        StoreError::Constraint { message, .. } => StoreError::Setup(format!(
            "rows of `{}` do not fit what is newly declared ({message}): change these rows first, \
             or leave the declaration as it was",
            collection.name
        )),
        other => other,
    }
}

/// What of a collection's change cannot be made without losing or guessing something.
fn differences(old: &Collection, new: &Collection) -> Vec<String> {
    let mut found = Vec::new();
    for was in &old.fields {
        let Some(is) = new.field(&was.name) else {
            let remedy = "keep it declared, at least with `read` for nobody";
            found.push(format!("the field `{}` is gone: {remedy}", was.name));
            continue;
        };
        let words = |kind: &FieldType| matches!(kind, FieldType::Enum { .. });
        if was.kind != is.kind && !(words(&was.kind) && words(&is.kind)) {
            let remedy = "give the new type a field with another name";
            found.push(format!("the type of `{}` changed: {remedy}", was.name));
        }
    }
    for is in new.fields.iter().filter(|is| old.field(&is.name).is_none()) {
        if is.required && is.default.is_none() {
            let remedy = "give it a default, which the rows that are there take";
            found.push(format!("the new field `{}` is required: {remedy}", is.name));
        }
        if is.from_parent {
            found.push(format!("the new field `{}` is from_parent: {REMAKE}", is.name));
        }
    }
    if old.scopes != new.scopes {
        found.push(format!("its scopes changed: {REMAKE}"));
    }
    if old.parent != new.parent {
        found.push(format!("its parent changed: {REMAKE}"));
    }
    found
}

const REMAKE: &str = "declare a new collection and move the rows into it";

/// ` DEFAULT …` of an added column: what the rows that are there take.
fn default_sql(field: &Field) -> String {
    let text = |text: String| format!(" DEFAULT '{}'", text.replace('\'', "''"));
    match field.default_value() {
        Value::Null | Value::Uuid(_) => String::new(),
        Value::Text(word) => text(word),
        Value::Integer(n) | Value::Decimal(n) | Value::Timestamp(n) => format!(" DEFAULT {n}"),
        Value::Real(real) => format!(" DEFAULT {real:?}"),
        Value::Boolean(b) => format!(" DEFAULT {}", i64::from(b)),
        Value::Date(days) => format!(" DEFAULT {days}"),
        Value::Set(elements) => {
            text(elements.into_iter().collect::<serde_json::Value>().to_string())
        }
        Value::Json(json) => text(json.to_string()),
    }
}
