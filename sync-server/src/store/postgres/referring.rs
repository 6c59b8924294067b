//! Which records refer to others.

use sqlx::{Postgres, Row as _, Transaction};
use sync_protocol::schema::Collection;
use sync_protocol::{RecordId, TenantId};
use uuid::Uuid;

use super::ddl::table;
use super::error::store_error;
use super::query;
use super::quote::ident;
use crate::store::{REFERRING_MAX, StoreError};

/// See [`crate::store::WriteTx::referring`].
pub(super) async fn referring(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
    collection: &Collection,
    field: &str,
    to: &[RecordId],
) -> Result<Vec<RecordId>, StoreError> {
    let (table, field) = (table(collection), ident(field));
    let statement = format!(
        "SELECT id FROM {table} WHERE tenant_id = $1 AND {field} = ANY($2) LIMIT {REFERRING_MAX}"
    );
    let rows = query(statement)
        .bind(tenant.0)
        .bind(to.iter().map(|id| id.0).collect::<Vec<Uuid>>())
        .fetch_all(&mut **tx)
        .await
        .map_err(store_error)?;
    rows.iter().map(|row| row.try_get(0).map(RecordId).map_err(store_error)).collect()
}
