//! The collections as tables: every statement that is generated from the schema.
//!
//! Names are quoted here and nowhere else. Values are always bound.
//!
//! References are foreign keys without an action: a row that others refer to cannot be deleted.
//! SQLite checks them at the end of each statement.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr};
use sync_protocol::schema::photos::PICTURE;
use sync_protocol::schema::{Collection, Field, FieldType, Schema, ScopeRule};

use super::columns::column_type;

/// A name in SQL.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL, for the words of a CHECK.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A statement that was generated here. It holds names and numbers of our own, never values.
pub(super) fn generated(sql: impl Into<Arc<str>>) -> impl SqlSafeStr {
    let sql: Arc<str> = sql.into();
    AssertSqlSafe(sql)
}

/// How many rows a generated statement writes at once; a number of rows is cut into these, so that
/// only a few statements per table are ever prepared. 64 rows of the 500 fields that a collection
/// may have stay below SQLite's 32,766 variables.
pub(super) const BATCHES: [usize; 4] = [64, 16, 4, 1];

/// Cuts `0..count` into ranges as long as [`BATCHES`].
pub(super) fn batches(count: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let size = BATCHES.into_iter().find(|size| start + size <= count)?;
        start += size;
        Some(start - size..start)
    })
}

/// `(?,?),(?,?)`: as many rows of as many variables.
pub(super) fn variables(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    vec![row; rows].join(",")
}

/// All tables of a schema.
#[derive(Debug)]
pub(super) struct Tables {
    /// In the order in which a first sync brings them; the index is the table's *rank*.
    pub tables: Vec<Table>,
    ranks: BTreeMap<String, usize>,
}

/// One collection's table.
#[derive(Debug)]
pub(super) struct Table {
    pub collection: Collection,
    pub rank: usize,
    /// Columns that follow the parent's, with the parent's rank.
    pub parent: Option<ParentLink>,
    /// Ranks of the collections that follow this one.
    pub children: Vec<usize>,
    /// Columns that hold ids of this same collection.
    pub self_references: Vec<String>,
    /// The fields without their limits, for reading what was written under other ones.
    pub unlimited: Vec<Field>,
    upsert: [Arc<str>; BATCHES.len()],
}

/// How a table follows its parent.
#[derive(Debug)]
pub(super) struct ParentLink {
    pub rank: usize,
    /// The column with the parent's id.
    pub field: String,
    /// The columns that are filled from the parent's of the same name.
    pub carried: Vec<String>,
}

impl Tables {
    pub fn new(schema: &Schema) -> Self {
        let order = schema.by_priority();
        let ranks: BTreeMap<String, usize> =
            order.iter().enumerate().map(|(rank, c)| (c.name.clone(), rank)).collect();
        let mut tables: Vec<Table> =
            order.iter().enumerate().map(|(rank, c)| Table::new(c, rank, &ranks)).collect();
        let links: Vec<(usize, usize)> = tables
            .iter()
            .filter_map(|table| table.parent.as_ref().map(|parent| (parent.rank, table.rank)))
            .collect();
        for (parent, child) in links {
            tables[parent].children.push(child);
        }
        Self { tables, ranks }
    }

    pub fn get(&self, name: &str) -> Option<&Table> {
        self.ranks.get(name).map(|rank| &self.tables[*rank])
    }
}

impl Table {
    fn new(collection: &Collection, rank: usize, ranks: &BTreeMap<String, usize>) -> Self {
        let parent = collection.parent.as_ref().and_then(|parent| {
            let carried: Vec<String> = collection
                .fields
                .iter()
                .filter(|field| field.from_parent)
                .map(|field| field.name.clone())
                .collect();
            let rank = *ranks.get(&parent.collection)?;
            (!carried.is_empty()).then(|| ParentLink { rank, field: parent.field.clone(), carried })
        });
        let self_references = collection
            .fields
            .iter()
            .filter(|field| field.references.as_deref() == Some(&collection.name))
            .map(|field| field.name.clone())
            .collect();
        let unlimited = collection
            .fields
            .iter()
            .map(|field| Field { min: None, max: None, max_length: None, ..field.clone() })
            .map(|field| match field.kind {
                FieldType::Enum { .. } => Field { kind: FieldType::Text, ..field },
                _ => field,
            })
            .collect();
        Self {
            rank,
            parent,
            children: Vec::new(),
            self_references,
            unlimited,
            upsert: BATCHES.map(|rows| upsert(collection, rows).into()),
            collection: collection.clone(),
        }
    }

    pub fn quoted(&self) -> String {
        quote(&self.collection.name)
    }

    /// Writes whole rows, new or changed, as many as one of [`BATCHES`]: `id`, then the fields in
    /// the order of declaration.
    pub fn upsert(&self, rows: usize) -> Arc<str> {
        let which = BATCHES.iter().position(|size| *size == rows);
        which.map_or_else(|| upsert(&self.collection, rows).into(), |i| self.upsert[i].clone())
    }

    /// `t."a",t."b"`: the fields in the order of declaration.
    pub fn field_list(&self) -> String {
        let names: Vec<String> =
            self.collection.fields.iter().map(|f| format!("t.{}", quote(&f.name))).collect();
        names.join(",")
    }

    /// The columns that name scopes, in the order of [`Collection::scopes`]; `id` where the row
    /// itself is the entity.
    pub fn scope_columns(&self) -> Vec<&str> {
        self.collection
            .scopes
            .iter()
            .filter_map(|rule| match rule {
                ScopeRule::Entity { field, .. } => Some(field.as_str()),
                ScopeRule::Tenant => None,
            })
            .collect()
    }

    /// The columns of the natural key.
    pub fn key_fields(&self) -> Vec<&Field> {
        let names = self.collection.natural_key.iter().flat_map(|key| &key.fields);
        names.filter_map(|name| self.collection.field(name)).collect()
    }
}

fn upsert(collection: &Collection, rows: usize) -> String {
    let names: Vec<String> = collection.fields.iter().map(|f| quote(&f.name)).collect();
    let sets: Vec<String> = names.iter().map(|name| format!("{name}=excluded.{name}")).collect();
    format!(
        "INSERT INTO {} (\"id\",{}) VALUES {} ON CONFLICT(\"id\") DO UPDATE SET {}",
        quote(&collection.name),
        names.join(","),
        variables(rows, names.len() + 1),
        sets.join(",")
    )
}

/// The statements that make a collection's table under a name (its own, or a temporary one while
/// it is rebuilt).
pub(super) fn create_table(collection: &Collection, name: &str) -> String {
    let mut lines = vec!["\"id\" BLOB NOT NULL PRIMARY KEY CHECK (length(\"id\") = 16)".to_owned()];
    lines.extend(collection.fields.iter().map(column));
    format!("CREATE TABLE {} (\n  {}\n) STRICT, WITHOUT ROWID", quote(name), lines.join(",\n  "))
}

/// A column's definition.
pub(super) fn column(field: &Field) -> String {
    let name = quote(&field.name);
    let mut sql = format!("{name} {}", column_type(&field.kind));
    if field.required {
        sql.push_str(" NOT NULL");
    }
    match &field.kind {
        FieldType::Enum { values } => {
            let words: Vec<String> = values.iter().map(|word| literal(word)).collect();
            sql.push_str(&format!(" CHECK ({name} IN ({}))", words.join(",")));
        }
        FieldType::Boolean => sql.push_str(&format!(" CHECK ({name} IN (0, 1))")),
        FieldType::Uuid => sql.push_str(&format!(" CHECK (length({name}) = 16)")),
        _ => {}
    }
    if let Some(target) = &field.references {
        sql.push_str(&format!(" REFERENCES {} (\"id\")", quote(target)));
    }
    sql
}

/// An index and the statement that makes it. Its name ends in a `!`, which no collection's or
/// field's name has: the two cannot meet.
pub(super) struct Index {
    pub name: String,
    pub sql: String,
}

/// A collection's indexes: its natural key, the pictures of photos, and each reference (by which
/// SQLite looks whether a row that is to be deleted is referred to).
pub(super) fn create_indexes(collection: &Collection) -> Vec<Index> {
    let table = quote(&collection.name);
    let mut indexes = Vec::new();
    if let Some(key) = &collection.natural_key {
        let columns: Vec<String> = key.fields.iter().map(|name| quote(name)).collect();
        let name = format!("{}_natural_key!", collection.name);
        let sql =
            format!("CREATE UNIQUE INDEX {} ON {table} ({})", quote(&name), columns.join(","));
        indexes.push(Index { name, sql });
    }
    let by_picture = |field: &Field| collection.photos && field.name == PICTURE;
    let single = |field: &&Field| field.references.is_some() || by_picture(field);
    for field in collection.fields.iter().filter(single) {
        let name = format!("{}_{}!", collection.name, field.name);
        let column = quote(&field.name);
        let sql = format!("CREATE INDEX {} ON {table} ({column})", quote(&name));
        indexes.push(Index { name, sql });
    }
    indexes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_names() {
        assert_eq!(quote("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(literal("d'agua"), "'d''agua'");
    }

    #[test]
    fn any_count_is_cut_into_prepared_sizes() {
        for count in [0, 1, 3, 4, 63, 64, 65, 1_000] {
            let ranges: Vec<_> = batches(count).collect();
            assert_eq!(ranges.iter().map(|r| r.len()).sum::<usize>(), count);
            assert!(ranges.iter().all(|r| BATCHES.contains(&r.len())));
            assert!(ranges.windows(2).all(|w| w[0].end == w[1].start));
        }
        assert_eq!(variables(2, 3), "(?,?,?),(?,?,?)");
    }
}
