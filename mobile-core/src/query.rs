//! The app's own SQL: read-only, and live.
//!
//! Statements run on a connection that was opened read-only, with `query_only`, and with an
//! authorizer that lets a statement read tables of collections and call functions, and nothing
//! else: no bookkeeping (tokens are there), no ATTACH (other people's databases are beside this one),
//! no PRAGMA.
//!
//! Results are JSON. A result column that is named like a field of a table that the statement reads
//! comes in that field's canonical form (a decimal as `"12.50"`, a set as an array), also
//! `sum(importe) AS importe`; any other comes as SQLite has it (`sum(importe)` in units of the last
//! digit).
//!
//! A live query asks the authorizer which tables its statement reads, and fires after each commit that
//! changed one of them. A sync changes all tables of a checkpoint in one commit. Commits of another process
//! tell nobody: whoever waits looks for them every now and then, and takes every table for changed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::{ToSqlOutput, Value as Sql, ValueRef};
use rusqlite::{Connection, Statement, ToSql, params_from_iter};
use serde::Serialize;
use serde_json::Value as Json;
use sync_protocol::schema::{FieldType, Schema};
use tokio::sync::watch;

use crate::CoreError;
use crate::store::rows::from_sql;
use crate::store::{Changes, Store};

/// Most rows that a query returns; more are cut off and the result says so.
pub const QUERY_ROWS_MAX: usize = 10_000;

/// Pause between looks for commits of other processes, while somebody waits for changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Rows of a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryResult {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Values, row by row.
    pub rows: Vec<Vec<Json>>,
    /// There would have been more than [`QUERY_ROWS_MAX`].
    pub truncated: bool,
}

/// Lets a connection read collections only.
///
/// # Errors
/// Those of SQLite.
pub fn restrict(db: &Connection) -> Result<(), CoreError> {
    Ok(db.authorizer(Some(|context: AuthContext<'_>| judge(&context.action)))?)
}

fn judge(action: &AuthAction<'_>) -> Authorization {
    match action {
        AuthAction::Select | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Read { table_name, .. } if !is_bookkeeping(table_name) => Authorization::Allow,
        AuthAction::Function { function_name }
            if !function_name.eq_ignore_ascii_case("load_extension") =>
        {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

fn is_bookkeeping(table: &str) -> bool {
    table.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("campo_"))
}

/// Runs one reading statement.
///
/// # Errors
/// [`CoreError::Query`] says what is wrong with the SQL or its parameters.
pub fn run(store: &Store, sql: &str, parameters: &[Json]) -> Result<QueryResult, CoreError> {
    // Another process may have brought another schema.
    store.notice_others()?;
    let schema = store.schema();
    store.query(|db| {
        let (mut statement, tables) = prepare(db, sql)?;
        let columns: Vec<String> =
            statement.column_names().into_iter().map(str::to_owned).collect();
        let kinds: Vec<Option<&FieldType>> =
            columns.iter().map(|name| kind_of(&schema, &tables, name)).collect();
        let mut found = statement
            .query(params_from_iter(parameters.iter().map(Parameter)))
            .map_err(sql_error)?;
        let mut rows = Vec::new();
        let mut truncated = false;
        while let Some(row) = found.next().map_err(sql_error)? {
            if rows.len() == QUERY_ROWS_MAX {
                truncated = true;
                break;
            }
            let values = kinds
                .iter()
                .enumerate()
                .map(|(index, kind)| Ok(to_json(*kind, row.get_ref(index)?)))
                .collect::<Result<_, rusqlite::Error>>()?;
            rows.push(values);
        }
        Ok(QueryResult { columns, rows, truncated })
    })
}

/// The type of the fields of this name in the tables that a statement reads, if they agree.
fn kind_of<'s>(
    schema: &'s Schema,
    tables: &BTreeSet<String>,
    column: &str,
) -> Option<&'s FieldType> {
    let mut kinds = tables
        .iter()
        .filter_map(|table| schema.collection(table)?.field(column))
        .map(|field| &field.kind);
    let first = kinds.next()?;
    kinds.all(|kind| kind == first).then_some(first)
}

/// Compiles a statement that may only read, and finds the tables that it reads.
fn prepare<'c>(
    db: &'c Connection,
    sql: &str,
) -> Result<(Statement<'c>, BTreeSet<String>), CoreError> {
    let tables = Arc::new(Mutex::new(BTreeSet::new()));
    let noted = Arc::clone(&tables);
    db.authorizer(Some(move |context: AuthContext<'_>| {
        if let AuthAction::Read { table_name, .. } = context.action {
            noted.lock().unwrap_or_else(PoisonError::into_inner).insert(table_name.to_owned());
        }
        judge(&context.action)
    }))?;
    let prepared = db.prepare(sql).map_err(sql_error);
    restrict(db)?;
    let statement = prepared?;
    if !statement.readonly() {
        return Err(CoreError::Query("only statements that read are allowed".to_owned()));
    }
    let tables = std::mem::take(&mut *tables.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((statement, tables))
}

fn sql_error(error: rusqlite::Error) -> CoreError {
    let authorization = matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::AuthorizationForStatementDenied)
    );
    match CoreError::from(error) {
        CoreError::Database(_) if authorization => {
            CoreError::Query("only SELECT on tables of collections is allowed here".to_owned())
        }
        CoreError::Database(error) => CoreError::Query(error.to_string()),
        other => other,
    }
}

fn to_json(kind: Option<&FieldType>, value: ValueRef<'_>) -> Json {
    if let Some(kind) = kind
        && let Some(value) = from_sql(kind, value)
    {
        return value.to_json(kind);
    }
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(n) => sync_protocol::Value::Integer(n).to_json(&FieldType::Integer),
        ValueRef::Real(real) => Json::from(real),
        ValueRef::Text(text) => Json::from(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => {
            Json::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
    }
}

struct Parameter<'j>(&'j Json);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Json::Null => ToSqlOutput::from(rusqlite::types::Null),
            Json::Bool(b) => ToSqlOutput::from(i64::from(*b)),
            Json::Number(n) => match n.as_i64() {
                Some(n) => ToSqlOutput::from(n),
                None => ToSqlOutput::from(n.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => ToSqlOutput::from(text.as_str()),
            other => ToSqlOutput::Owned(Sql::Text(other.to_string())),
        })
    }
}

/// Tells when tables that a statement reads have changed.
#[derive(Debug)]
pub struct LiveQuery {
    tables: BTreeSet<String>,
    seen_commit: u64,
    changes: watch::Receiver<Changes>,
    store: Weak<Store>,
}

impl LiveQuery {
    /// Watches a statement. It is compiled, not run.
    ///
    /// # Errors
    /// [`CoreError::Query`] says what is wrong with the SQL.
    pub fn watch(store: &Arc<Store>, sql: &str) -> Result<Self, CoreError> {
        let changes = store.subscribe();
        let seen_commit = changes.borrow().commit;
        let tables = store.query(|db| Ok(prepare(db, sql)?.1))?;
        Ok(Self { tables, seen_commit, changes, store: Arc::downgrade(store) })
    }

    /// The tables that it reads.
    #[must_use]
    pub fn tables(&self) -> &BTreeSet<String> {
        &self.tables
    }

    /// Waits for the next commit that changed one of them. `false` when the database was closed.
    pub async fn changed(&mut self) -> bool {
        loop {
            {
                let changes = self.changes.borrow_and_update();
                let newest =
                    self.tables.iter().filter_map(|t| changes.tables.get(t)).max().copied();
                if let Some(newest) = newest.filter(|newest| *newest > self.seen_commit) {
                    self.seen_commit = newest;
                    return true;
                }
            }
            let told = tokio::time::timeout(LOOK_EVERY, self.changes.changed()).await;
            match told {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return false,
                Err(_) => {
                    let looked = self.store.upgrade().map(|store| store.notice_others());
                    if let Some(Err(error)) = looked {
                        tracing::warn!(code = error.code(), "others' commits cannot be seen");
                    }
                }
            }
        }
    }
}
