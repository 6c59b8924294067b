//! What moved, by commit number and the index on (scope, stamp).
//!
//! Only files that are open are looked at each time: in one that is closed nobody of this process has
//! written, and opening it would close another. What an administrator's command changed there is found
//! within [`CLOSED_LOOKED_AT_EVERY`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use sync_protocol::{Scope, TenantId, UserId};

use super::SqliteStore;
use super::error::{damaged, failed};
use super::position::{knows, newest, position};
use crate::store::moves::{At, Look, Moved, Moves, Place, SqlitePlace, Watched};
use crate::store::{Position, StoreError};

/// How often a file that is closed is opened for a look.
const CLOSED_LOOKED_AT_EVERY: Duration = Duration::from_secs(30);

#[async_trait]
impl Moves for SqliteStore {
    async fn look(&self, watched: &Watched, since: &Place) -> Result<Look, StoreError> {
        let nowhere = BTreeMap::new();
        let (before, foreign) = match &since.0 {
            At::Sqlite(places) => (places, false),
            At::Nowhere => (&nowhere, false),
            At::Postgres { .. } => (&nowhere, true),
        };
        let open: BTreeSet<TenantId> = self.tenants.in_use().await.into_iter().collect();
        let mut look = Look::default();
        let mut places = BTreeMap::new();
        for (tenant, scopes) in watched {
            let before = before.get(tenant);
            if let Some(before) = before
                && !open.contains(tenant)
                && before.at.elapsed() < CLOSED_LOOKED_AT_EVERY
            {
                places.insert(*tenant, before.clone());
                continue;
            }
            match self.look_at(*tenant, scopes, before).await {
                Ok((place, moved)) => {
                    places.insert(*tenant, place);
                    look.moved.insert(*tenant, moved);
                }
                Err(error) => {
                    tracing::warn!(%tenant, %error, "a company was not looked at; the others go on");
                    if let Some(before) = before {
                        places.insert(*tenant, before.clone());
                    }
                }
            }
            if foreign {
                look.all.insert(*tenant);
            }
        }
        look.place = Place(At::Sqlite(places));
        Ok(look)
    }

    async fn held(
        &self,
        tenant: TenantId,
        users: &[UserId],
    ) -> Result<BTreeMap<UserId, BTreeSet<Scope>>, StoreError> {
        let file = self.tenants.get(tenant).await?;
        let mut connection = file.readers.acquire().await.map_err(failed)?;
        let mut held = BTreeMap::new();
        for user in users {
            held.insert(*user, super::accounts::scopes_of(&mut connection, *user, true).await?);
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
        let Some((since, user_line)) = read_mark(mark) else { return Ok(None) };
        let Position::Sqlite { commit, .. } = &since else { return Ok(None) };
        let file = self.tenants.get(tenant).await?;
        let mut connection = file.readers.acquire().await.map_err(failed)?;
        sqlx::query("BEGIN").execute(&mut *connection).await.map_err(failed)?;
        if !knows(&mut connection, &file.incarnation, &since).await?
            || oldest_line(&mut connection).await? > user_line.saturating_add(1)
        {
            return Ok(None);
        }
        let mut moved =
            Moved { scopes: changed(&mut connection, scopes, *commit).await?, ..Moved::default() };
        moved.users = users_after(&mut connection, user_line).await?;
        moved.users.retain(|moved| *moved == user);
        Ok(Some(moved))
    }
}

impl SqliteStore {
    async fn look_at(
        &self,
        tenant: TenantId,
        scopes: &BTreeSet<Scope>,
        before: Option<&SqlitePlace>,
    ) -> Result<(SqlitePlace, Moved), StoreError> {
        let file = self.tenants.get(tenant).await?;
        let mut connection = file.readers.acquire().await.map_err(failed)?;
        sqlx::query("BEGIN").execute(&mut *connection).await.map_err(failed)?;
        // The first statement that reads fixes the snapshot.
        let (commit, witness) = newest(&mut connection).await?;
        let user_line = newest_line(&mut connection).await?;
        let mut moved = Moved::default();
        if let Some(before) = before {
            if before.commit != commit {
                moved.scopes = changed(&mut connection, scopes, before.commit).await?;
            }
            if before.user_line != user_line {
                moved.users = users_after(&mut connection, before.user_line).await?;
            }
        }
        let Position::Sqlite { epoch, .. } = position(&file.incarnation, commit, &witness) else {
            return Err(StoreError::Internal("a position of another kind of database".to_owned()));
        };
        let mark = format!("{epoch}/{commit}/{user_line}");
        Ok((SqlitePlace { commit, user_line, mark, at: Instant::now() }, moved))
    }
}

fn read_mark(mark: &str) -> Option<(Position, i64)> {
    let (rest, user_line) = mark.rsplit_once('/')?;
    let (epoch, commit) = rest.rsplit_once('/')?;
    let position = Position::Sqlite { epoch: epoch.to_owned(), commit: commit.parse().ok()? };
    Some((position, user_line.parse().ok()?))
}

/// Which of these scopes have rows that were stamped after a commit, and of which collections.
async fn changed(
    connection: &mut SqliteConnection,
    scopes: &BTreeSet<Scope>,
    after: i64,
) -> Result<BTreeMap<Scope, BTreeSet<String>>, StoreError> {
    let names: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
    let rows = sqlx::query(
        "SELECT DISTINCT s.scope, c.name FROM json_each(?1) j \
         CROSS JOIN sync_scopes s ON s.scope = j.value \
         CROSS JOIN sync_memberships m INDEXED BY sync_memberships_changed \
           ON m.scope = s.id AND m.stamp > ?2 \
         CROSS JOIN sync_collections c ON c.id = m.collection",
    )
    .bind(serde_json::to_string(&names).map_err(damaged)?)
    .bind(after)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let mut changed: BTreeMap<Scope, BTreeSet<String>> = BTreeMap::new();
    for row in &rows {
        let scope: &str = row.try_get(0).map_err(failed)?;
        let scope = scope.parse().map_err(damaged)?;
        changed.entry(scope).or_default().insert(row.try_get(1).map_err(failed)?);
    }
    Ok(changed)
}

async fn newest_line(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM sync_user_log")
        .fetch_one(connection)
        .await
        .map_err(failed)
}

async fn oldest_line(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    sqlx::query_scalar("SELECT coalesce(min(seq), 0) FROM sync_user_log")
        .fetch_one(connection)
        .await
        .map_err(failed)
}

async fn users_after(
    connection: &mut SqliteConnection,
    line: i64,
) -> Result<BTreeSet<UserId>, StoreError> {
    let users: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT user FROM sync_user_log WHERE seq > ?")
            .bind(line)
            .fetch_all(connection)
            .await
            .map_err(failed)?;
    users.iter().map(|user| user.parse().map_err(damaged)).collect()
}
