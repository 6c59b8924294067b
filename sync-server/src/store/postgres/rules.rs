//! Whether the tables keep the rules that the schema asks for: checks, foreign keys, indexes, and the
//! policies of the wall between tenants.
//!
//! PostgreSQL prints expressions in its own words, so what `migrate` would make is not compared as
//! text: it is made, on temporary tables of the same transaction, and both are read alike.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};
use sync_protocol::schema::{Collection, Schema};

use super::error::store_error;
use super::quote::ident;
use super::{ddl, query};
use crate::store::StoreError;

/// A policy, as `pg_policies` has it: permissive, roles, command, condition, check.
type Policy = (String, String, String, Option<String>, Option<String>);

/// What there is, by table and name.
#[derive(Default)]
struct Rules {
    /// Definition, and whether the rows that were there fit it.
    constraints: BTreeMap<(String, String), (String, bool)>,
    /// Unique, usable for every row, columns.
    indexes: BTreeMap<(String, String), (bool, bool, Vec<String>)>,
    policies: BTreeMap<(String, String), Policy>,
}

/// Every difference, with its remedy. The connection is in a transaction that will be rolled back.
pub(super) async fn differences(
    connection: &mut PgConnection,
    schema: &Schema,
    tenant_tables: &BTreeSet<String>,
) -> Result<Vec<String>, StoreError> {
    query("SET LOCAL search_path = pg_catalog")
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    let expected = expected(connection, schema).await?;
    let found = read(connection).await?;
    let mut differences = Vec::new();
    for (rank, collection) in schema.collections.values().enumerate() {
        let table = name_of(collection);
        if !found.policies.keys().any(|(t, _)| *t == table)
            && !found.constraints.keys().any(|(t, _)| *t == table)
        {
            // The table is missing, which is told already.
            continue;
        }
        checks(collection, &table, &temporary(rank), &expected, &found, &mut differences);
        foreign_keys(schema, collection, &table, &found, &mut differences);
        indexes(schema, collection, &table, &found, &mut differences);
    }
    let wall = |name: &str| expected.policies.get(&(temporary(0), name.to_owned()));
    for (table, name) in found.policies.keys().filter(|(table, _)| tenant_tables.contains(table)) {
        if wall(name).is_none() {
            differences.push(format!(
                "{table} has the policy {name}, which is not Campo's and may let other companies' \
                 rows through: run DROP POLICY {} ON {table}",
                ident(name)
            ));
        }
    }
    for table in tenant_tables {
        for (name, policy) in ddl::POLICIES {
            let present = found.policies.get(&(table.clone(), name.to_owned()));
            // The server's own tables are not for capture, except those that it keeps.
            let wanted = name == "tenant" || present.is_some() || !table.starts_with("sync.");
            if wanted && wall(name).is_some() && !same_wall(wall(name), present, table) {
                differences.push(format!(
                    "the policy {name} of {table} {}: run DROP POLICY IF EXISTS {name} ON {table}; {}",
                    if present.is_some() { "is another one" } else { "is missing" },
                    ddl::create_policy(name, table, policy)
                ));
            }
        }
    }
    Ok(differences)
}

/// Capture only reads the list of tenants, and which conflicts are open.
fn same_wall(wanted: Option<&Policy>, present: Option<&Policy>, table: &str) -> bool {
    match (wanted, present) {
        (Some(wanted), Some(present))
            if ["sync.tenants", "sync.conflicts"].contains(&table)
                && wanted.1.contains("capture") =>
        {
            wanted.1 == present.1 && present.2 == "SELECT"
        }
        (wanted, present) => wanted == present,
    }
}

fn name_of(collection: &Collection) -> String {
    format!("{}.{}", collection.vertical, collection.name)
}

/// The temporary table with the rules of the collection of this rank.
fn temporary(rank: usize) -> String {
    format!("campo_expected_{rank}")
}

/// Makes what `migrate` would make, and reads it.
async fn expected(connection: &mut PgConnection, schema: &Schema) -> Result<Rules, StoreError> {
    let mut sql = String::new();
    for (rank, collection) in schema.collections.values().enumerate() {
        let mut columns = vec!["tenant_id uuid".to_owned()];
        for field in &collection.fields {
            let mut column = format!("{} {}", ident(&field.name), ddl::sql_type(&field.kind));
            if let Some((name, check)) = ddl::check(collection, field) {
                let _ = write!(column, " CONSTRAINT {} CHECK ({check})", ident(&name));
            }
            columns.push(column);
        }
        let table = temporary(rank);
        let _ = writeln!(sql, "CREATE TEMPORARY TABLE {table} ({});", columns.join(", "));
        for (name, policy) in ddl::POLICIES {
            sql += &ddl::create_policy(name, &format!("pg_temp.{table}"), policy);
        }
    }
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await.map_err(|error| {
        StoreError::Setup(format!(
            "the rules of the tables cannot be compared: {error}; the server's role needs the right \
             to make temporary tables: run `sync-server migrate`"
        ))
    })?;
    let all = read(connection).await?;
    let own = |(table, name): (String, String)| {
        table.rsplit_once('.').map(|(_, table)| (table.to_owned(), name))
    };
    let is_temporary = |table: &str| table.starts_with("pg_temp");
    Ok(Rules {
        constraints: all
            .constraints
            .into_iter()
            .filter(|((table, _), _)| is_temporary(table))
            .filter_map(|(key, value)| Some((own(key)?, value)))
            .collect(),
        indexes: BTreeMap::new(),
        policies: all
            .policies
            .into_iter()
            .filter(|((table, _), _)| is_temporary(table))
            .filter_map(|(key, value)| Some((own(key)?, value)))
            .collect(),
    })
}

async fn read(connection: &mut PgConnection) -> Result<Rules, StoreError> {
    let mut rules = Rules::default();
    let rows = query(
        "SELECT n.nspname || '.' || c.relname, k.conname::text, pg_get_constraintdef(k.oid), \
         k.convalidated FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE NOT pg_is_other_temp_schema(n.oid)",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(store_error)?;
    for row in &rows {
        let key = (row.try_get(0).map_err(store_error)?, row.try_get(1).map_err(store_error)?);
        let value = (row.try_get(2).map_err(store_error)?, row.try_get(3).map_err(store_error)?);
        rules.constraints.insert(key, value);
    }
    let rows = query(
        "SELECT n.nspname || '.' || c.relname, i.relname::text, x.indisunique, \
         x.indisvalid AND x.indisready AND x.indpred IS NULL AND x.indexprs IS NULL, \
         ARRAY(SELECT a.attname::text FROM unnest(x.indkey) WITH ORDINALITY k (attnum, place) \
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum ORDER BY k.place) \
         FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast')",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(store_error)?;
    for row in &rows {
        let key = (row.try_get(0).map_err(store_error)?, row.try_get(1).map_err(store_error)?);
        let value = (
            row.try_get(2).map_err(store_error)?,
            row.try_get(3).map_err(store_error)?,
            row.try_get(4).map_err(store_error)?,
        );
        rules.indexes.insert(key, value);
    }
    let rows = query(
        "SELECT schemaname || '.' || tablename, policyname::text, permissive, roles::text, cmd, \
         qual, with_check FROM pg_policies",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(store_error)?;
    for row in &rows {
        let key = (row.try_get(0).map_err(store_error)?, row.try_get(1).map_err(store_error)?);
        let value = (
            row.try_get(2).map_err(store_error)?,
            row.try_get(3).map_err(store_error)?,
            row.try_get(4).map_err(store_error)?,
            row.try_get(5).map_err(store_error)?,
            row.try_get(6).map_err(store_error)?,
        );
        rules.policies.insert(key, value);
    }
    Ok(rules)
}

fn checks(
    collection: &Collection,
    table: &str,
    temporary: &str,
    expected: &Rules,
    found: &Rules,
    differences: &mut Vec<String>,
) {
    for (name, check) in collection.fields.iter().filter_map(|f| ddl::check(collection, f)) {
        let wanted = expected.constraints.get(&(temporary.to_owned(), name.clone()));
        let present = found.constraints.get(&(table.to_owned(), name.clone()));
        compare_constraint(
            table,
            &name,
            &format!("CHECK ({check})"),
            wanted.map(|w| &w.0),
            present,
            differences,
        );
    }
}

fn foreign_keys(
    schema: &Schema,
    collection: &Collection,
    table: &str,
    found: &Rules,
    differences: &mut Vec<String>,
) {
    for field in &collection.fields {
        let target = field.references.as_deref().and_then(|name| schema.collection(name));
        let Some(target) = target else { continue };
        let name = ddl::foreign_key_name(collection, field);
        let rule = ddl::foreign_key_rule(schema, collection, field, target);
        let present = found.constraints.get(&(table.to_owned(), name.clone()));
        compare_constraint(table, &name, &rule, Some(&rule), present, differences);
    }
}

/// Quotes are compared away: PostgreSQL prints them only where a name needs them.
fn compare_constraint(
    table: &str,
    name: &str,
    rule: &str,
    wanted: Option<&String>,
    present: Option<&(String, bool)>,
    differences: &mut Vec<String>,
) {
    let plain = |text: &str| text.replace('"', "");
    let (says, drop) = match (present, wanted) {
        (None, _) => (format!("{table} lacks the constraint {name}"), String::new()),
        (Some((is, _)), Some(wanted))
            if plain(is.trim_end_matches(" NOT VALID")) != plain(wanted) =>
        {
            let says = format!(
                "the constraint {name} of {table} is `{is}`, but the schema asks for another"
            );
            (says, format!("DROP CONSTRAINT {}, ", ident(name)))
        }
        (Some((_, false)), _) => {
            differences.push(format!(
                "the constraint {name} of {table} was never checked for the rows that are there: \
                 run ALTER TABLE {table} VALIDATE CONSTRAINT {}",
                ident(name)
            ));
            return;
        }
        _ => return,
    };
    differences.push(format!(
        "{says}: change the schema back, or run ALTER TABLE {table} {drop}ADD CONSTRAINT {} {rule}",
        ident(name)
    ));
}

fn indexes(
    schema: &Schema,
    collection: &Collection,
    table: &str,
    found: &Rules,
    differences: &mut Vec<String>,
) {
    let mut wanted = ddl::indexes(collection);
    let own = |name: &str, columns: &[&str]| ddl::Index {
        name: format!("{}_{name}", collection.name),
        unique: true,
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        of: None,
    };
    wanted.push(own("pkey", &["tenant_id", "id"]));
    if ddl::is_followed(schema, collection) {
        wanted.push(own("follow_key", &["tenant_id", "id", ddl::FOLLOW]));
    }
    for index in wanted {
        let says = match found.indexes.get(&(table.to_owned(), index.name.clone())) {
            None => format!("{table} lacks the index {}", index.name),
            Some((unique, usable, columns))
                if (*unique, *usable, columns) != (index.unique, true, &index.columns) =>
            {
                format!("the index {} of {table} is another one, or not usable", index.name)
            }
            Some(_) => continue,
        };
        differences.push(format!(
            "{says}: run DROP INDEX IF EXISTS {}.{}; {}",
            ident(&collection.vertical),
            ident(&index.name),
            index.sql(&ddl::table(collection)).trim_end()
        ));
    }
}
