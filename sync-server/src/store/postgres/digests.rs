//! What scopes hold: counts and digests from the scope log, and ids from the memberships.

use sqlx::{Postgres, Row as _, Transaction};
use sync_protocol::digest::Digest;
use sync_protocol::schema::{Collection, Schema};
use sync_protocol::wire::pull::ScopeDigest;
use sync_protocol::{RecordId, RowVersion, Scope, TenantId};
use uuid::Uuid;

use super::error::store_error;
use super::query;
use super::write::scope;
use crate::store::StoreError;

/// See [`crate::store::ReadTx::digests`]. Sums what a snapshot sees of the log, folded or not.
pub(super) async fn of_scopes(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
    scopes: &[Scope],
    visible: &Schema,
) -> Result<Vec<ScopeDigest>, StoreError> {
    let rows = query(
        "SELECT scope, collection, (sum(came) - sum(went))::bigint, bit_xor(digest)::text \
         FROM sync.scope_log \
         WHERE tenant_id = $1 AND scope = ANY($2::text[]) AND collection = ANY($3::text[]) \
         GROUP BY scope, collection HAVING sum(came) <> sum(went) OR bit_xor(digest) <> 0::bit(128) \
         ORDER BY scope, collection",
    )
    .bind(tenant.0)
    .bind(scopes.iter().map(Scope::to_string).collect::<Vec<_>>())
    .bind(visible.collections.keys().cloned().collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await
    .map_err(store_error)?;
    rows.iter()
        .map(|row| {
            let rows: i64 = row.try_get(2).map_err(store_error)?;
            let bits: &str = row.try_get(3).map_err(store_error)?;
            let damaged = || StoreError::Internal("the scope log does not add up".to_owned());
            Ok(ScopeDigest {
                scope: scope(row, 0)?,
                collection: row.try_get(1).map_err(store_error)?,
                rows: u64::try_from(rows).map_err(|_| damaged())?,
                digest: Digest(u128::from_str_radix(bits, 2).map_err(|_| damaged())?),
            })
        })
        .collect()
}

/// See [`crate::store::ReadTx::members`].
pub(super) async fn members(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
    scope: &Scope,
    collection: &Collection,
    after: Option<RecordId>,
    limit: usize,
) -> Result<Vec<(RecordId, RowVersion)>, StoreError> {
    let rows = query(
        "SELECT m.record_id, r.version FROM ( \
           SELECT m.record_id FROM sync.memberships m \
           WHERE m.tenant_id = $1 AND m.scope = $2 AND m.collection = $3 AND NOT m.gone \
             AND ($4::uuid IS NULL OR m.record_id > $4) \
           ORDER BY m.record_id LIMIT $5) m \
         CROSS JOIN LATERAL (SELECT r.version FROM sync.rows r \
           WHERE r.tenant_id = $1 AND r.collection = $3 AND r.record_id = m.record_id LIMIT 1) r \
         ORDER BY m.record_id",
    )
    .bind(tenant.0)
    .bind(scope.to_string())
    .bind(collection.name.clone())
    .bind(after.map(|id| id.0))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(&mut **tx)
    .await
    .map_err(store_error)?;
    rows.iter()
        .map(|row| {
            let id: Uuid = row.try_get(0).map_err(store_error)?;
            Ok((RecordId(id), row.try_get(1).map_err(store_error)?))
        })
        .collect()
}
