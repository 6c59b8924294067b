//! The function that captures an UPDATE.
//!
//! Most updates change no scope. Then the scopes that a row is noted in are right as they are, and
//! nothing has to be compared or written there: the log names the records. That also holds when another
//! trigger has moved the row in between: its own statement has been captured before this one.

use std::fmt::Write as _;

use sync_protocol::schema::{Collection, Field, FieldType};

use super::super::quote::{ident, literal};
use super::entry::{COLUMNS, TIME, UNCERTAIN};
use super::memberships;

/// The settings that the function needs beside those of all. Entries are looked up one by one,
/// whatever the planner thinks; FULL JOIN has no nested loop and is not affected.
pub(super) const SETTINGS: &str = "SET enable_hashjoin = off SET enable_mergejoin = off ";
/// Its variables beside those of all.
pub(super) const VARIABLES: &str = "campo_writer text := ',\"w\":\"' || campo_w || '\"';
  campo_tenants uuid[];
  campo_ids uuid[];
  campo_versions bigint[];
  campo_changed bigint;
  campo_moved boolean;";

/// The rows whose entries were written.
const CHANGED: &str =
    "SELECT * FROM unnest(campo_tenants, campo_ids, campo_versions) k (tenant_id, id, version)";

/// Its statements.
pub(super) fn body(collection: &Collection) -> String {
    let name = literal(&collection.name);
    let (mut columns, mut any, mut after) = (String::new(), String::new(), String::new());
    for (number, field) in collection.fields.iter().enumerate() {
        let _ = write!(columns, ", {} AS campo_{number}", change(field));
        let _ = write!(any, "n.campo_{number} IS NOT NULL OR ");
        if number > 0 {
            after.push_str("\n        || ");
        }
        after.push_str(&field_after(field, number));
    }
    if after.is_empty() {
        after.push_str("''");
    }
    format!(
        "  WITH changed AS MATERIALIZED (
    SELECT n.*, coalesce((n.campo_time ->> 0)::bigint, campo_now) AS campo_t,
      coalesce((n.campo_time ->> 1)::boolean, false) AS campo_u
    FROM (SELECT n.tenant_id, n.id, campo_times -> (n.id::text) AS campo_time{columns}
      FROM new_rows n FULL JOIN old_rows o ON o.tenant_id = n.tenant_id AND o.id = n.id) n
    WHERE {any}campo_times IS NOT NULL
  ), entry AS (
    UPDATE sync.rows r SET version = r.version + 1, stamp = pg_current_xact_id(),
      fields = r.fields || ('{{' || substr({after}, 2) || '}}')::jsonb
    FROM changed n
    WHERE r.tenant_id = n.tenant_id AND r.collection = {name} AND r.record_id = n.id
    RETURNING r.tenant_id, r.record_id, r.version)
  SELECT array_agg(tenant_id), array_agg(record_id), array_agg(version),
    (SELECT count(*) FROM changed), (SELECT bool_or({moved}) FROM changed n)
  INTO campo_tenants, campo_ids, campo_versions, campo_changed, campo_moved FROM entry;
  IF campo_changed = 0 THEN
    RETURN NULL;
  END IF;
  IF coalesce(cardinality(campo_ids), 0) < campo_changed THEN
    -- Rows that nobody has captured yet: older than their triggers, or inserted by a statement
    -- whose own triggers changed them before it was captured itself.
    WITH entry AS (
      INSERT INTO sync.rows AS r {COLUMNS})
      SELECT n.tenant_id, {name}, n.id, 1, pg_current_xact_id(), campo_w, {TIME}, {UNCERTAIN}, '{{}}'
      FROM new_rows n ORDER BY n.tenant_id, n.id ON CONFLICT DO NOTHING
      RETURNING r.tenant_id, r.record_id, r.version)
    SELECT campo_tenants || array_agg(tenant_id), campo_ids || array_agg(record_id),
      campo_versions || array_agg(version)
    INTO campo_tenants, campo_ids, campo_versions FROM entry;
    campo_moved := true;
  END IF;
  IF campo_moved THEN
{compared}  ELSE
{raised}  END IF;
",
        moved = moved(collection),
        compared = memberships::of_changed_rows(collection, CHANGED),
        raised = memberships::of_rows_that_stay(collection),
    )
}

/// Whether a column that names a scope changed in `n`.
fn moved(collection: &Collection) -> String {
    let flags: Vec<String> = collection
        .scope_fields()
        .filter_map(|name| collection.fields.iter().position(|field| field.name == name))
        .map(|number| format!("n.campo_{number} IS NOT NULL"))
        .collect();
    if flags.is_empty() { "false".to_owned() } else { flags.join(" OR ") }
}

/// What happened to a field between `o` and `n`: null if nothing, else true; for a set, as
/// `sync.fields_after` takes it.
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

/// The field's entry in `fields` after the change in `n`, as text that begins with a comma; empty
/// if it did not change. The same rules as `sync.fields_after`, which is called for sets alone: a
/// function for every row and field costs more than all else that capture does.
fn field_after(field: &Field, number: usize) -> String {
    let name = literal(&field.name);
    // Names of fields are plain words: nothing in them needs escaping.
    let key = literal(&format!(",\"{}\":", field.name));
    let after = if field.kind == FieldType::Set {
        format!(
            "(sync.fields_after(r.fields, jsonb_build_object({name}, n.campo_{number}), r.born_w, \
             r.version + 1, campo_w, n.campo_t, n.campo_u) -> {name})::text"
        )
    } else {
        format!(
            "'{{\"v\":' || (r.version + 1) || ',\"t\":' || n.campo_t || campo_writer \
             || CASE WHEN n.campo_u THEN ',\"u\":true' ELSE '' END \
             || coalesce(',\"o\":' || CASE \
             WHEN coalesce((r.fields -> {name} ->> 'w')::uuid, r.born_w) <> campo_w \
             THEN coalesce((r.fields -> {name} ->> 'v')::bigint, 1) \
             ELSE (r.fields -> {name} ->> 'o')::bigint END, '') || '}}'"
        )
    };
    format!("CASE WHEN n.campo_{number} IS NOT NULL THEN {key} || {after} ELSE '' END")
}
