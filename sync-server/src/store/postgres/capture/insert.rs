//! The function that captures an INSERT, a deleted row's restoration among them.

use sync_protocol::schema::{Collection, FieldType};

use super::super::quote::literal;
use super::content::content;
use super::entry::{COLUMNS, CONFLICT, TIME, UNCERTAIN};
use super::memberships;

/// The settings that the function needs beside those of all.
pub(super) const SETTINGS: &str = "";
/// Its variables beside those of all.
pub(super) const VARIABLES: &str = "campo_newest bigint;";

/// Its statements.
pub(super) fn body(collection: &Collection) -> String {
    let name = literal(&collection.name);
    let content = content(collection);
    let sets: Vec<String> = collection
        .fields
        .iter()
        .filter(|field| field.kind == FieldType::Set)
        .map(|field| literal(&field.name))
        .collect();
    let sets = format!("ARRAY[{}]::text[]", sets.join(", "));
    let changed = format!(
        "SELECT n.tenant_id, n.id, r.version FROM new_rows n CROSS JOIN LATERAL (
        SELECT r.version FROM sync.rows r
        WHERE r.tenant_id = n.tenant_id AND r.collection = {name} AND r.record_id = n.id LIMIT 1) r"
    );
    format!(
        "  IF sync.restoring() THEN
    WITH entry AS (
      INSERT INTO sync.rows AS r {COLUMNS}, tombstone)
      SELECT n.tenant_id, {name}, n.id, 0, pg_current_xact_id(), campo_w, {TIME}, {UNCERTAIN}, '{{}}', {content}
      FROM new_rows n ORDER BY n.tenant_id, n.id
      {CONFLICT}
        version = CASE WHEN r.deleted_v IS NULL THEN 0 ELSE r.version + 1 END,
        stamp = EXCLUDED.stamp, tombstone = NULL,
        deleted_v = NULL, deleted_w = NULL, deleted_t = NULL, deleted_u = NULL,
        restored_v = r.version + 1, restored_w = EXCLUDED.born_w,
        fields = sync.fields_after(r.fields, sync.tombstone_changes(r.tombstone, EXCLUDED.tombstone, {sets}),
          r.born_w, r.version + 1, EXCLUDED.born_w, EXCLUDED.born_t, EXCLUDED.born_u)
      RETURNING r.version)
    SELECT CASE WHEN min(version) = 0 THEN 0 ELSE max(version) END INTO campo_newest FROM entry;
    IF campo_newest = 0 THEN
      RAISE EXCEPTION 'a row that was not deleted cannot be restored' USING ERRCODE = 'unique_violation';
    END IF;
  ELSE
    WITH entry AS (
      INSERT INTO sync.rows AS r {COLUMNS})
      SELECT n.tenant_id, {name}, n.id, 1, pg_current_xact_id(), campo_w, {TIME}, {UNCERTAIN}, '{{}}'
      FROM new_rows n ORDER BY n.tenant_id, n.id
      {CONFLICT}
        version = CASE WHEN r.deleted_v IS NULL THEN r.version + 1 ELSE sync.refuse_used_id(r.record_id) END,
        stamp = EXCLUDED.stamp
      RETURNING r.version)
    SELECT max(version) INTO campo_newest FROM entry;
  END IF;
  IF campo_newest = 1 THEN
    -- Nobody has seen these rows before, no other trigger either: they are as they were inserted.
{}  ELSIF campo_newest > 1 THEN
{}  END IF;
",
        memberships::of_new_rows(collection),
        memberships::of_changed_rows(collection, &changed)
    )
}
