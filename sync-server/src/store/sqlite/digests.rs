//! What scopes hold: counts and digests from the heads, and ids with versions from the memberships.

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use sync_protocol::digest::Digest;
use sync_protocol::schema::{Collection, Schema};
use sync_protocol::wire::pull::ScopeDigest;
use sync_protocol::{RecordId, RowVersion, Scope};

use super::columns::record;
use super::error::{damaged, failed};
use super::memberships::known_scopes;
use super::tenants::TenantFile;
use crate::store::StoreError;

/// See [`crate::store::ReadTx::digests`].
pub(super) async fn of_scopes(
    connection: &mut SqliteConnection,
    scopes: &[Scope],
    visible: &Schema,
) -> Result<Vec<ScopeDigest>, StoreError> {
    let names: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
    let rows = sqlx::query(
        "SELECT s.scope, c.name, h.live_rows, h.digest FROM sync_scopes s \
         JOIN sync_heads h ON h.scope = s.id JOIN sync_collections c ON c.id = h.collection \
         WHERE s.scope IN (SELECT value FROM json_each(?)) AND h.live_rows > 0 \
         ORDER BY s.scope, c.name",
    )
    .bind(serde_json::to_string(&names).map_err(damaged)?)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let mut digests = Vec::with_capacity(rows.len());
    for row in &rows {
        let collection: String = row.try_get(1).map_err(failed)?;
        if visible.collection(&collection).is_none() {
            continue;
        }
        let scope: &str = row.try_get(0).map_err(failed)?;
        let digest: Vec<u8> = row.try_get(3).map_err(failed)?;
        let digest = <[u8; 16]>::try_from(digest.as_slice()).map_err(damaged)?;
        digests.push(ScopeDigest {
            scope: scope.parse().map_err(damaged)?,
            collection,
            rows: u64::try_from(row.try_get::<i64, _>(2).map_err(failed)?).map_err(damaged)?,
            digest: Digest(u128::from_be_bytes(digest)),
        });
    }
    Ok(digests)
}

/// See [`crate::store::ReadTx::members`].
pub(super) async fn members(
    connection: &mut SqliteConnection,
    tenant: &TenantFile,
    scope: &Scope,
    collection: &Collection,
    after: Option<RecordId>,
    limit: usize,
) -> Result<Vec<(RecordId, RowVersion)>, StoreError> {
    let numbers = known_scopes(connection, [scope]).await?;
    let (Some(number), Some(table)) = (numbers.get(scope), tenant.tables.get(&collection.name))
    else {
        return Ok(Vec::new());
    };
    let rows = sqlx::query(
        "SELECT m.record, r.version FROM sync_memberships m \
         JOIN sync_rows r ON r.collection = m.collection AND r.record = m.record \
         WHERE m.scope = ? AND m.collection = ? AND m.record > ? AND m.gone = 0 \
         ORDER BY m.record LIMIT ?",
    )
    .bind(*number)
    .bind(tenant.collection_numbers[table.rank])
    .bind(after.map_or_else(Vec::new, |id| id.0.as_bytes().to_vec()))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    rows.iter().map(|row| Ok((record(row, 0)?, row.try_get(1).map_err(failed)?))).collect()
}
