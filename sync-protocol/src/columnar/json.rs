//! A page in the JSON form.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::DecodeError;
use crate::schema::{Collection, Schema};
use crate::wire::pull::{Column, PagePart, PageTable, PullPage, ScopeDigest};
use crate::wire::receipt::Receipt;
use crate::{RecordId, RowVersion, Scope, Value};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonPage {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<Schema>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    drops: Vec<Scope>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gains: Vec<Scope>,
    part: PagePart,
    tables: Vec<JsonTable>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    settled: Vec<Receipt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digests: Option<Vec<ScopeDigest>>,
    cursor: String,
    checkpoint: bool,
    remaining: u64,
    server_time_us: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonTable {
    collection: String,
    rows: Vec<JsonRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exits: Vec<RecordId>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRow {
    id: RecordId,
    version: RowVersion,
    scopes: Vec<Scope>,
    fields: Map<String, Json>,
}

/// Writes a page as JSON.
///
/// ```json
/// {
///   "part": "delta", "checkpoint": true, "remaining": 0, "cursor": "…", "server_time_us": 1763…,
///   "drops": ["project:…"], "gains": [], "schema": {…},
///   "tables": [{
///     "collection": "avances",
///     "rows": [{"id": "…", "version": 3, "scopes": ["project:…"], "fields": {"nota": "…"}}],
///     "exits": ["…"]
///   }],
///   "settled": [{"id": "…", "state": "applied", …}],
///   "digests": [{"scope": "project:…", "collection": "avances", "rows": 12, "digest": "…"}]
/// }
/// ```
///
/// Members that are empty are left out, besides `tables` and `rows`. Fields are in canonical form by
/// the schema that the page carries or, without one, by `schema`. A collection or field that
/// neither declares is written as its column holds it: a decimal in units, a date in days.
#[must_use]
pub fn page_to_json(page: &PullPage, schema: &Schema) -> Json {
    // Only maps with texts as keys: always written.
    serde_json::to_value(json_page(page, schema)).unwrap_or_default()
}

/// As [`page_to_json`], in bytes: for long pages, whose document would take several times their memory.
#[must_use]
pub fn page_to_json_bytes(page: &PullPage, schema: &Schema) -> Vec<u8> {
    serde_json::to_vec(&json_page(page, schema)).unwrap_or_default()
}

fn json_page(page: &PullPage, schema: &Schema) -> JsonPage {
    let tables = page.tables.iter().map(|table| {
        let collection = declared(page.schema.as_ref(), schema, &table.collection);
        table_to_json(page, table, collection)
    });
    JsonPage {
        schema: page.schema.clone(),
        drops: page.drops.clone(),
        gains: page.gains.clone(),
        part: page.part,
        tables: tables.collect(),
        settled: page.settled.clone(),
        digests: page.digests.clone(),
        cursor: page.cursor.clone(),
        checkpoint: page.checkpoint,
        remaining: page.remaining,
        server_time_us: page.server_time_us,
    }
}

/// A page's own schema comes before the reader's, which it replaces.
fn declared<'s>(own: Option<&'s Schema>, known: &'s Schema, name: &str) -> Option<&'s Collection> {
    own.and_then(|own| own.collection(name)).or_else(|| known.collection(name))
}

fn table_to_json(page: &PullPage, table: &PageTable, collection: Option<&Collection>) -> JsonTable {
    let mut columns: Vec<_> = table
        .fields
        .iter()
        .zip(&table.columns)
        .map(|(name, column)| {
            let field = collection.and_then(|collection| collection.field(name));
            let typed = field.and_then(|f| column.values(&f.kind).map(|v| (f, v)));
            let values: Vec<Json> = match typed {
                Some((field, values)) => values.iter().map(|v| v.to_json(&field.kind)).collect(),
                None => untyped(column),
            };
            (name, values.into_iter())
        })
        .collect();
    let rows = table.ids.iter().enumerate().map(|(row, id)| JsonRow {
        id: *id,
        version: table.versions.get(row).copied().unwrap_or_default(),
        scopes: table
            .scope_sets
            .get(row)
            .and_then(|set| page.scope_sets.get(*set as usize))
            .cloned()
            .unwrap_or_default(),
        fields: columns
            .iter_mut()
            .map(|(name, values)| ((*name).clone(), values.next().unwrap_or_default()))
            .collect(),
    });
    JsonTable {
        collection: table.collection.clone(),
        rows: rows.collect(),
        exits: table.exits.clone(),
    }
}

fn untyped(column: &Column) -> Vec<Json> {
    match column {
        Column::Int(values) => values.iter().map(|v| Json::from(*v)).collect(),
        Column::Real(values) => values.iter().map(|v| Json::from(*v)).collect(),
        Column::Uuid(values) => {
            values.iter().map(|v| Json::from(v.map(|v| v.to_string()))).collect()
        }
        Column::Text(values) => values.iter().map(Json::from).collect(),
    }
}

/// Reads a page that was written by [`page_to_json`].
///
/// The columns of a table are the declared fields that its first row has, in the order of the
/// schema; each other row must have the same. A table without rows has no columns. Values are read
/// by type; limits are not checked, because plain SQL may have gone beyond them.
///
/// # Errors
/// [`DecodeError`] for other members, an unknown collection or field, or a value of another type.
pub fn page_from_json(json: &Json, schema: &Schema) -> Result<PullPage, DecodeError> {
    let page = JsonPage::deserialize(json)?;
    let mut sets = ScopeSets::default();
    let mut tables = Vec::with_capacity(page.tables.len());
    for table in page.tables {
        let collection =
            declared(page.schema.as_ref(), schema, &table.collection).ok_or_else(|| {
                DecodeError::damaged(format!("the collection `{}` is unknown", table.collection))
            })?;
        tables.push(table_from_json(table, collection, &mut sets)?);
    }
    Ok(PullPage {
        schema: page.schema,
        drops: page.drops,
        gains: page.gains,
        part: page.part,
        scope_sets: sets.sets,
        tables,
        settled: page.settled,
        digests: page.digests,
        cursor: page.cursor,
        checkpoint: page.checkpoint,
        remaining: page.remaining,
        server_time_us: page.server_time_us,
    })
}

/// Sets of scopes, each once.
#[derive(Default)]
struct ScopeSets {
    sets: Vec<Vec<Scope>>,
    known: HashMap<Vec<Scope>, u32>,
}

impl ScopeSets {
    fn index(&mut self, scopes: Vec<Scope>) -> Result<u32, DecodeError> {
        if let Some(index) = self.known.get(&scopes) {
            return Ok(*index);
        }
        let index = u32::try_from(self.sets.len())
            .map_err(|_| DecodeError::TooLarge { what: "scope sets", limit: u32::MAX as usize })?;
        self.sets.push(scopes.clone());
        self.known.insert(scopes, index);
        Ok(index)
    }
}

fn table_from_json(
    json: JsonTable,
    collection: &Collection,
    sets: &mut ScopeSets,
) -> Result<PageTable, DecodeError> {
    let first = json.rows.first().map(|row| &row.fields);
    let fields: Vec<_> = collection
        .fields
        .iter()
        .filter(|f| first.is_some_and(|r| r.contains_key(&f.name)))
        .collect();
    let mut table = PageTable {
        collection: json.collection,
        fields: fields.iter().map(|field| field.name.clone()).collect(),
        columns: fields.iter().map(|field| Column::for_type(&field.kind)).collect(),
        exits: json.exits,
        ..PageTable::default()
    };
    for row in json.rows {
        if row.fields.len() != fields.len() {
            let known = |name: &&String| collection.field(name).is_some();
            let why = match row.fields.keys().find(|name| !known(name)) {
                Some(name) => format!("`{}` has no field `{name}`", collection.name),
                None => format!("the row {} has other fields than the first one", row.id),
            };
            return Err(DecodeError::Damaged(why));
        }
        table.ids.push(row.id);
        table.versions.push(row.version);
        table.scope_sets.push(sets.index(row.scopes)?);
        for (field, column) in fields.iter().zip(&mut table.columns) {
            let value = row.fields.get(&field.name).ok_or_else(|| {
                DecodeError::damaged(format!("the row {} lacks the field `{}`", row.id, field.name))
            })?;
            column.push(&Value::read(field, value)?);
        }
    }
    Ok(table)
}
