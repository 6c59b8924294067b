//! A page in the binary form, before compression. See [`super`] for every byte.

use std::collections::HashMap;

use uuid::Uuid;

use super::bytes::{Bytes, put_count, put_text, put_varint, unzigzag, zigzag};
use super::column::{Integers, column, put_column, put_integers};
use super::{
    DecodeError, PAGE_CELLS_MAX, PAGE_RECORDS_MAX, PAGE_SCOPES_MAX, PAGE_TABLES_MAX,
    PAGE_TEXT_BYTES_MAX, TABLE_COLUMNS_MAX,
};
use crate::wire::pull::{PagePart, PageTable, PullPage};
use crate::{RecordId, Scope};

const CHECKPOINT: u8 = 1;
const BACKFILL: u8 = 1 << 1;
const SCHEMA: u8 = 1 << 2;
const DIGESTS: u8 = 1 << 3;

/// Writes a page, without frame and compression.
#[must_use]
pub fn encode_page(page: &PullPage) -> Vec<u8> {
    let mut to = Vec::with_capacity(rough_bytes(page));
    let schema = page.schema.as_ref().and_then(|schema| serde_json::to_string(schema).ok());
    to.push(
        if page.checkpoint { CHECKPOINT } else { 0 }
            | if page.part == PagePart::Backfill { BACKFILL } else { 0 }
            | if schema.is_some() { SCHEMA } else { 0 }
            | if page.digests.is_some() { DIGESTS } else { 0 },
    );
    put_varint(&mut to, zigzag(page.server_time_us));
    put_varint(&mut to, page.remaining);
    put_text(&mut to, &page.cursor);
    if let Some(schema) = schema {
        put_text(&mut to, &schema);
    }
    put_scopes(&mut to, page);
    put_count(&mut to, page.tables.len());
    page.tables.iter().for_each(|table| put_table(&mut to, table));
    if page.settled.is_empty() {
        put_text(&mut to, "");
    } else {
        // Receipts are made of texts, numbers and JSON: always written.
        put_text(&mut to, &serde_json::to_string(&page.settled).unwrap_or_default());
    }
    if let Some(digests) = &page.digests {
        put_text(&mut to, &serde_json::to_string(digests).unwrap_or_default());
    }
    to
}

/// Near enough that the buffer seldom grows: 8 bytes a cell and an id for each row.
fn rough_bytes(page: &PullPage) -> usize {
    let cells = |table: &PageTable| table.ids.len() * (3 + table.columns.len()) * 8;
    256 + page.tables.iter().map(cells).sum::<usize>()
}

fn put_scopes(to: &mut Vec<u8>, page: &PullPage) {
    let mut index: HashMap<&Scope, usize> = HashMap::new();
    let mut all: Vec<&Scope> = Vec::new();
    for scope in page.drops.iter().chain(&page.gains).chain(page.scope_sets.iter().flatten()) {
        index.entry(scope).or_insert_with(|| {
            all.push(scope);
            all.len() - 1
        });
    }
    put_count(to, all.len());
    all.iter().for_each(|scope| put_text(to, scope.as_str()));
    let put_list = |to: &mut Vec<u8>, scopes: &[Scope]| {
        put_count(to, scopes.len());
        scopes
            .iter()
            .for_each(|scope| put_count(to, index.get(scope).copied().unwrap_or_default()));
    };
    put_list(to, &page.drops);
    put_list(to, &page.gains);
    put_count(to, page.scope_sets.len());
    page.scope_sets.iter().for_each(|set| put_list(to, set));
}

fn put_table(to: &mut Vec<u8>, table: &PageTable) {
    let rows = table.ids.len();
    debug_assert!(
        table.versions.len() == rows
            && table.scope_sets.len() == rows
            && table.fields.len() == table.columns.len()
            && table.columns.iter().all(|column| column.len() == rows),
        "the columns of {} have different lengths",
        table.collection
    );
    put_text(to, &table.collection);
    put_ids(to, &table.ids);
    put_integers(to, table.versions.iter().copied());
    put_integers(to, table.scope_sets.iter().map(|set| i64::from(*set)));
    put_count(to, table.fields.len());
    for (field, column) in table.fields.iter().zip(&table.columns) {
        put_text(to, field);
        put_column(to, column);
    }
    put_ids(to, &table.exits);
}

fn put_ids(to: &mut Vec<u8>, ids: &[RecordId]) {
    put_count(to, ids.len());
    let mut before = [0; 16];
    for id in ids {
        let bytes = id.0.into_bytes();
        let shared = bytes.iter().zip(before).take_while(|(a, b)| **a == *b).count();
        to.push(u8::try_from(shared).unwrap_or(0));
        to.extend_from_slice(&bytes[shared..]);
        before = bytes;
    }
}

/// Reads a page that was written by [`encode_page`].
///
/// # Errors
/// [`DecodeError`] for anything else.
pub fn decode_page(bytes: &[u8]) -> Result<PullPage, DecodeError> {
    let mut from = Bytes::new(bytes);
    let from = &mut from;
    let flags = from.byte("the page's flags")?;
    if flags & !(CHECKPOINT | BACKFILL | SCHEMA | DIGESTS) != 0 {
        return Err(DecodeError::damaged("the page has unknown flags"));
    }
    let server_time_us = unzigzag(from.varint("the server's time")?);
    let remaining = from.varint("the rows that remain")?;
    let cursor = from.text("the cursor")?.to_owned();
    let schema = (flags & SCHEMA != 0)
        .then(|| Ok::<_, DecodeError>(serde_json::from_str(from.text("the schema")?)?))
        .transpose()?;
    let mut scopes = Scopes::read(from)?;
    let drops = scopes.list(from)?;
    let gains = scopes.list(from)?;
    let scope_sets = scopes.sets(from)?;
    let mut budget = Budget::default();
    let table_count = from.count(PAGE_TABLES_MAX, "the tables of the page")?;
    let tables = (0..table_count)
        .map(|_| table(from, scope_sets.len(), &mut budget))
        .collect::<Result<_, _>>()?;
    let settled = match from.text("the settled transactions")? {
        "" => Vec::new(),
        json => serde_json::from_str(json)?,
    };
    let digests = (flags & DIGESTS != 0)
        .then(|| Ok::<_, DecodeError>(serde_json::from_str(from.text("the digests")?)?))
        .transpose()?;
    if !from.is_empty() {
        return Err(DecodeError::damaged("bytes follow the page"));
    }
    let part = if flags & BACKFILL != 0 { PagePart::Backfill } else { PagePart::Delta };
    let checkpoint = flags & CHECKPOINT != 0;
    Ok(PullPage {
        schema,
        drops,
        gains,
        part,
        scope_sets,
        tables,
        settled,
        digests,
        cursor,
        checkpoint,
        remaining,
        server_time_us,
    })
}

/// The scopes that a page names, and how often it may still name one.
struct Scopes {
    all: Vec<Scope>,
    mentions_left: usize,
}

impl Scopes {
    fn read(from: &mut Bytes<'_>) -> Result<Self, DecodeError> {
        let count = from.count(PAGE_SCOPES_MAX, "the scopes of the page")?;
        let all = (0..count)
            .map(|_| {
                let text = from.text("a scope")?;
                text.parse().map_err(|_| DecodeError::damaged(format!("`{text:.80}` is no scope")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { all, mentions_left: PAGE_SCOPES_MAX })
    }

    fn list(&mut self, from: &mut Bytes<'_>) -> Result<Vec<Scope>, DecodeError> {
        let count = from.count(self.mentions_left, "the scopes of the page")?;
        self.mentions_left -= count;
        (0..count)
            .map(|_| {
                let index = from.varint("a scope")?;
                usize::try_from(index)
                    .ok()
                    .and_then(|index| self.all.get(index).cloned())
                    .ok_or_else(|| DecodeError::damaged(format!("the page has no scope {index}")))
            })
            .collect()
    }

    fn sets(&mut self, from: &mut Bytes<'_>) -> Result<Vec<Vec<Scope>>, DecodeError> {
        let count = from.count(PAGE_RECORDS_MAX, "the scope sets of the page")?;
        (0..count).map(|_| self.list(from)).collect()
    }
}

/// What the tables of a page may still take.
struct Budget {
    records: usize,
    cells: usize,
    text_bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { records: PAGE_RECORDS_MAX, cells: PAGE_CELLS_MAX, text_bytes: PAGE_TEXT_BYTES_MAX }
    }
}

fn table(
    from: &mut Bytes<'_>,
    set_count: usize,
    budget: &mut Budget,
) -> Result<PageTable, DecodeError> {
    let collection = from.text("a collection's name")?.to_owned();
    let ids = ids(from, budget)?;
    let rows = ids.len();
    let mut integers = Integers::read(from)?;
    let versions = (0..rows).map(|_| integers.next(from)).collect::<Result<_, _>>()?;
    let mut integers = Integers::read(from)?;
    let scope_sets = (0..rows)
        .map(|_| {
            let set = integers.next(from)?;
            u32::try_from(set)
                .ok()
                .filter(|set| (*set as usize) < set_count)
                .ok_or_else(|| DecodeError::damaged(format!("the page has no scope set {set}")))
        })
        .collect::<Result<_, _>>()?;
    let field_count = from.count(TABLE_COLUMNS_MAX, "the columns of a table")?;
    budget.cells = budget
        .cells
        .checked_sub(rows * field_count)
        .ok_or(DecodeError::TooLarge { what: "the number of values", limit: PAGE_CELLS_MAX })?;
    let mut fields = Vec::with_capacity(field_count);
    let mut columns = Vec::with_capacity(field_count);
    for _ in 0..field_count {
        fields.push(from.text("a field's name")?.to_owned());
        columns.push(column(from, rows, &mut budget.text_bytes)?);
    }
    let exits = self::ids(from, budget)?;
    Ok(PageTable { collection, ids, versions, scope_sets, fields, columns, exits })
}

fn ids(from: &mut Bytes<'_>, budget: &mut Budget) -> Result<Vec<RecordId>, DecodeError> {
    let count = from.count(budget.records, "the rows of the page")?;
    budget.records -= count;
    let mut id = [0; 16];
    (0..count)
        .map(|_| {
            let shared = usize::from(from.byte("an id")?);
            let Some(differing) = id.get_mut(shared..) else {
                return Err(DecodeError::damaged("an id shares more than all its bytes"));
            };
            differing.copy_from_slice(from.take(differing.len(), "an id")?);
            Ok(RecordId(Uuid::from_bytes(id)))
        })
        .collect()
}
