//! Which records refer to others.

use sqlx::sqlite::SqliteConnection;
use sync_protocol::RecordId;
use sync_protocol::schema::Collection;

use super::columns::record;
use super::error::failed;
use super::tables::{generated, quote};
use crate::store::{REFERRING_MAX, StoreError};

/// See [`crate::store::WriteTx::referring`].
pub(super) async fn referring(
    connection: &mut SqliteConnection,
    collection: &Collection,
    field: &str,
    to: &[RecordId],
) -> Result<Vec<RecordId>, StoreError> {
    let (table, field) = (quote(&collection.name), quote(field));
    let sql = format!("SELECT id FROM {table} WHERE {field} = ?1 LIMIT {REFERRING_MAX}");
    let mut found = Vec::new();
    for id in to {
        let rows = sqlx::query(generated(sql.clone()))
            .bind(id.0.as_bytes().to_vec())
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        for row in &rows {
            found.push(record(row, 0)?);
        }
    }
    Ok(found)
}
