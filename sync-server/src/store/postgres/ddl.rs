//! The typed table of a collection.
//!
//! `<vertical>.<collection>`: `tenant_id`, `id` and a column for each field, with the checks that
//! the schema asks for, so that other services that write with plain SQL are held to the same
//! rules. Foreign keys carry the tenant, so that no row can refer to another company's.
//!
//! **Children follow their parent.** A parent with scope columns gets `campo_follow`, a generated
//! text of their values, in a unique key; the child carries the same text, filled by a BEFORE
//! trigger, in a foreign key with ON UPDATE CASCADE, and its `from_parent` columns are taken from
//! that text. PostgreSQL itself thus keeps the two together at every isolation level. The text is
//! never null, where the scope columns themselves may be: a foreign key does not look at nulls.

use std::fmt::Write as _;

use sync_protocol::schema::photos::PICTURE;
use sync_protocol::schema::{Collection, Field, FieldType, MergeRule, Schema};

use super::quote::{ident, literal};

/// The column that carries the parent's scope columns, in parents and in children.
pub(super) const FOLLOW: &str = "campo_follow";

/// The table's quoted name.
pub(super) fn table(collection: &Collection) -> String {
    format!("{}.{}", ident(&collection.vertical), ident(&collection.name))
}

/// The type of a field's column, as `format_type` spells it.
pub(super) fn sql_type(kind: &FieldType) -> String {
    match kind {
        FieldType::Text | FieldType::Enum { .. } => "text".to_owned(),
        FieldType::Integer => "bigint".to_owned(),
        FieldType::Decimal { scale } => format!("numeric(18,{scale})"),
        FieldType::Real => "double precision".to_owned(),
        FieldType::Boolean => "boolean".to_owned(),
        FieldType::Date => "date".to_owned(),
        FieldType::Timestamp => "timestamp with time zone".to_owned(),
        FieldType::Uuid => "uuid".to_owned(),
        FieldType::Set => "text[]".to_owned(),
        FieldType::Json => "jsonb".to_owned(),
    }
}

/// Whether children of this collection carry its scope columns.
pub(super) fn is_followed(schema: &Schema, collection: &Collection) -> bool {
    collection.scope_fields().next().is_some()
        && schema
            .collections
            .values()
            .any(|child| child.parent.as_ref().is_some_and(|p| p.collection == collection.name))
}

/// The parent that this collection follows, if that one has scope columns to carry.
pub(super) fn followed_parent<'a>(
    schema: &'a Schema,
    collection: &'a Collection,
) -> Option<(&'a Collection, &'a str)> {
    let link = collection.parent.as_ref()?;
    let parent = schema.collection(&link.collection)?;
    parent.scope_fields().next().is_some().then_some((parent, link.field.as_str()))
}

/// Makes the table without its foreign keys, which need the other tables.
pub(super) fn create_table(schema: &Schema, collection: &Collection) -> String {
    let table = table(collection);
    let mut sql = format!(
        "CREATE TABLE {table} (\n  tenant_id uuid NOT NULL,\n  id uuid NOT NULL,\n  \
         CONSTRAINT {} PRIMARY KEY (tenant_id, id)\n);\n",
        ident(&format!("{}_pkey", collection.name))
    );
    for field in &collection.fields {
        sql += &add_column(collection, field);
    }
    if followed_parent(schema, collection).is_some() {
        let _ = writeln!(sql, "ALTER TABLE {table} ADD COLUMN {FOLLOW} text NOT NULL;");
    } else if is_followed(schema, collection) {
        let _ = writeln!(
            sql,
            "ALTER TABLE {table} ADD COLUMN {FOLLOW} text GENERATED ALWAYS AS ({}) STORED;",
            follow_text(collection)
        );
    }
    if is_followed(schema, collection) {
        let name = ident(&format!("{}_follow_key", collection.name));
        let _ = writeln!(
            sql,
            "ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE (tenant_id, id, {FOLLOW});"
        );
    }
    for index in indexes(collection).into_iter().filter(|index| index.of.is_none()) {
        sql += &index.sql(&table);
    }
    for (name, policy) in POLICIES {
        let _ = writeln!(sql, "{}", create_policy(name, &table, policy));
    }
    let _ = writeln!(
        sql,
        "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;\n\
         ALTER TABLE {table} FORCE ROW LEVEL SECURITY;\n\
         GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO campo_server;\n\
         GRANT SELECT, UPDATE (id) ON {table} TO campo_capture;"
    );
    sql
}

/// Adds the column of a field with its checks.
pub(super) fn add_column(collection: &Collection, field: &Field) -> String {
    let table = table(collection);
    let column = ident(&field.name);
    let mut sql = format!("ALTER TABLE {table} ADD COLUMN {column} {}", sql_type(&field.kind));
    if let Some(default) = default_expression(field) {
        let _ = write!(sql, " DEFAULT {default}");
    }
    if field.required {
        sql += " NOT NULL";
    }
    if let Some((name, check)) = check(collection, field) {
        let _ = write!(sql, " CONSTRAINT {} CHECK ({check})", ident(&name));
    }
    sql + ";\n"
}

/// Name and expression of the check that a field's column has.
pub(super) fn check(collection: &Collection, field: &Field) -> Option<(String, String)> {
    let name = format!("{}_{}_check", shortened(&collection.name, &field.name), field.name);
    check_expression(field).map(|expression| (name, expression))
}

/// The policies of every table: its name, and what stands behind `ON <table>`.
pub(super) const POLICIES: [(&str, &str); 2] = [
    (
        "tenant",
        "USING (tenant_id = NULLIF(current_setting('app.current_tenant_id', true), '')::uuid) \
         WITH CHECK (tenant_id = NULLIF(current_setting('app.current_tenant_id', true), '')::uuid)",
    ),
    ("capture", "TO campo_capture USING (true) WITH CHECK (true)"),
];

/// The statement that makes a policy.
pub(super) fn create_policy(name: &str, table: &str, policy: &str) -> String {
    format!("CREATE POLICY {name} ON {table} {policy};")
}

/// An index beside the primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub name: String,
    pub unique: bool,
    pub columns: Vec<String>,
    /// The field whose foreign key it serves, with which it is made.
    pub of: Option<String>,
}

impl Index {
    /// The statement that makes it.
    pub fn sql(&self, table: &str) -> String {
        let unique = if self.unique { "UNIQUE " } else { "" };
        let columns: Vec<String> = self.columns.iter().map(|c| ident(c)).collect();
        format!("CREATE {unique}INDEX {} ON {table} ({});\n", ident(&self.name), columns.join(", "))
    }
}

/// The indexes of a collection's table: by scope, by natural key, by what it refers to, and by picture.
pub(super) fn indexes(collection: &Collection) -> Vec<Index> {
    let index = |name: String, unique, fields: &[&str]| {
        let columns = std::iter::once("tenant_id").chain(fields.iter().copied());
        Index { name, unique, columns: columns.map(str::to_owned).collect(), of: None }
    };
    let name = |field: &str, ending: &str| {
        format!("{}_{field}_{ending}", shortened(&collection.name, field))
    };
    let mut all: Vec<Index> = collection
        .scope_fields()
        .map(|field| index(name(field, "idx"), false, &[field, "id"]))
        .collect();
    if let Some(key) = &collection.natural_key {
        let fields: Vec<&str> = key.fields.iter().map(String::as_str).collect();
        all.push(index(format!("{}_natural_key", collection.name), true, &fields));
    }
    all.extend(picture_index(collection));
    for field in collection.fields.iter().filter(|field| field.references.is_some()) {
        // A scope column has an index already; the others need one for deletions of what they
        // refer to.
        if !collection.scope_fields().any(|scope| scope == field.name) {
            let of = Some(field.name.clone());
            all.push(Index { of, ..index(name(&field.name, "ref"), false, &[&field.name]) });
        }
    }
    all
}

/// The index of a photo collection by which a picture that came before is found.
pub(super) fn picture_index(collection: &Collection) -> Option<Index> {
    let name = format!("{}_{PICTURE}_idx", shortened(&collection.name, PICTURE));
    let columns = ["tenant_id", PICTURE].map(str::to_owned).to_vec();
    collection.photos.then_some(Index { name, unique: false, columns, of: None })
}

/// Foreign keys of the fields, and of the link to the parent.
pub(super) fn foreign_key(
    schema: &Schema,
    collection: &Collection,
    field: &Field,
) -> Option<String> {
    let target = schema.collection(field.references.as_deref()?)?;
    let on = table(collection);
    let of = Some(field.name.clone());
    let mut sql: String =
        indexes(collection).iter().filter(|index| index.of == of).map(|i| i.sql(&on)).collect();
    let name = ident(&foreign_key_name(collection, field));
    let _ = writeln!(
        sql,
        "ALTER TABLE {on} ADD CONSTRAINT {name} {};",
        foreign_key_rule(schema, collection, field, target)
    );
    Some(sql)
}

/// A foreign key as it stands behind `ADD CONSTRAINT <name>`.
pub(super) fn foreign_key_rule(
    schema: &Schema,
    collection: &Collection,
    field: &Field,
    target: &Collection,
) -> String {
    let column = ident(&field.name);
    let link = collection.parent.as_ref().filter(|link| link.field == field.name);
    let (columns, keys, rule) = match (link, followed_parent(schema, collection)) {
        (Some(_), Some(_)) => (
            format!("tenant_id, {column}, {FOLLOW}"),
            format!("tenant_id, id, {FOLLOW}"),
            " ON UPDATE CASCADE",
        ),
        _ => (format!("tenant_id, {column}"), "tenant_id, id".to_owned(), ""),
    };
    format!("FOREIGN KEY ({columns}) REFERENCES {}({keys}){rule}", table(target))
}

/// Name of the constraint that [`foreign_key`] makes.
pub(super) fn foreign_key_name(collection: &Collection, field: &Field) -> String {
    format!("{}_{}_fkey", shortened(&collection.name, &field.name), field.name)
}

/// The scope columns as one text that is never null.
fn follow_text(collection: &Collection) -> String {
    let parts: Vec<String> =
        collection.scope_fields().map(|f| format!("coalesce({}::text, '')", ident(f))).collect();
    parts.join(" || ',' || ")
}

/// The function and trigger that fill a child's columns from its parent.
///
/// Returns the function, to be made by campo_capture (the writer may have no right to read the
/// parent), and the trigger.
pub(super) fn follow_trigger(schema: &Schema, collection: &Collection) -> Option<(String, String)> {
    let (parent, link) = followed_parent(schema, collection)?;
    let function = format!("sync.{}", ident(&format!("follow_{}", collection.name)));
    let mut copies = String::new();
    for (position, name) in parent.scope_fields().enumerate() {
        if collection.field(name).is_some_and(|field| field.from_parent) {
            let _ = writeln!(
                copies,
                "  NEW.{} := NULLIF(split_part(NEW.{FOLLOW}, ',', {}), '')::uuid;",
                ident(name),
                position + 1
            );
        }
    }
    let link = ident(link);
    let what =
        literal(&format!("{}: the parent in {} does not exist", collection.name, parent.name));
    let constraint = collection
        .fields
        .iter()
        .find(|f| collection.parent.as_ref().is_some_and(|p| p.field == f.name))
        .map(|f| foreign_key_name(collection, f))
        .unwrap_or_default();
    let create = format!(
        "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n\
         SET search_path = pg_catalog, pg_temp AS $campo$\n\
         BEGIN\n\
         \x20 IF TG_OP = 'INSERT' OR NEW.{link} IS DISTINCT FROM OLD.{link} THEN\n\
         \x20   SELECT p.{FOLLOW} INTO NEW.{FOLLOW} FROM {} p\n\
         \x20   WHERE p.tenant_id = NEW.tenant_id AND p.id = NEW.{link} FOR KEY SHARE;\n\
         \x20   IF NOT FOUND THEN\n\
         \x20     RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation', MESSAGE = {what}, \
         CONSTRAINT = {};\n\
         \x20   END IF;\n\
         \x20 END IF;\n\
         {copies}  RETURN NEW;\n\
         END $campo$;\n",
        table(parent),
        literal(&constraint)
    );
    let on = table(collection);
    let trigger = format!(
        "CREATE OR REPLACE TRIGGER aa_campo_follow BEFORE INSERT OR UPDATE ON {on} \
         FOR EACH ROW EXECUTE FUNCTION {function}();\n\
         ALTER TABLE {on} ENABLE ALWAYS TRIGGER aa_campo_follow;\n"
    );
    Some((create, trigger))
}

/// The default that plain SQL gets. Sets and JSON have none but null or what the schema says.
fn default_expression(field: &Field) -> Option<String> {
    let json = field.default.as_ref()?;
    Some(match &field.kind {
        FieldType::Set => {
            let elements: Vec<String> =
                json.as_array()?.iter().filter_map(|e| e.as_str()).map(literal).collect();
            format!("ARRAY[{}]::text[]", elements.join(", "))
        }
        FieldType::Json => format!("{}::jsonb", literal(&json.to_string())),
        kind => {
            let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
            format!("{}::{}", literal(&text), sql_type(kind))
        }
    })
}

/// What plain SQL is held to, beyond the column's type.
fn check_expression(field: &Field) -> Option<String> {
    let column = ident(&field.name);
    let mut checks = Vec::new();
    match &field.kind {
        FieldType::Enum { values } => {
            let words: Vec<String> = values.iter().map(|v| literal(v)).collect();
            checks.push(format!("{column} IN ({})", words.join(", ")));
        }
        FieldType::Text => {
            if let Some(max) = field.max_length {
                checks.push(format!("char_length({column}) <= {max}"));
            }
        }
        FieldType::Decimal { .. } => checks.push(format!("{column} <> 'NaN'")),
        FieldType::Real => {
            checks.push(format!("{column} > '-Infinity' AND {column} < 'Infinity'"));
        }
        FieldType::Date => {
            checks.push(format!("{column} BETWEEN '0001-01-01' AND '9999-12-31'"));
        }
        FieldType::Timestamp => checks.push(format!(
            "{column} >= '0001-01-01 00:00:00+00' AND {column} < '10000-01-01 00:00:00+00'"
        )),
        FieldType::Set => checks.push(format!(
            "array_position({column}, NULL) IS NULL AND coalesce(array_ndims({column}), 1) = 1"
        )),
        FieldType::Integer | FieldType::Boolean | FieldType::Uuid | FieldType::Json => {}
    }
    if field.merge != MergeRule::Counter {
        for (limit, sign) in [(&field.min, ">="), (&field.max, "<=")] {
            if let Some(value) = field.limit(limit.as_ref()) {
                let json = value.to_json(&field.kind);
                let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
                checks.push(format!(
                    "{column} {sign} {}::{}",
                    literal(&text),
                    sql_type(&field.kind)
                ));
            }
        }
    }
    (!checks.is_empty()).then(|| checks.join(" AND "))
}

/// The collection's name, cut so that `<name>_<field>_check` stays within PostgreSQL's 63 bytes.
fn shortened<'a>(collection: &'a str, field: &str) -> &'a str {
    let room = 63usize.saturating_sub(field.len() + 7).max(1);
    &collection[..collection.len().min(room)]
}
