//! Which scopes rows are in, and the counts and digests of what a scope holds.
//!
//! A change stamps the membership of each scope that the row is in, and a last time of each scope
//! that it left, as gone. One line is kept per scope left, so that after a chain of moves
//! S1→S2→S3 the holders of S1 and of S2 all learn that the row is gone.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;
use sync_protocol::digest::Digest;
use sync_protocol::{RecordId, RowVersion, Scope, UserId};

use super::columns::record;
use super::error::{damaged, failed};
use super::tables::{batches, generated, variables};
use crate::store::StoreError;

/// The numbers of those scopes that this file has ever had.
pub(super) async fn known_scopes(
    connection: &mut SqliteConnection,
    scopes: impl IntoIterator<Item = &Scope>,
) -> Result<BTreeMap<Scope, i64>, StoreError> {
    let names: Vec<&str> = scopes.into_iter().map(Scope::as_str).collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let json = serde_json::to_string(&names).map_err(damaged)?;
    let rows = sqlx::query(
        "SELECT scope, id FROM sync_scopes WHERE scope IN (SELECT value FROM json_each(?))",
    )
    .bind(json)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            let scope: &str = row.try_get(0).map_err(failed)?;
            Ok((scope.parse().map_err(damaged)?, row.try_get(1).map_err(failed)?))
        })
        .collect()
}

/// All scopes that this file has ever had.
pub(super) async fn all_scopes(
    connection: &mut SqliteConnection,
) -> Result<Vec<Scope>, StoreError> {
    let scopes: Vec<String> = sqlx::query_scalar("SELECT scope FROM sync_scopes")
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    scopes.iter().map(|scope| scope.parse().map_err(damaged)).collect()
}

/// The numbers of scopes, given to those that have none yet.
pub(super) async fn number_scopes(
    connection: &mut SqliteConnection,
    scopes: &BTreeSet<Scope>,
) -> Result<BTreeMap<Scope, i64>, StoreError> {
    let mut known = known_scopes(connection, scopes).await?;
    for scope in scopes {
        if !known.contains_key(scope) {
            let done = sqlx::query("INSERT INTO sync_scopes (scope) VALUES (?)")
                .bind(scope.as_str().to_owned())
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            known.insert(scope.clone(), done.last_insert_rowid());
        }
    }
    Ok(known)
}

/// Those of the records that are or were in a scope which the user holds or held.
pub(super) async fn once_held(
    connection: &mut SqliteConnection,
    user: UserId,
    collection: i64,
    ids: &[RecordId],
) -> Result<BTreeSet<RecordId>, StoreError> {
    let mut held = BTreeSet::new();
    for range in batches(ids.len()) {
        let sql = format!(
            "SELECT DISTINCT m.record FROM sync_grants g JOIN sync_scopes s ON s.scope = g.scope \
             JOIN sync_memberships m ON m.scope = s.id AND m.collection = ? AND m.record IN ({}) \
             WHERE g.user = ?",
            vec!["?"; range.len()].join(",")
        );
        let mut statement = sqlx::query(generated(sql)).bind(collection);
        for id in &ids[range] {
            statement = statement.bind(id.0);
        }
        let rows = statement.bind(user.0).fetch_all(&mut *connection).await.map_err(failed)?;
        for row in &rows {
            held.insert(record(row, 0)?);
        }
    }
    Ok(held)
}

/// A membership to be stamped.
pub(super) struct Stamped {
    pub scope: i64,
    pub record: RecordId,
    pub gone: bool,
}

/// Stamps memberships of rows of one collection.
pub(super) async fn stamp(
    connection: &mut SqliteConnection,
    collection: i64,
    commit: i64,
    memberships: &[Stamped],
) -> Result<(), StoreError> {
    for range in batches(memberships.len()) {
        let sql = format!(
            "INSERT INTO sync_memberships (scope, collection, record, stamp, gone) VALUES {} \
             ON CONFLICT (scope, collection, record) \
             DO UPDATE SET stamp = excluded.stamp, gone = excluded.gone",
            variables(range.len(), 5)
        );
        let mut statement = sqlx::query(generated(sql));
        for membership in &memberships[range] {
            statement = statement
                .bind(membership.scope)
                .bind(collection)
                .bind(membership.record.0)
                .bind(commit)
                .bind(i64::from(membership.gone));
        }
        statement.execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

/// What a row adds to the digest of each scope that it is in.
pub(super) fn digest(record: RecordId, version: RowVersion) -> u128 {
    Digest::of_row(record, version).0
}

/// How counts and digests changed, by (scope, collection).
#[derive(Debug, Clone, Default)]
pub(super) struct HeadChanges(BTreeMap<(i64, i64), (i64, u128)>);

impl HeadChanges {
    pub fn came(&mut self, scope: i64, collection: i64, digest: u128) {
        let change = self.0.entry((scope, collection)).or_default();
        change.0 += 1;
        change.1 ^= digest;
    }

    pub fn went(&mut self, scope: i64, collection: i64, digest: u128) {
        let change = self.0.entry((scope, collection)).or_default();
        change.0 -= 1;
        change.1 ^= digest;
    }

    /// Adds the changes to the heads.
    pub async fn save(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        for ((scope, collection), (count, digest)) in &self.0 {
            if *count == 0 && *digest == 0 {
                continue;
            }
            let head = sqlx::query(
                "SELECT live_rows, digest FROM sync_heads WHERE scope = ? AND collection = ?",
            )
            .bind(*scope)
            .bind(*collection)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
            let (rows, old) = match head {
                Some(head) => {
                    let old: Vec<u8> = head.try_get(1).map_err(failed)?;
                    let old = <[u8; 16]>::try_from(old.as_slice()).map_err(damaged)?;
                    (head.try_get::<i64, _>(0).map_err(failed)?, u128::from_be_bytes(old))
                }
                None => (0, 0),
            };
            sqlx::query(
                "INSERT INTO sync_heads (scope, collection, live_rows, digest) VALUES (?, ?, ?, ?) \
                 ON CONFLICT (scope, collection) \
                 DO UPDATE SET live_rows = excluded.live_rows, digest = excluded.digest",
            )
            .bind(*scope)
            .bind(*collection)
            .bind(rows + count)
            .bind((old ^ digest).to_be_bytes().to_vec())
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
        }
        Ok(())
    }
}
