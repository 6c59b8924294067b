//! Conflicts and the audit trail.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sync_protocol::wire::review::Conflict;
use sync_protocol::{ConflictId, RecordId, UserId};
use uuid::Uuid;

use super::columns::ids_json;
use super::error::{damaged, failed};
use super::memberships::known_scopes;
use crate::store::{AuditEntry, ConflictFilter, StoreError};

fn conflict(row: &SqliteRow) -> Result<Conflict, StoreError> {
    let body: &str = row.try_get(0).map_err(failed)?;
    serde_json::from_str(body).map_err(damaged)
}

/// A word of an enum as it is written in JSON.
fn word(value: &impl serde::Serialize) -> Result<String, StoreError> {
    let json = serde_json::to_value(value).map_err(damaged)?;
    json.as_str().map(str::to_owned).ok_or_else(|| damaged("a status is no word"))
}

/// Open and claimed conflicts of records.
pub(super) async fn open_of(
    connection: &mut SqliteConnection,
    collection: &str,
    records: &[RecordId],
) -> Result<Vec<Conflict>, StoreError> {
    let rows = sqlx::query(
        "SELECT body FROM sync_conflicts WHERE collection = ? \
         AND record IN (SELECT unhex(value) FROM json_each(?)) AND status IN ('open', 'claimed') \
         ORDER BY opened_at_us, id",
    )
    .bind(collection.to_owned())
    .bind(ids_json(records))
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    rows.iter().map(conflict).collect()
}

/// One conflict.
pub(super) async fn by_id(
    connection: &mut SqliteConnection,
    id: ConflictId,
) -> Result<Option<Conflict>, StoreError> {
    let row = sqlx::query("SELECT body FROM sync_conflicts WHERE id = ?")
        .bind(id.0)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.as_ref().map(conflict).transpose()
}

/// Writes a conflict.
pub(super) async fn save(
    connection: &mut SqliteConnection,
    conflict: &Conflict,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sync_conflicts (id, collection, record, status, severity, opened_at_us, body, \
         scopes, parent_collection, parent_record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET \
         collection = excluded.collection, record = excluded.record, status = excluded.status, \
         severity = excluded.severity, opened_at_us = excluded.opened_at_us, body = excluded.body, \
         scopes = excluded.scopes, parent_collection = excluded.parent_collection, \
         parent_record = excluded.parent_record",
    )
    .bind(conflict.id.0)
    .bind(conflict.collection.clone())
    .bind(conflict.record.0)
    .bind(word(&conflict.status)?)
    .bind(word(&conflict.severity)?)
    .bind(conflict.opened_at_us)
    .bind(serde_json::to_string(conflict).map_err(damaged)?)
    .bind(serde_json::to_string(&conflict.scopes).map_err(damaged)?)
    .bind(conflict.belongs_to.as_ref().map(|parent| parent.collection.clone()))
    .bind(conflict.belongs_to.as_ref().map(|parent| parent.record.0))
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed)
}

/// Conflicts of rows in the given scopes and collections, oldest first. A row that is deleted
/// counts for the scopes that it was in when that happened: its conflict has to be found. One that is not there
/// counts for those that it would be in, or that its parent is in. (Which of these counts is for the caller to see.)
pub(super) async fn list(
    connection: &mut SqliteConnection,
    filter: &ConflictFilter,
) -> Result<Vec<Conflict>, StoreError> {
    let held = serde_json::to_string(&filter.scopes).map_err(damaged)?;
    let scopes = known_scopes(connection, &filter.scopes).await?;
    let scopes: Vec<i64> = scopes.into_values().collect();
    let statuses = filter.status.iter().map(word).collect::<Result<Vec<_>, _>>()?;
    let severity = filter.severity.as_ref().map(word).transpose()?;
    let (after_us, after_id) = match filter.after {
        Some((at_us, id)) => (Some(at_us), Some(id.0)),
        None => (None, None),
    };
    let rows = sqlx::query(
        "SELECT c.body FROM sync_conflicts c WHERE \
         (json_array_length(?1) = 0 OR c.status IN (SELECT value FROM json_each(?1))) \
         AND (?2 IS NULL OR c.severity = ?2) \
         AND c.collection IN (SELECT value FROM json_each(?3)) \
         AND (?4 IS NULL OR c.id = ?4) \
         AND (?5 IS NULL OR c.opened_at_us >= ?5) \
         AND (?6 IS NULL OR c.opened_at_us < ?6) \
         AND (?7 IS NULL OR (c.opened_at_us, c.id) > (?7, ?8)) \
         AND (EXISTS (SELECT 1 FROM json_each(c.scopes) w WHERE w.value IN (SELECT value FROM json_each(?11))) \
          OR (c.parent_record IS NOT NULL AND EXISTS (SELECT 1 FROM json_each(?9) s \
            JOIN sync_collections n ON n.name = c.parent_collection \
            JOIN sync_memberships m \
              ON m.scope = s.value AND m.collection = n.id AND m.record = c.parent_record \
            WHERE m.gone = 0)) \
          OR EXISTS (SELECT 1 FROM json_each(?9) s \
            JOIN sync_collections n ON n.name = c.collection \
            JOIN sync_memberships m \
              ON m.scope = s.value AND m.collection = n.id AND m.record = c.record \
            JOIN sync_rows r ON r.collection = n.id AND r.record = c.record \
            WHERE m.gone = 0 OR (r.deleted = 1 AND m.stamp = r.stamp))) \
         ORDER BY c.opened_at_us, c.id LIMIT ?10",
    )
    .bind(serde_json::to_string(&statuses).map_err(damaged)?)
    .bind(severity)
    .bind(serde_json::to_string(&filter.collections).map_err(damaged)?)
    .bind(filter.id.map(|id| id.0))
    .bind(filter.opened_after_us)
    .bind(filter.opened_before_us)
    .bind(after_us)
    .bind(after_id)
    .bind(serde_json::to_string(&scopes).map_err(damaged)?)
    .bind(i64::try_from(filter.limit).unwrap_or(i64::MAX))
    .bind(held)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    rows.iter().map(conflict).collect()
}

/// Appends to the audit trail.
pub(super) async fn audit(
    connection: &mut SqliteConnection,
    entry: &AuditEntry,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sync_audit (at_us, user, action, conflict, detail) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(entry.at_us)
    .bind(entry.user.map(|user| user.0))
    .bind(entry.action.clone())
    .bind(entry.conflict.map(|conflict| conflict.0))
    .bind(entry.detail.to_string())
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed)
}

/// What was noted about a conflict, oldest first.
pub(super) async fn audit_trail(
    connection: &mut SqliteConnection,
    conflict: ConflictId,
) -> Result<Vec<AuditEntry>, StoreError> {
    let rows = sqlx::query(
        "SELECT at_us, user, action, conflict, detail FROM sync_audit WHERE conflict = ? ORDER BY seq",
    )
    .bind(conflict.0)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            let detail: &str = row.try_get(4).map_err(failed)?;
            Ok(AuditEntry {
                at_us: row.try_get(0).map_err(failed)?,
                user: row.try_get::<Option<Uuid>, _>(1).map_err(failed)?.map(UserId),
                action: row.try_get(2).map_err(failed)?,
                conflict: row.try_get::<Option<Uuid>, _>(3).map_err(failed)?.map(ConflictId),
                detail: serde_json::from_str(detail).map_err(damaged)?,
            })
        })
        .collect()
}
