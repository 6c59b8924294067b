//! Which pictures photos of a tenant have.

use std::collections::BTreeSet;

use sqlx::{Postgres, Row as _, Transaction};
use sync_protocol::TenantId;
use sync_protocol::schema::Collection;
use sync_protocol::schema::photos::PICTURE;

use super::ddl::table;
use super::error::store_error;
use super::query;
use super::quote::ident;
use crate::store::StoreError;

/// See [`crate::store::WriteTx::known_pictures`].
pub(super) async fn known(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
    photos: &[&Collection],
    hashes: &BTreeSet<String>,
) -> Result<BTreeSet<String>, StoreError> {
    if photos.is_empty() || hashes.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = query(statement(photos))
        .bind(tenant.0)
        .bind(hashes.iter().cloned().collect::<Vec<_>>())
        .bind(photos.iter().map(|c| c.name.clone()).collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await
        .map_err(store_error)?;
    rows.iter().map(|row| row.try_get(0).map_err(store_error)).collect()
}

fn statement(photos: &[&Collection]) -> String {
    let column = ident(PICTURE);
    // LIMIT keeps each look-up one by its index: as a join or an EXISTS it may become a scan of all photos.
    let live: Vec<String> = photos
        .iter()
        .map(|collection| {
            let table = table(collection);
            format!(
                "(SELECT 1 FROM {table} b WHERE b.tenant_id = $1 AND b.{column} = w.hash LIMIT 1)"
            )
        })
        .collect();
    format!(
        "SELECT w.hash FROM unnest($2::text[]) w (hash) \
         CROSS JOIN LATERAL (SELECT 1 FROM ({}) any_of LIMIT 1) found \
         UNION SELECT * FROM sync.deleted_pictures($2, $3)",
        live.join(" UNION ALL ")
    )
}
