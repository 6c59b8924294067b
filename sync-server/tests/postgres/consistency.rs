//! Whether the bookkeeping says exactly what the tables hold: entries, memberships, scope log.

use sqlx::{AssertSqlSafe, PgConnection, Row};
use sync_protocol::schema::{Collection, Schema, ScopeRule};

/// Every contradiction between tables and bookkeeping, over all tenants. As a superuser.
pub async fn contradictions(connection: &mut PgConnection, schema: &Schema) -> Vec<String> {
    let mut found = Vec::new();
    for collection in schema.collections.values() {
        for (what, sql) in checks(collection) {
            let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *connection).await;
            for row in rows.expect(what) {
                let detail: String = row.get(0);
                found.push(format!("{}: {what}: {detail}", collection.name));
            }
        }
    }
    found
}

fn checks(collection: &Collection) -> [(&'static str, String); 4] {
    let table = format!("{}.{}", collection.vertical, collection.name);
    let name = &collection.name;
    let scopes: Vec<String> = collection
        .scopes
        .iter()
        .map(|rule| match rule {
            ScopeRule::Tenant => "('tenant')".to_owned(),
            ScopeRule::Entity { kind, field } => format!("('{kind}:' || b.{field}::text)"),
        })
        .collect();
    let scopes = scopes.join(", ");
    let expected = format!(
        "SELECT DISTINCT b.tenant_id, s.scope, b.id AS record_id, r.version, r.stamp FROM {table} b \
         JOIN sync.rows r ON r.tenant_id = b.tenant_id AND r.collection = '{name}' AND r.record_id = b.id \
         CROSS JOIN LATERAL (VALUES {scopes}) s (scope) WHERE s.scope IS NOT NULL"
    );
    [
        (
            "rows without their entry, or entries without their row",
            format!(
                "SELECT coalesce(b.id, r.record_id)::text FROM {table} b \
                 FULL JOIN (SELECT * FROM sync.rows WHERE collection = '{name}' AND deleted_v IS NULL) r \
                 ON r.tenant_id = b.tenant_id AND r.record_id = b.id \
                 WHERE b.id IS NULL OR r.record_id IS NULL"
            ),
        ),
        (
            "memberships that are wrong",
            format!(
                "SELECT coalesce(e.record_id, m.record_id)::text || ' ' || coalesce(e.scope, m.scope) \
                 FROM ({expected}) e FULL JOIN (SELECT * FROM sync.memberships \
                 WHERE collection = '{name}' AND NOT gone) m USING (tenant_id, scope, record_id) \
                 WHERE e.record_id IS NULL OR m.record_id IS NULL"
            ),
        ),
        (
            "last changes that no delta would bring",
            format!(
                "SELECT e.record_id::text || ' ' || e.scope FROM ({expected}) e \
                 JOIN sync.memberships m ON m.tenant_id = e.tenant_id AND m.scope = e.scope \
                 AND m.collection = '{name}' AND m.record_id = e.record_id \
                 WHERE m.stamp <> e.stamp AND NOT EXISTS (SELECT FROM sync.scope_log l \
                 WHERE l.tenant_id = e.tenant_id AND l.scope = e.scope AND l.collection = '{name}' \
                 AND l.stamp = e.stamp AND e.record_id = ANY (l.records))"
            ),
        ),
        (
            "a scope whose log does not add up",
            format!(
                "SELECT scope FROM (SELECT tenant_id, scope, count(*) AS n, \
                 bit_xor(('x' || md5(uuid_send(record_id) || int8send(version)))::bit(128)) AS digest \
                 FROM ({expected}) e GROUP BY 1, 2) e \
                 FULL JOIN (SELECT tenant_id, scope, sum(came - went) AS n, bit_xor(digest) AS digest \
                 FROM sync.scope_log WHERE collection = '{name}' GROUP BY 1, 2) l USING (tenant_id, scope) \
                 WHERE coalesce(e.n, 0) <> coalesce(l.n, 0) \
                 OR coalesce(e.digest, 0::bit(128)) <> coalesce(l.digest, 0::bit(128))"
            ),
        ),
    ]
}
