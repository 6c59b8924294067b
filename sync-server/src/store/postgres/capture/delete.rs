//! The function that captures a DELETE.

use sync_protocol::schema::Collection;

use super::super::quote::literal;
use super::content::content;
use super::entry::{COLUMNS, CONFLICT, RECEIVED, TIME, UNCERTAIN};
use super::memberships;

/// The settings that the function needs beside those of all.
pub(super) const SETTINGS: &str = "SET enable_hashjoin = off SET enable_mergejoin = off ";
/// Its variables beside those of all.
pub(super) const VARIABLES: &str = "";

/// Its statements.
pub(super) fn body(collection: &Collection) -> String {
    let name = literal(&collection.name);
    let content = content(collection);
    format!(
        "  INSERT INTO sync.rows AS r {COLUMNS}, deleted_v, deleted_w, deleted_t, deleted_u, deleted_at, tombstone)
  SELECT n.tenant_id, {name}, n.id, 1, pg_current_xact_id(), campo_w, {TIME}, {UNCERTAIN}, '{{}}',
    1, campo_w, {TIME}, {UNCERTAIN}, {RECEIVED}, {content}
  FROM old_rows n ORDER BY n.tenant_id, n.id
  {CONFLICT}
    version = r.version + 1, stamp = EXCLUDED.stamp, deleted_v = r.version + 1,
    deleted_w = EXCLUDED.deleted_w, deleted_t = EXCLUDED.deleted_t, deleted_u = EXCLUDED.deleted_u,
    deleted_at = EXCLUDED.deleted_at, tombstone = EXCLUDED.tombstone;
{}",
        memberships::of_deleted_rows(collection)
    )
}
