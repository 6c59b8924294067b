//! A page while it is filled: rows go straight from the binary format into columns, each with the
//! set of held scopes that its own scope columns name.

use std::collections::HashMap;

use sync_protocol::schema::{Collection, ScopeRule};
use sync_protocol::wire::pull::{Column, PageTable};
use sync_protocol::{RecordId, Scope};
use uuid::Uuid;

use super::decode::{self, Cells};
use super::page::scope_columns;
use crate::store::{PageRows, RowKey, StoreError};

/// A page that is being filled.
#[derive(Default)]
pub(super) struct Page {
    pub rows: PageRows,
    sets: HashMap<Vec<Scope>, u32>,
}

/// A table that is being filled.
pub(super) struct Filling<'a> {
    pub table: PageTable,
    collection: &'a Collection,
    scope_columns: Vec<&'a str>,
    /// Sets of scopes by the values of the scope columns; none for a row in no held scope.
    known: HashMap<Vec<Option<Uuid>>, Option<u32>>,
    /// The scope columns of the row before and its set: most rows repeat them.
    before: Option<(Vec<Option<Uuid>>, Option<u32>)>,
    /// The scope columns of the row at hand.
    values: Vec<Option<Uuid>>,
    sets: HashMap<Vec<Scope>, u32>,
    new_sets: Vec<Vec<Scope>>,
}

impl Page {
    pub fn table<'a>(&mut self, collection: &'a Collection) -> Filling<'a> {
        Filling {
            table: PageTable {
                collection: collection.name.clone(),
                fields: collection.fields.iter().map(|f| f.name.clone()).collect(),
                columns: collection.fields.iter().map(|f| Column::for_type(&f.kind)).collect(),
                ..PageTable::default()
            },
            collection,
            scope_columns: scope_columns(collection),
            known: HashMap::new(),
            before: None,
            values: Vec::new(),
            sets: std::mem::take(&mut self.sets),
            new_sets: std::mem::take(&mut self.rows.scope_sets),
        }
    }

    pub fn add(&mut self, filled: Filling<'_>) {
        self.sets = filled.sets;
        self.rows.scope_sets = filled.new_sets;
        let count = filled.table.ids.len() + filled.table.exits.len();
        if count > 0 {
            self.rows.count += count;
            self.rows.tables.push(filled.table);
        }
    }

    pub fn finish(self, next: Option<RowKey>) -> PageRows {
        PageRows { next, ..self.rows }
    }
}

impl Filling<'_> {
    /// Appends a row, unless it is in none of the scopes that `sees` takes; `stable` says that
    /// `sees` answers the same for every row.
    pub fn push(
        &mut self,
        row: &impl Cells,
        id: RecordId,
        sees: &dyn Fn(&Scope) -> bool,
        stable: bool,
    ) -> Result<bool, StoreError> {
        self.values.clear();
        for position in 0..self.scope_columns.len() {
            let value = decode::bytes(row, 2 + position)?.map(decode::uuid).transpose()?;
            self.values.push(value);
        }
        let set = match &self.before {
            Some((before, set)) if stable && *before == self.values => *set,
            _ => self.set(sees, stable),
        };
        let Some(set) = set else { return Ok(false) };
        let version = decode::bytes(row, 1)?.map(decode::bigint).transpose()?.unwrap_or_default();
        self.table.ids.push(id);
        self.table.versions.push(version);
        self.table.scope_sets.push(set);
        let first = 2 + self.scope_columns.len();
        let fields = self.collection.fields.iter().zip(&mut self.table.columns);
        for (position, (field, column)) in fields.enumerate() {
            decode::push(column, &field.kind, decode::bytes(row, first + position)?)?;
        }
        Ok(true)
    }

    /// The set of the row at hand.
    fn set(&mut self, sees: &dyn Fn(&Scope) -> bool, stable: bool) -> Option<u32> {
        let values = self.values.clone();
        let known = self.known.get(&values).filter(|_| stable).copied();
        let set = known.unwrap_or_else(|| self.set_of(&values, sees));
        if stable {
            self.known.insert(values.clone(), set);
            self.before = Some((values, set));
        }
        set
    }

    /// The index of the set of scopes that the values of the scope columns name.
    fn set_of(&mut self, values: &[Option<Uuid>], sees: &dyn Fn(&Scope) -> bool) -> Option<u32> {
        let mut scopes: Vec<Scope> = self
            .collection
            .scopes
            .iter()
            .filter_map(|rule| match rule {
                ScopeRule::Tenant => Some(Scope::tenant()),
                ScopeRule::Entity { kind, field } => {
                    let position = self.scope_columns.iter().position(|c| c == field)?;
                    values[position].map(|id| Scope::entity(kind, id))
                }
            })
            .filter(|scope| sees(scope))
            .collect();
        if scopes.is_empty() {
            return None;
        }
        scopes.sort();
        scopes.dedup();
        let new = u32::try_from(self.new_sets.len()).unwrap_or(u32::MAX);
        let index = *self.sets.entry(scopes.clone()).or_insert(new);
        if index == new {
            self.new_sets.push(scopes);
        }
        Some(index)
    }
}
