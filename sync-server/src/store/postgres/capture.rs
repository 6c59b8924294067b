//! Capture: the triggers that keep the bookkeeping of a collection, whoever writes (DESIGN 3).
//!
//! Three AFTER … FOR EACH STATEMENT triggers with transition tables call a function each, made for
//! the collection, SECURITY DEFINER and owned by `campo_capture`, whose own policies let it see the
//! row's tenant even where the writer set none. A function works in two statements:
//!
//! 1. **Row entries**, in key order: an upsert into `sync.rows` raises the version, stamps it with
//!    the writing transaction's id and notes which fields changed
//!    ([`RowMeta`](sync_protocol::merge::RowMeta)'s rules). An upsert, because it finds each entry
//!    by the unique index whatever the planner knows, and because a trigger of somebody else may
//!    have changed the row before this one runs.
//! 2. **Memberships and scope log**, in a second statement, whose snapshot sees what was committed
//!    while the first one waited for locks: the scopes that the row is in *now* (read from the base
//!    table, as other triggers may have changed the row since) are compared with the ones noted.
//!
//! A statement that changes nothing in a row (an ORM that saves it again) is not captured, unless
//! the server itself made it.
//!
//! The functions run with sequential and bitmap scans off (under SERIALIZABLE a sequential scan
//! locks the whole table against everybody) and without JIT; old and new rows are matched by FULL
//! JOIN, for which PostgreSQL has no nested loop: plans are cached, and one made for a single row
//! would be quadratic for a bulk load.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sync_protocol::schema::{Collection, Field, FieldType, ScopeRule};

use super::ddl::table;
use super::quote::{ident, literal};

/// PostgreSQL takes at most 100 arguments in a call: pairs of name and value per call.
const OBJECT_PAIRS_MAX: usize = 40;

/// The capture triggers of a table: name, when, and the function's letter.
pub(super) const TRIGGERS: [(&str, &str, &str); 3] = [
    ("zz_campo_insert", "AFTER INSERT", "i"),
    ("zz_campo_update", "AFTER UPDATE", "u"),
    ("zz_campo_delete", "AFTER DELETE", "d"),
];
/// The triggers that refuse.
pub(super) const REFUSALS: [&str; 2] = ["aa_campo_truncate", "aa_campo_key"];

/// The functions, to be made by campo_capture.
pub(super) fn functions(collection: &Collection) -> String {
    let mut sql = String::new();
    for (letter, body) in
        [("i", insert(collection)), ("u", update(collection)), ("d", delete(collection))]
    {
        let _ = writeln!(
            sql,
            "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n\
             SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off \
             SET jit = off AS $campo$\n\
             DECLARE\n\
             \x20 campo_w uuid := sync.writer();\n\
             \x20 campo_times jsonb := sync.edit_times();\n\
             \x20 campo_now bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;\n\
             \x20 campo_unknown boolean;\n\
             BEGIN\n{body}  RETURN NULL;\nEND $campo$;",
            function(collection, letter)
        );
    }
    sql
}

/// The triggers, to be made by the table's owner.
pub(super) fn triggers(collection: &Collection) -> String {
    let table = table(collection);
    let mut sql = String::new();
    for (name, when, letter) in TRIGGERS {
        let transition = match letter {
            "i" => "NEW TABLE AS new_rows",
            "u" => "OLD TABLE AS old_rows NEW TABLE AS new_rows",
            _ => "OLD TABLE AS old_rows",
        };
        let _ = writeln!(
            sql,
            "CREATE OR REPLACE TRIGGER {name} {when} ON {table} REFERENCING {transition} \
             FOR EACH STATEMENT EXECUTE FUNCTION {}();",
            function(collection, letter)
        );
    }
    let _ = writeln!(
        sql,
        "CREATE OR REPLACE TRIGGER aa_campo_truncate BEFORE TRUNCATE ON {table} \
         FOR EACH STATEMENT EXECUTE FUNCTION sync.refuse_truncate();\n\
         CREATE OR REPLACE TRIGGER aa_campo_key BEFORE UPDATE ON {table} FOR EACH ROW \
         WHEN (OLD.id IS DISTINCT FROM NEW.id OR OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) \
         EXECUTE FUNCTION sync.refuse_key_change();"
    );
    for name in TRIGGERS.iter().map(|t| t.0).chain(REFUSALS) {
        let _ = writeln!(sql, "ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name};");
    }
    sql
}

fn function(collection: &Collection, letter: &str) -> String {
    format!("sync.{}", ident(&format!("capture_{letter}_{}", collection.name)))
}

const TIME: &str = "coalesce((campo_times -> (n.id::text) ->> 0)::bigint, campo_now)";
const UNCERTAIN: &str = "coalesce((campo_times -> (n.id::text) ->> 1)::boolean, false)";
const ENTRY: &str =
    "(tenant_id, collection, record_id, version, stamp, born_w, born_t, born_u, fields";
const CONFLICT: &str = "ON CONFLICT (tenant_id, collection, record_id) DO UPDATE SET";

fn insert(collection: &Collection) -> String {
    let name = literal(&collection.name);
    let content = content(collection);
    let sets: Vec<String> = collection
        .fields
        .iter()
        .filter(|field| field.kind == FieldType::Set)
        .map(|field| literal(&field.name))
        .collect();
    let sets = format!("ARRAY[{}]::text[]", sets.join(", "));
    format!(
        "  IF sync.restoring() THEN
    WITH entry AS (
      INSERT INTO sync.rows AS r {ENTRY}, tombstone)
      SELECT n.tenant_id, {name}, n.id, 0, pg_current_xact_id(), campo_w, {TIME}, {UNCERTAIN}, '{{}}', {content}
      FROM new_rows n ORDER BY n.tenant_id, n.id
      {CONFLICT}
        version = CASE WHEN r.deleted_v IS NULL THEN 0 ELSE r.version + 1 END,
        stamp = EXCLUDED.stamp, tombstone = NULL,
        deleted_v = NULL, deleted_w = NULL, deleted_t = NULL, deleted_u = NULL,
        fields = sync.fields_after(r.fields, sync.tombstone_changes(r.tombstone, EXCLUDED.tombstone, {sets}),
          r.born_w, r.version + 1, EXCLUDED.born_w, EXCLUDED.born_t, EXCLUDED.born_u)
      RETURNING r.version)
    SELECT bool_or(version = 0) INTO campo_unknown FROM entry;
    IF campo_unknown THEN
      RAISE EXCEPTION 'a row that was not deleted cannot be restored' USING ERRCODE = 'unique_violation';
    END IF;
  ELSE
    INSERT INTO sync.rows AS r {ENTRY})
    SELECT n.tenant_id, {name}, n.id, 1, pg_current_xact_id(), campo_w, {TIME}, {UNCERTAIN}, '{{}}'
    FROM new_rows n ORDER BY n.tenant_id, n.id
    {CONFLICT}
      version = CASE WHEN r.deleted_v IS NULL THEN r.version + 1 ELSE sync.refuse_used_id(r.record_id) END,
      stamp = EXCLUDED.stamp;
  END IF;
{}",
        memberships(collection, "new_rows")
    )
}

fn update(collection: &Collection) -> String {
    let name = literal(&collection.name);
    let pairs: Vec<(String, String)> =
        collection.fields.iter().map(|field| (literal(&field.name), change(field))).collect();
    let changes = object(&pairs);
    format!(
        "  WITH entry AS (
    INSERT INTO sync.rows AS r {ENTRY})
    SELECT n.tenant_id, {name}, n.id, 0, pg_current_xact_id(), campo_w, {TIME}, {UNCERTAIN}, n.changes
    FROM (SELECT n.tenant_id, n.id, jsonb_strip_nulls({changes}) AS changes
      FROM new_rows n FULL JOIN old_rows o ON o.tenant_id = n.tenant_id AND o.id = n.id) n
    WHERE n.changes <> '{{}}' OR campo_times IS NOT NULL
    ORDER BY n.tenant_id, n.id
    {CONFLICT}
      version = r.version + 1, stamp = EXCLUDED.stamp,
      fields = sync.fields_after(r.fields, EXCLUDED.fields,
        r.born_w, r.version + 1, EXCLUDED.born_w, EXCLUDED.born_t, EXCLUDED.born_u)
    RETURNING r.version)
  SELECT bool_or(version = 0) INTO campo_unknown FROM entry;
  IF campo_unknown THEN
    UPDATE sync.rows r SET version = 1, fields = '{{}}' FROM new_rows n
    WHERE r.tenant_id = n.tenant_id AND r.collection = {name} AND r.record_id = n.id AND r.version = 0;
  END IF;
{}",
        memberships(collection, "new_rows")
    )
}

fn delete(collection: &Collection) -> String {
    let name = literal(&collection.name);
    let content = content(collection);
    format!(
        "  INSERT INTO sync.rows AS r {ENTRY}, deleted_v, deleted_w, deleted_t, deleted_u, tombstone)
  SELECT n.tenant_id, {name}, n.id, 1, pg_current_xact_id(), campo_w, {TIME}, {UNCERTAIN}, '{{}}',
    1, campo_w, {TIME}, {UNCERTAIN}, {content}
  FROM old_rows n ORDER BY n.tenant_id, n.id
  {CONFLICT}
    version = r.version + 1, stamp = EXCLUDED.stamp, deleted_v = r.version + 1,
    deleted_w = EXCLUDED.deleted_w, deleted_t = EXCLUDED.deleted_t, deleted_u = EXCLUDED.deleted_u,
    tombstone = EXCLUDED.tombstone;
{}",
        memberships(collection, "old_rows")
    )
}

/// The second statement of each function.
fn memberships(collection: &Collection, changed: &str) -> String {
    let name = literal(&collection.name);
    let scopes: Vec<String> =
        collection.scopes.iter().map(|rule| format!("({})", scope(rule))).collect();
    let mut columns: BTreeSet<String> = BTreeSet::from(["b.id".to_owned()]);
    columns.extend(collection.scope_fields().map(|field| format!("b.{}", ident(field))));
    let columns: Vec<String> = columns.into_iter().collect();
    format!(
        "  WITH seen AS (
    SELECT k.tenant_id, k.id, m.scope, m.version AS was, NULL::bigint AS present
    FROM {changed} k CROSS JOIN LATERAL (SELECT m.scope, m.version FROM sync.memberships m
      WHERE m.tenant_id = k.tenant_id AND m.collection = {name} AND m.record_id = k.id AND NOT m.gone
      LIMIT 1000) m
    UNION ALL
    SELECT k.tenant_id, k.id, s.scope, NULL, r.version
    FROM {changed} k
    CROSS JOIN LATERAL (SELECT {} FROM {} b WHERE b.tenant_id = k.tenant_id AND b.id = k.id LIMIT 1) b
    CROSS JOIN LATERAL (SELECT r.version FROM sync.rows r
      WHERE r.tenant_id = k.tenant_id AND r.collection = {name} AND r.record_id = k.id LIMIT 1) r
    CROSS JOIN LATERAL (VALUES {}) s (scope)
    WHERE s.scope IS NOT NULL
  ), difference AS (
    SELECT tenant_id, id, scope, max(was) AS was, max(present) AS present
    FROM seen GROUP BY tenant_id, id, scope HAVING max(was) IS DISTINCT FROM max(present)
  ), written AS (
    INSERT INTO sync.memberships (tenant_id, scope, collection, record_id, stamp, gone, version)
    SELECT tenant_id, scope, {name}, id, pg_current_xact_id(), present IS NULL, coalesce(present, was)
    FROM difference ORDER BY tenant_id, id, scope
    ON CONFLICT (tenant_id, collection, record_id, scope)
      DO UPDATE SET stamp = EXCLUDED.stamp, gone = EXCLUDED.gone, version = EXCLUDED.version
  )
  INSERT INTO sync.scope_log (tenant_id, scope, collection, came, went, digest, stamp)
  SELECT tenant_id, scope, {name}, count(*) FILTER (WHERE was IS NULL),
    count(*) FILTER (WHERE present IS NULL),
    bit_xor(coalesce(sync.digest(id, was), 0::bit(128)) # coalesce(sync.digest(id, present), 0::bit(128))),
    pg_current_xact_id()
  FROM difference GROUP BY tenant_id, scope;
",
        columns.join(", "),
        table(collection),
        scopes.join(", "),
    )
}

/// A scope's text from the columns of `b`; null where the column is.
fn scope(rule: &ScopeRule) -> String {
    match rule {
        ScopeRule::Tenant => "'tenant'::text".to_owned(),
        ScopeRule::Entity { kind, field } => {
            format!("{} || b.{}::text", literal(&format!("{kind}:")), ident(field))
        }
    }
}

/// What happened to a field between `o` and `n`: null if nothing, else as `sync.fields_after` takes it.
fn change(field: &Field) -> String {
    let (old, new) = (format!("o.{}", ident(&field.name)), format!("n.{}", ident(&field.name)));
    if field.kind == FieldType::Set {
        // The order of an array says nothing about the set.
        format!(
            "CASE WHEN {old} IS DISTINCT FROM {new} \
             AND NOT coalesce({old} @> {new} AND {new} @> {old}, false) \
             THEN jsonb_build_array({new}, ARRAY(SELECT unnest({new}) EXCEPT SELECT unnest({old}))) END"
        )
    } else {
        format!("CASE WHEN {old} IS DISTINCT FROM {new} THEN true END")
    }
}

/// The content of `n` in canonical JSON.
fn content(collection: &Collection) -> String {
    let pairs: Vec<(String, String)> = collection
        .fields
        .iter()
        .map(|field| {
            let column = format!("n.{}", ident(&field.name));
            let value = match &field.kind {
                FieldType::Integer | FieldType::Decimal { .. } | FieldType::Uuid => {
                    format!("{column}::text")
                }
                FieldType::Date => format!("to_char({column}, 'YYYY-MM-DD')"),
                FieldType::Timestamp => format!(
                    "to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
                ),
                FieldType::Set => format!("sync.set_json({column})"),
                FieldType::Text
                | FieldType::Enum { .. }
                | FieldType::Real
                | FieldType::Boolean
                | FieldType::Json => column,
            };
            (literal(&field.name), value)
        })
        .collect();
    object(&pairs)
}

/// A JSON object of any number of pairs.
fn object(pairs: &[(String, String)]) -> String {
    let calls: Vec<String> = pairs
        .chunks(OBJECT_PAIRS_MAX)
        .map(|chunk| {
            let arguments: Vec<String> =
                chunk.iter().map(|(name, value)| format!("{name}, {value}")).collect();
            format!("jsonb_build_object({})", arguments.join(", "))
        })
        .collect();
    if calls.is_empty() { "'{}'::jsonb".to_owned() } else { calls.join(" || ") }
}
