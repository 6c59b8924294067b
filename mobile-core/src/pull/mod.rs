//! Pages of a pull become rows.
//!
//! ```text
//! page ─► schema, if it brings one: tables are migrated
//!      ─► drops: rows in no other scope leave, staged ones too; where everything is brought anew, rows
//!                in none of the scopes that are gained leave with the first page
//!      ─► delta page:     staged ([`staged`]) until the page that is a checkpoint, which shows all of
//!                         them together and settles this device's edits
//!      ─► backfill page:  straight into the tables; the scope counts as incomplete until the checkpoint.
//!                         Its rows have in them what this device's decided edits did
//!      ─► cursor
//! ```
//! All of a page is one SQLite transaction with its cursor, so a cut stream goes on after its last
//! durable page, and a kill at any instruction leaves the page applied or not. A page is checked as a
//! whole before anything of it is written.
//!
//! Rows are overwritten, never skipped by their version: a server that was restored from an older state
//! must be able to take back what it lost. A row is named with all the scopes it is in; the device
//! keeps that set and never concludes from one scope's loss that a row goes.

pub mod staged;

use std::collections::{BTreeSet, HashSet};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params};
use sync_protocol::planted::{self, Bug};
use sync_protocol::schema::{Collection, FieldType, Schema};
use sync_protocol::value::format_date;
use sync_protocol::wire::pull::{Column, PagePart, PageTable, PullPage};
use sync_protocol::{Fields, RecordId, Scope, Value};

use crate::CoreError;
use crate::outbox::{parking, push, settle};
use crate::store::checksum::{self, FieldChecksum};
use crate::store::meta::{self, name};
use crate::store::rows::{self, ServerRow};
use crate::store::{Store, anew, scopes, tables};
use crate::transport::TransportError;
use crate::verify::{checkpoint, damage, scrub};

/// What a page changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Rows that came with their content.
    pub rows: u64,
    /// Rows that left: one by one, or with a scope.
    pub exits: u64,
    /// Transactions that were settled.
    pub settled: u64,
    /// Sets of rows that are not what the server counts; none where it did not say.
    pub differing: Option<u64>,
    /// Whether the tables stand at a checkpoint of the server now and nothing is being backfilled.
    pub complete: bool,
    /// How many rows remain, as the server says.
    pub remaining: u64,
    /// Where the next pull begins.
    pub cursor: String,
}

/// Applies a page that was asked for with the cursor `asked_with` or follows the page that left it.
///
/// # Errors
/// [`TransportError::Garbage`] for a page that does not fit the schema or itself,
/// [`CoreError::AlreadyRunning`] when another process moved the cursor meanwhile, and those of
/// SQLite. Nothing has changed then.
pub fn apply(
    store: &Store,
    page: &PullPage,
    asked_with: Option<&str>,
) -> Result<Applied, CoreError> {
    let write = |db: &rusqlite::Transaction<'_>| {
        // The tables' own record of the schema counts, not this process's copy of it.
        let known = store.schema_in(db)?;
        let schema = page.schema.as_ref().unwrap_or(&known);
        let checked = check(schema, page)?;
        if meta::get(db, name::CURSOR)?.as_deref() != asked_with {
            return Err(CoreError::AlreadyRunning);
        }
        if page.schema.is_some() {
            tables::migrate(db, &known, schema, &schema.hash())?;
        }
        apply_in(db, schema, page, &checked)
    };
    if page.schema.is_some() { store.write_schema(write) } else { store.write(write) }
}

fn apply_in(
    db: &Connection,
    schema: &Schema,
    page: &PullPage,
    checked: &[&Collection],
) -> Result<Applied, CoreError> {
    let mut applied = Applied {
        remaining: page.remaining,
        cursor: page.cursor.clone(),
        settled: u64::try_from(page.settled.len()).unwrap_or(0),
        ..Applied::default()
    };
    applied.exits += scopes::drop_scopes(db, schema, &page.drops)?;
    let is_first = meta::get(db, name::CURSOR)?.is_none();
    if is_first && meta::get(db, name::BEGUN_ANEW)?.is_some() {
        // The first page without a cursor gains every scope that the user has.
        applied.exits += scopes::take_off_lost(db, schema, &page.gains)?;
    }
    for scope in &page.gains {
        db.execute("INSERT OR IGNORE INTO campo_backfill (scope) VALUES (?1)", [scope.as_str()])?;
    }
    let sets: Vec<i64> = page
        .scope_sets
        .iter()
        .map(|set| scopes::number(db, &set.iter().cloned().collect::<BTreeSet<Scope>>()))
        .collect::<Result<_, _>>()?;
    let mut touched = rows::Touched::new();
    let direct =
        page.part == PagePart::Backfill || page.checkpoint || planted::is(Bug::PageVisibleEarly);
    let awaited = damage::awaits_rows(db)?;
    if page.checkpoint {
        staged::show(db, schema, &mut touched)?;
    }
    for (table, collection) in page.tables.iter().zip(checked) {
        applied.rows += u64::try_from(table.ids.len()).unwrap_or(0);
        applied.exits += u64::try_from(table.exits.len()).unwrap_or(0);
        if direct {
            if page.part == PagePart::Backfill {
                staged::forget(db, table)?;
            }
            let brought: HashSet<RecordId> =
                table.ids.iter().chain(&table.exits).copied().collect();
            let came = |record| Ok(brought.contains(&record));
            settle::take_in(db, schema, &table.collection, &came, &mut touched)?;
            write_table(db, collection, table, &sets, &mut touched)?;
            if awaited {
                for record in &brought {
                    damage::came(db, &table.collection, *record)?;
                }
            }
        } else {
            staged::stage(db, collection, table, &sets)?;
        }
    }
    // Receipts belong to the snapshot of this page: they wait for its rows where those wait.
    if page.checkpoint || (direct && staged::is_empty(db)?) {
        for receipt in &page.settled {
            settle::settle(db, schema, receipt, &mut touched)?;
        }
    } else {
        staged::stage_receipts(db, &page.settled)?;
    }
    settle::recompute(db, schema, &touched)?;
    if page.checkpoint || !page.settled.is_empty() {
        parking::refresh(db)?;
    }
    if page.checkpoint {
        if page.part == PagePart::Backfill {
            // A backfill ends with the checkpoint of its last page, never with a delta's before it.
            db.execute("DELETE FROM campo_backfill", [])?;
            if meta::get(db, name::BEGUN_ANEW)?.is_some() {
                applied.exits += scopes::sweep_stale(db, schema)?;
                meta::remove(db, name::BEGUN_ANEW)?;
                damage::all_came_anew(db)?;
            }
        }
        meta::set_json(db, name::LAST_CHECKPOINT_US, &page.server_time_us)?;
        if let Some(told) = &page.digests {
            applied.differing = Some(checkpoint::compare(db, schema, told, page.server_time_us)?);
        }
        scrub::some(db, schema, scrub::ROWS_A_ROUND)?;
    }
    meta::set(db, name::CURSOR, &page.cursor)?;
    meta::set_json(db, name::REMAINING, &page.remaining)?;
    let backfilling: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM campo_backfill)")?
        .query_row([], |row| row.get(0))?;
    applied.complete = page.checkpoint && !backfilling;
    Ok(applied)
}

/// Begins anew ([`anew::begin`]) where the server cannot go on from the cursor. `since_us`, when the server's
/// history itself has ended: edits that were settled after that moment are sent again, because the server
/// may have lost them.
///
/// # Errors
/// Those of SQLite.
pub fn begin_anew(store: &Store, since_us: Option<i64>) -> Result<(), CoreError> {
    store.write(|db| {
        if let Some(since_us) = since_us {
            push::send_again(db, since_us)?;
        }
        anew::begin(db)
    })
}

fn garbage(text: String) -> CoreError {
    TransportError::Garbage(text).into()
}

/// Checks a page against the schema and itself; returns the collection of each of its tables.
fn check<'s>(schema: &'s Schema, page: &PullPage) -> Result<Vec<&'s Collection>, CoreError> {
    if page.cursor.is_empty() {
        return Err(garbage("a page without a cursor".to_owned()));
    }
    page.tables
        .iter()
        .map(|table| {
            let collection = schema.collection(&table.collection).ok_or_else(|| {
                garbage(format!("a page with rows of the unknown collection {}", table.collection))
            })?;
            check_table(collection, table, page.scope_sets.len())?;
            Ok(collection)
        })
        .collect()
}

fn check_table(collection: &Collection, table: &PageTable, sets: usize) -> Result<(), CoreError> {
    let rows = table.ids.len();
    let name = &collection.name;
    let lengths = table.versions.len() == rows
        && table.scope_sets.len() == rows
        && table.columns.len() == table.fields.len()
        && table.columns.iter().all(|column| column.len() == rows);
    if !lengths {
        return Err(garbage(format!("columns of {name} that are not equally long")));
    }
    if table.scope_sets.iter().any(|set| *set as usize >= sets) {
        return Err(garbage(format!("a row of {name} in a set of scopes that the page lacks")));
    }
    for (field, column) in table.fields.iter().zip(&table.columns) {
        let kind = &collection
            .field(field)
            .ok_or_else(|| garbage(format!("the unknown field {name}.{field}")))?
            .kind;
        if std::mem::discriminant(column) != std::mem::discriminant(&Column::for_type(kind)) {
            return Err(garbage(format!("values of {name}.{field} of another type")));
        }
        check_values(kind, column).map_err(|what| garbage(format!("{what} in {name}.{field}")))?;
    }
    Ok(())
}

fn check_values(kind: &FieldType, column: &Column) -> Result<(), &'static str> {
    match (kind, column) {
        (FieldType::Boolean, Column::Int(values)) => {
            let fit = values.iter().flatten().all(|n| (0..=1).contains(n));
            fit.then_some(()).ok_or("a boolean that is neither 0 nor 1")
        }
        (FieldType::Date, Column::Int(values)) => {
            let fit = values.iter().flatten().all(|n| i32::try_from(*n).is_ok());
            fit.then_some(()).ok_or("a date out of range")
        }
        (FieldType::Set, Column::Text(texts)) => {
            let fit = texts
                .iter()
                .flatten()
                .all(|text| serde_json::from_str::<Vec<&str>>(text).is_ok() || is_set(text));
            fit.then_some(()).ok_or("a set that is no array of texts")
        }
        (FieldType::Json, Column::Text(texts)) => {
            let fit = texts
                .iter()
                .flatten()
                .all(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
            fit.then_some(()).ok_or("a document that is no JSON")
        }
        _ => Ok(()),
    }
}

/// Elements with escapes cannot be borrowed.
fn is_set(text: &str) -> bool {
    serde_json::from_str::<BTreeSet<String>>(text).is_ok()
}

/// Writes rows straight from their columns. Rows with edits in the view take the slower way.
fn write_table(
    db: &Connection,
    collection: &Collection,
    table: &PageTable,
    sets: &[i64],
    touched: &mut rows::Touched,
) -> Result<(), CoreError> {
    let mut edited = edited_records(db, &collection.name)?;
    // Those whose last edit has just left the view still have their server state beside the table.
    edited.extend(touched.iter().filter(|(name, _)| *name == collection.name).map(|(_, id)| *id));
    let mut cells: Vec<(FieldChecksum, Cells<'_>)> = table
        .fields
        .iter()
        .zip(&table.columns)
        .map(|(field, column)| {
            let kind = collection.field(field).map_or(&FieldType::Text, |field| &field.kind);
            (FieldChecksum::new(field), Cells::new(kind, column))
        })
        .collect();
    let mut statement = db.prepare_cached(&tables::upsert(
        &collection.name,
        table.fields.iter().map(String::as_str),
    ))?;
    let mut contents = None;
    let mut text_id = [0u8; uuid::fmt::Hyphenated::LENGTH];
    for (row, id) in table.ids.iter().enumerate() {
        let scopes = sets[table.scope_sets[row] as usize];
        let version = table.versions[row];
        let plain = edited.is_empty() || !edited.contains(id);
        let show = plain && scopes != scopes::NONE;
        let text: &str = id.0.hyphenated().encode_lower(&mut text_id);
        if show {
            statement.raw_bind_parameter(1, text)?;
        }
        let mut checksum = 0;
        for (column, (field, cells)) in cells.iter_mut().enumerate() {
            let cell = cells.next();
            if show {
                checksum ^= field.of(cell.value());
                statement.raw_bind_parameter(column + 2, cell)?;
            }
        }
        if show {
            let next = cells.len() + 2;
            statement.raw_bind_parameter(next, version)?;
            statement.raw_bind_parameter(next + 1, scopes)?;
            statement.raw_bind_parameter(next + 2, 0)?;
            // It is that of all fields: where some did not come, it is not known.
            let known = cells.len() == collection.fields.len();
            let checksum = if known { checksum::of_row(checksum) } else { checksum::UNKNOWN };
            statement.raw_bind_parameter(next + 3, checksum)?;
            statement.raw_execute()?;
        } else if plain {
            rows::set_server_state(db, collection, *id, None)?;
        } else {
            let contents = match &mut contents {
                Some(contents) => contents,
                none => none.insert(Contents::of(collection, table)?),
            };
            let state = (scopes != scopes::NONE).then(|| ServerRow {
                fields: contents.take(row),
                version,
                scopes,
            });
            rows::put_beside(db, collection, *id, state.as_ref())?;
            touched.insert((collection.name.clone(), *id));
        }
    }
    for id in &table.exits {
        if edited.contains(id) {
            rows::put_beside(db, collection, *id, None)?;
            touched.insert((collection.name.clone(), *id));
        } else {
            rows::set_server_state(db, collection, *id, None)?;
        }
    }
    Ok(())
}

/// Records with edits in the view.
fn edited_records(db: &Connection, collection: &str) -> Result<HashSet<RecordId>, CoreError> {
    let mut statement = db.prepare_cached(
        "SELECT DISTINCT record FROM campo_mutation WHERE collection = ?1 AND in_view = 1",
    )?;
    let ids = statement.query_map(params![collection], |row| row.get::<_, String>(0))?;
    ids.map(|id| {
        id?.parse().map_err(|_| CoreError::Stored("record id in campo_mutation".to_owned()))
    })
    .collect()
}

/// The content of a page's rows, read from their columns once.
struct Contents<'s> {
    collection: &'s Collection,
    columns: Vec<(&'s str, Vec<Value>)>,
}

impl<'s> Contents<'s> {
    /// # Errors
    /// [`TransportError::Garbage`] for a value that does not fit.
    fn of(collection: &'s Collection, table: &PageTable) -> Result<Self, CoreError> {
        let mut columns = Vec::with_capacity(table.fields.len());
        for (name, column) in table.fields.iter().zip(&table.columns) {
            let Some(field) = collection.field(name) else { continue };
            let values = column
                .values(&field.kind)
                .ok_or_else(|| garbage(format!("a value of {}.{name}", collection.name)))?;
            columns.push((field.name.as_str(), values));
        }
        Ok(Self { collection, columns })
    }

    /// Takes out one row; fields that the page does not have are null.
    fn take(&mut self, row: usize) -> Fields {
        let mut fields: Fields =
            self.collection.fields.iter().map(|f| (f.name.clone(), Value::Null)).collect();
        for (name, values) in &mut self.columns {
            if let (Some(field), Some(value)) = (fields.get_mut(*name), values.get_mut(row)) {
                std::mem::swap(field, value);
            }
        }
        fields
    }
}

/// The values of a column one after another, as SQLite stores them, without copying texts.
enum Cells<'p> {
    Int(std::slice::Iter<'p, Option<i64>>),
    Date(std::slice::Iter<'p, Option<i64>>),
    Real(std::slice::Iter<'p, Option<f64>>),
    Uuid(std::slice::Iter<'p, Option<uuid::Uuid>>),
    Text(Box<dyn Iterator<Item = Option<&'p str>> + 'p>),
}

enum Cell<'p> {
    Null,
    Int(i64),
    Real(f64),
    Text(&'p str),
    Owned(String),
}

impl<'p> Cells<'p> {
    fn new(kind: &FieldType, column: &'p Column) -> Self {
        match column {
            Column::Int(values) if *kind == FieldType::Date => Self::Date(values.iter()),
            Column::Int(values) => Self::Int(values.iter()),
            Column::Real(values) => Self::Real(values.iter()),
            Column::Uuid(values) => Self::Uuid(values.iter()),
            Column::Text(values) => Self::Text(Box::new(values.iter())),
        }
    }

    fn next(&mut self) -> Cell<'p> {
        match self {
            Self::Int(values) => values.next().copied().flatten().map(Cell::Int),
            Self::Date(values) => values
                .next()
                .copied()
                .flatten()
                .map(|days| Cell::Owned(format_date(i32::try_from(days).unwrap_or(i32::MAX)))),
            Self::Real(values) => values.next().copied().flatten().map(Cell::Real),
            Self::Uuid(values) => {
                values.next().copied().flatten().map(|id| Cell::Owned(id.to_string()))
            }
            Self::Text(values) => values.next().flatten().map(Cell::Text),
        }
        .unwrap_or(Cell::Null)
    }
}

impl Cell<'_> {
    fn value(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Int(n) => ValueRef::Integer(*n),
            Self::Real(real) => ValueRef::Real(*real),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Owned(text) => ValueRef::Text(text.as_bytes()),
        }
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.value()))
    }
}
