//! Photo records.

use async_trait::async_trait;
use sqlx::Row as _;
use sync_protocol::RecordId;
use sync_protocol::schema::Collection;
use uuid::Uuid;

use super::columns::record;
use super::error::failed;
use super::read::SqliteRead;
use super::tables::{generated, quote};
use crate::store::StoreError;
use crate::store::photos::PhotoRows;

#[async_trait]
impl PhotoRows for SqliteRead {
    async fn photo_ids(
        &mut self,
        collection: &Collection,
        missing_only: bool,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<RecordId>, StoreError> {
        let sql = format!(
            "SELECT id FROM {} WHERE id > ?1 AND (?2 OR estado <> 'stored') ORDER BY id LIMIT ?3",
            quote(&collection.name)
        );
        let rows = sqlx::query(generated(sql))
            .bind(after.map_or(Uuid::nil(), |after| after.0).as_bytes().to_vec())
            .bind(!missing_only)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *self.connection)
            .await
            .map_err(failed)?;
        rows.iter().map(|row| record(row, 0)).collect()
    }

    async fn photo_bytes(&mut self, collection: &Collection) -> Result<u64, StoreError> {
        let sql = format!(
            "SELECT coalesce(sum(bytes) FILTER (WHERE estado = 'stored'), 0) \
             + coalesce(sum(miniatura_bytes) FILTER (WHERE estado <> 'pending'), 0) FROM {}",
            quote(&collection.name)
        );
        let row = sqlx::query(generated(sql)).fetch_one(&mut *self.connection).await;
        let bytes: i64 = row.and_then(|row| row.try_get(0)).map_err(failed)?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }
}
