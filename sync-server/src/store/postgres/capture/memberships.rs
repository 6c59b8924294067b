//! The second statement of each capture function: memberships, and the scope log.
//!
//! The log counts what came to and went from each scope, and how its digest changed.

use std::collections::BTreeSet;

use sync_protocol::schema::{Collection, ScopeRule};

use super::super::ddl::table;
use super::super::quote::{ident, literal};

/// Most records that a line of the log names.
const LINE_RECORDS_MAX: usize = 1_000;

/// After any change of the rows of `changed`, SQL that has `tenant_id`, `id` and the entry's `version`:
/// the scopes that the rows are in *now* are read from the base table, as other triggers may have changed
/// them since, and compared with the ones noted. A scope that a row was in counts it with the version
/// before, because each capture of a row raises its version by one and counts it anew in all its scopes.
pub(super) fn of_changed_rows(collection: &Collection, changed: &str) -> String {
    let name = literal(&collection.name);
    let mut columns: BTreeSet<String> = BTreeSet::from(["b.id".to_owned()]);
    columns.extend(collection.scope_fields().map(|field| format!("b.{}", ident(field))));
    let columns: Vec<String> = columns.into_iter().collect();
    format!(
        "    WITH changed AS MATERIALIZED ({changed}), seen AS (
      SELECT k.tenant_id, k.id, m.scope, k.version - 1 AS was, NULL::bigint AS present
      FROM changed k CROSS JOIN LATERAL (SELECT m.scope FROM sync.memberships m
        WHERE m.tenant_id = k.tenant_id AND m.collection = {name} AND m.record_id = k.id AND NOT m.gone
        LIMIT 1000) m
      UNION ALL
      SELECT k.tenant_id, k.id, s.scope, NULL, k.version
      FROM changed k
      CROSS JOIN LATERAL (SELECT {} FROM {} b WHERE b.tenant_id = k.tenant_id AND b.id = k.id LIMIT 1) b
      CROSS JOIN LATERAL (VALUES {}) s (scope)
      WHERE s.scope IS NOT NULL
    ), difference AS (
      SELECT tenant_id, id, scope, max(was) AS was, max(present) AS present
      FROM seen GROUP BY tenant_id, id, scope
    ), written AS (
      INSERT INTO sync.memberships (tenant_id, scope, collection, record_id, stamp, gone)
      SELECT tenant_id, scope, {name}, id, pg_current_xact_id(), present IS NULL
      FROM difference ORDER BY tenant_id, id, scope
      ON CONFLICT (tenant_id, collection, record_id, scope)
        DO UPDATE SET stamp = EXCLUDED.stamp, gone = EXCLUDED.gone
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
        scopes(collection, "b"),
    )
}

/// After the insertion of `new_rows` that nothing was noted of before: all is taken from them.
pub(super) fn of_new_rows(collection: &Collection) -> String {
    let name = literal(&collection.name);
    // Two rules may name the same scope.
    let scopes = match collection.scopes.len() {
        1 => format!("(VALUES {})", scopes(collection, "n")),
        _ => {
            format!("(SELECT DISTINCT s.scope FROM (VALUES {}) s (scope))", scopes(collection, "n"))
        }
    };
    format!(
        "    WITH written AS (
      INSERT INTO sync.memberships (tenant_id, scope, collection, record_id, stamp, gone)
      SELECT n.tenant_id, s.scope, {name}, n.id, pg_current_xact_id(), false
      FROM new_rows n CROSS JOIN LATERAL {scopes} s (scope)
      WHERE s.scope IS NOT NULL ORDER BY n.tenant_id, n.id, s.scope
      RETURNING tenant_id, scope, record_id
    )
    INSERT INTO sync.scope_log (tenant_id, scope, collection, came, went, digest, stamp)
    SELECT tenant_id, scope, {name}, count(*), 0, bit_xor(sync.digest(record_id, 1)), pg_current_xact_id()
    FROM written GROUP BY tenant_id, scope;
"
    )
}

/// After a change of the rows in `campo_ids` that moved none of them: nothing is written but the log's
/// lines, which name the records. Many in one array cost next to nothing; the memberships' stamps, which
/// are indexed, were half of what capture cost. Housekeeping stamps them later, each once, whatever
/// happened to it meanwhile. Its transactions are short because no line names more than
/// [`LINE_RECORDS_MAX`].
pub(super) fn of_rows_that_stay(collection: &Collection) -> String {
    let name = literal(&collection.name);
    format!(
        "    INSERT INTO sync.scope_log (tenant_id, scope, collection, came, went, digest, stamp, records)
    SELECT k.tenant_id, m.scope, {name}, 0, 0,
      bit_xor(sync.digest(k.id, k.version - 1) # sync.digest(k.id, k.version)), pg_current_xact_id(),
      array_agg(k.id)
    FROM unnest(campo_tenants, campo_ids, campo_versions) WITH ORDINALITY k (tenant_id, id, version, number)
    CROSS JOIN LATERAL (SELECT m.scope FROM sync.memberships m
      WHERE m.tenant_id = k.tenant_id AND m.collection = {name} AND m.record_id = k.id AND NOT m.gone
      LIMIT 1000) m
    GROUP BY k.tenant_id, m.scope, k.number / {LINE_RECORDS_MAX};
"
    )
}

/// After the deletion of `old_rows`: they leave every scope that they are noted in.
pub(super) fn of_deleted_rows(collection: &Collection) -> String {
    let name = literal(&collection.name);
    format!(
        "  WITH written AS (
    UPDATE sync.memberships m SET stamp = pg_current_xact_id(), gone = true
    FROM old_rows k CROSS JOIN LATERAL (SELECT r.version - 1 AS was FROM sync.rows r
      WHERE r.tenant_id = k.tenant_id AND r.collection = {name} AND r.record_id = k.id LIMIT 1) r
    WHERE m.tenant_id = k.tenant_id AND m.collection = {name} AND m.record_id = k.id AND NOT m.gone
    RETURNING m.tenant_id, m.scope, m.record_id, r.was
  )
  INSERT INTO sync.scope_log (tenant_id, scope, collection, came, went, digest, stamp)
  SELECT tenant_id, scope, {name}, 0, count(*), bit_xor(sync.digest(record_id, was)), pg_current_xact_id()
  FROM written GROUP BY tenant_id, scope;
"
    )
}

/// The scopes' texts from the columns of `row`, as the rows of a VALUES list; null where the column is.
fn scopes(collection: &Collection, row: &str) -> String {
    let scopes: Vec<String> = collection
        .scopes
        .iter()
        .map(|rule| match rule {
            ScopeRule::Tenant => "('tenant'::text)".to_owned(),
            ScopeRule::Entity { kind, field } => {
                format!("({} || {row}.{}::text)", literal(&format!("{kind}:")), ident(field))
            }
        })
        .collect();
    scopes.join(", ")
}
