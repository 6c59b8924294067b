//! Photo records.

use async_trait::async_trait;
use sqlx::Row as _;
use sync_protocol::RecordId;
use sync_protocol::schema::Collection;
use uuid::Uuid;

use super::ddl::table;
use super::error::store_error;
use super::query;
use super::read::PgRead;
use crate::store::StoreError;
use crate::store::photos::PhotoRows;

#[async_trait]
impl PhotoRows for PgRead {
    async fn photo_ids(
        &mut self,
        collection: &Collection,
        missing_only: bool,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<RecordId>, StoreError> {
        let sql = format!(
            "SELECT id FROM {} WHERE tenant_id = $1 AND id > $2 AND ($3 OR estado <> 'stored') \
             ORDER BY id LIMIT $4",
            table(collection)
        );
        let rows = query(sql)
            .bind(self.tenant.0)
            .bind(after.map_or(Uuid::nil(), |after| after.0))
            .bind(!missing_only)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *self.tx)
            .await
            .map_err(store_error)?;
        rows.iter().map(|row| row.try_get(0).map(RecordId).map_err(store_error)).collect()
    }

    async fn photo_bytes(&mut self, collection: &Collection) -> Result<u64, StoreError> {
        let sql = format!(
            "SELECT (coalesce(sum(bytes) FILTER (WHERE estado = 'stored'), 0) \
             + coalesce(sum(miniatura_bytes) FILTER (WHERE estado <> 'pending'), 0))::bigint \
             FROM {} WHERE tenant_id = $1",
            table(collection)
        );
        let row = query(sql).bind(self.tenant.0).fetch_one(&mut *self.tx).await;
        let bytes: i64 = row.and_then(|row| row.try_get(0)).map_err(store_error)?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }
}
