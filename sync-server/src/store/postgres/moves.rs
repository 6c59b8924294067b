//! What moved, by the function `sync.moved` of `migrations/postgres/0011_events.sql`.
//!
//! A look's place is its own snapshot: the next one finds just what that did not see. A standby's
//! snapshot, or one from before a crash, could hide something; that would be a hint too few, which the
//! device's timer makes up for. Marks go further: they name a witness ([`super::witness`]).

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row as _, Transaction};
use sync_protocol::{Scope, StreamId, TenantId, UserId};
use uuid::Uuid;

use super::begin::{Purpose, begin};
use super::error::store_error;
use super::read::EPOCH;
use super::write::scope;
use super::{PostgresStore, query};
use crate::store::StoreError;
use crate::store::moves::{At, Look, MOVED_MAX, Moved, Moves, Place, Watched};

/// How old a mark may be, to be told exactly: lines of the users' log are kept for a day.
const MARK_KEPT: &str = "12 hours";
/// Longest text that can be a mark, in bytes.
const MARK_BYTES_MAX: usize = 200;

#[async_trait]
impl Moves for PostgresStore {
    async fn look(&self, watched: &Watched, since: &Place) -> Result<Look, StoreError> {
        let mut tx = begin(&self.pool, Purpose::Snapshot).await?;
        let row = query(format!(
            "SELECT set_config('statement_timeout', '10s', true), {EPOCH}, \
             pg_current_snapshot()::text, \
             (SELECT value FROM sync.witnesses ORDER BY seq DESC LIMIT 1)"
        ))
        .fetch_one(&mut *tx)
        .await
        .map_err(store_error)?;
        let epoch: String = row.try_get(1).map_err(store_error)?;
        let snapshot = row.try_get(2).map_err(store_error)?;
        let witness = row.try_get::<Option<String>, _>(3).map_err(store_error)?;
        let mut look = Look::default();
        match &since.0 {
            At::Postgres { epoch: before, snapshot, .. } if *before == epoch => {
                moved(&mut tx, watched, snapshot, &mut look).await?;
            }
            At::Nowhere => {}
            At::Postgres { .. } | At::Sqlite(_) => look.all.extend(watched.keys()),
        }
        tx.commit().await.map_err(store_error)?;
        let witness = witness.unwrap_or_default();
        look.place = Place(At::Postgres { epoch, snapshot, witness });
        Ok(look)
    }

    async fn held(
        &self,
        tenant: TenantId,
        users: &[UserId],
    ) -> Result<BTreeMap<UserId, BTreeSet<Scope>>, StoreError> {
        let mut tx = self.begin(tenant, StreamId::SQL).await?;
        let rows = query(
            "SELECT scope, user_id FROM sync.grants \
             WHERE tenant_id = $1 AND user_id = ANY($2) AND NOT gone",
        )
        .bind(tenant.0)
        .bind(users.iter().map(|user| user.0).collect::<Vec<Uuid>>())
        .fetch_all(&mut *tx)
        .await
        .map_err(store_error)?;
        let mut held: BTreeMap<UserId, BTreeSet<Scope>> =
            users.iter().map(|user| (*user, BTreeSet::new())).collect();
        for row in &rows {
            let user = UserId(row.try_get(1).map_err(store_error)?);
            held.entry(user).or_default().insert(scope(row, 0)?);
        }
        Ok(held)
    }

    async fn moved_since(
        &self,
        tenant: TenantId,
        user: UserId,
        scopes: &BTreeSet<Scope>,
        mark: &str,
    ) -> Result<Option<Moved>, StoreError> {
        let Some((epoch, witness)) = mark.split_once('/') else { return Ok(None) };
        if mark.len() > MARK_BYTES_MAX || mark.contains('\0') {
            return Ok(None);
        }
        let mut tx = self.begin(tenant, StreamId::SQL).await?;
        let found = query(format!(
            "SELECT {EPOCH}, (SELECT snapshot::text FROM sync.witnesses WHERE value = $1 \
             AND at > clock_timestamp() - $2::interval)"
        ))
        .bind(witness.to_owned())
        .bind(MARK_KEPT)
        .fetch_one(&mut *tx)
        .await
        .map_err(store_error)?;
        let snapshot: Option<String> = found.try_get(1).map_err(store_error)?;
        let (true, Some(snapshot)) =
            (found.try_get::<String, _>(0).map_err(store_error)? == epoch, snapshot)
        else {
            return Ok(None);
        };
        // As a delta: memberships, and lines of the log as long as they name records. Other lines stand for
        // several that were folded, and say too little of an old mark.
        let since = "m.tenant_id = $1 AND m.scope = s.scope \
             AND m.stamp >= pg_snapshot_xmin($3::pg_snapshot) \
             AND NOT pg_visible_in_snapshot(m.stamp, $3::pg_snapshot)";
        let rows = query(format!(
            "SELECT s.scope, m.collection FROM unnest($2::text[]) s (scope) CROSS JOIN LATERAL ( \
               SELECT m.collection FROM sync.memberships m WHERE {since} \
               UNION SELECT m.collection FROM sync.scope_log m \
               WHERE {since} AND m.records IS NOT NULL) m"
        ))
        .bind(tenant.0)
        .bind(scopes.iter().map(ToString::to_string).collect::<Vec<String>>())
        .bind(snapshot.clone())
        .fetch_all(&mut *tx)
        .await
        .map_err(store_error)?;
        let mut moved = Moved::default();
        for row in &rows {
            let collection = row.try_get(1).map_err(store_error)?;
            moved.scopes.entry(scope(row, 0)?).or_default().insert(collection);
        }
        let row = query(
            "SELECT EXISTS (SELECT FROM sync.user_log WHERE tenant_id = $1 AND user_id = $2 \
             AND stamp >= pg_snapshot_xmin($3::pg_snapshot) \
             AND NOT pg_visible_in_snapshot(stamp, $3::pg_snapshot))",
        )
        .bind(tenant.0)
        .bind(user.0)
        .bind(snapshot)
        .fetch_one(&mut *tx)
        .await
        .map_err(store_error)?;
        if row.try_get(0).map_err(store_error)? {
            moved.users.insert(user);
        }
        Ok(Some(moved))
    }
}

/// Adds to a look what moved since a snapshot.
async fn moved(
    tx: &mut Transaction<'static, Postgres>,
    watched: &Watched,
    since: &str,
    look: &mut Look,
) -> Result<(), StoreError> {
    let limit = i32::try_from(MOVED_MAX).unwrap_or(i32::MAX);
    let rows = query(
        "SELECT scope, tenant_id, user_id, collection FROM sync.moved($1::pg_snapshot, $2, $3)",
    )
    .bind(since.to_owned())
    .bind(watched.keys().map(|tenant| tenant.0).collect::<Vec<Uuid>>())
    .bind(limit)
    .fetch_all(&mut **tx)
    .await
    .map_err(store_error)?;
    if rows.len() >= MOVED_MAX {
        look.all.extend(watched.keys());
        return Ok(());
    }
    for row in &rows {
        add(row, look)?;
    }
    Ok(())
}

fn add(row: &PgRow, look: &mut Look) -> Result<(), StoreError> {
    let tenant = TenantId(row.try_get(1).map_err(store_error)?);
    let moved = look.moved.entry(tenant).or_default();
    match row.try_get::<Option<Uuid>, _>(2).map_err(store_error)? {
        Some(user) => drop(moved.users.insert(UserId(user))),
        None => {
            let collection = row.try_get(3).map_err(store_error)?;
            moved.scopes.entry(scope(row, 0)?).or_default().insert(collection);
        }
    }
    Ok(())
}
