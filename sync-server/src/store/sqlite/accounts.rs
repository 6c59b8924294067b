//! Users, grants, devices and refresh tokens, in the tenant's file; tenants and the signing key, in
//! the catalogue.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sync_protocol::{DeviceId, Scope, StreamId, TenantId, UserId};
use uuid::Uuid;

use super::SqliteStore;
use super::error::{damaged, failed, no_randomness};
use super::write::SqliteWrite;
use crate::auth::refresh::{Decision, NewRefreshToken, Rotation, StoredRefreshToken, decide};
use crate::store::accounts::{Account, Device, Tenant};
use crate::store::error::ConstraintKind;
use crate::store::page::GrantChange;
use crate::store::{Accounts, Grants, StoreError};

/// The scopes that a user holds.
pub(super) async fn scopes_of(
    connection: &mut SqliteConnection,
    user: UserId,
    held: bool,
) -> Result<BTreeSet<Scope>, StoreError> {
    let scopes: Vec<String> =
        sqlx::query_scalar("SELECT scope FROM sync_grants WHERE user = ? AND held = ?")
            .bind(user.0)
            .bind(held)
            .fetch_all(connection)
            .await
            .map_err(failed)?;
    scopes.iter().map(|scope| scope.parse().map_err(damaged)).collect()
}

/// Grants a scope or takes it away; stamps the grant if that changes anything.
pub(super) async fn set_grant(
    tx: &mut SqliteWrite,
    user: UserId,
    scope: &Scope,
    held: bool,
) -> Result<(), StoreError> {
    let commit = tx.commit_no;
    let sql = if held {
        "INSERT INTO sync_grants (user, scope, held, stamp) VALUES (?1, ?2, 1, ?3) \
         ON CONFLICT (user, scope) DO UPDATE SET held = 1, stamp = excluded.stamp WHERE held = 0"
    } else {
        "UPDATE sync_grants SET held = 0, stamp = ?3 WHERE user = ?1 AND scope = ?2 AND held = 1"
    };
    sqlx::query(sql)
        .bind(user.0)
        .bind(scope.as_str().to_owned())
        .bind(commit)
        .execute(tx.changing())
        .await
        .map(|_| ())
        .map_err(failed)
}

/// A user's grants, told apart by whether they changed after a commit.
pub(super) async fn grants(
    connection: &mut SqliteConnection,
    user: UserId,
    since: Option<i64>,
) -> Result<Grants, StoreError> {
    let rows =
        sqlx::query("SELECT scope, held, stamp FROM sync_grants WHERE user = ? ORDER BY scope")
            .bind(user.0)
            .fetch_all(connection)
            .await
            .map_err(failed)?;
    let mut grants = Grants::default();
    for row in &rows {
        let scope: &str = row.try_get(0).map_err(failed)?;
        let scope: Scope = scope.parse().map_err(damaged)?;
        let held: bool = row.try_get(1).map_err(failed)?;
        let stamp: i64 = row.try_get(2).map_err(failed)?;
        if since.is_some_and(|commit| stamp > commit) {
            grants.changed.push(GrantChange { scope, stamp: stamp.to_string(), held });
        } else if held {
            grants.held.push(scope);
        }
    }
    Ok(grants)
}

fn account(row: &SqliteRow) -> Result<Account, StoreError> {
    let roles: &str = row.try_get(4).map_err(failed)?;
    Ok(Account {
        id: UserId(row.try_get(0).map_err(failed)?),
        login: row.try_get(1).map_err(failed)?,
        name: row.try_get(2).map_err(failed)?,
        password_hash: row.try_get(3).map_err(failed)?,
        roles: serde_json::from_str(roles).map_err(damaged)?,
        disabled: row.try_get(5).map_err(failed)?,
    })
}

fn device(row: &SqliteRow) -> Result<Device, StoreError> {
    Ok(Device {
        id: DeviceId(row.try_get(0).map_err(failed)?),
        user: UserId(row.try_get(1).map_err(failed)?),
        name: row.try_get(2).map_err(failed)?,
        last_seen_us: row.try_get(3).map_err(failed)?,
        revoked: row.try_get(4).map_err(failed)?,
    })
}

/// A user or device that is not there is told apart from other constraints.
fn missing(what: String) -> impl FnOnce(StoreError) -> StoreError {
    move |error| match error {
        StoreError::Constraint { kind: ConstraintKind::ForeignKey, .. } => {
            StoreError::NotFound(what)
        }
        other => other,
    }
}

impl SqliteStore {
    async fn change(&self, tenant: TenantId) -> Result<SqliteWrite, StoreError> {
        SqliteWrite::begin(self.tenants.get(tenant).await?, StreamId::SQL).await
    }
}

#[async_trait]
impl Accounts for SqliteStore {
    async fn create_tenant(&self, slug: &str, name: &str) -> Result<TenantId, StoreError> {
        self.tenants.create(slug, name).await
    }

    async fn tenant_by_slug(&self, slug: &str) -> Result<Option<Tenant>, StoreError> {
        self.tenants.by_slug(slug).await
    }

    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        self.tenants.by_id(id).await
    }

    async fn create_user(&self, tenant: TenantId, account: &Account) -> Result<(), StoreError> {
        let mut tx = self.change(tenant).await?;
        let roles = serde_json::to_string(&account.roles).map_err(damaged)?;
        sqlx::query(
            "INSERT INTO sync_users (id, login, name, password_hash, roles, disabled) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(account.id.0)
        .bind(account.login.clone())
        .bind(account.name.clone())
        .bind(account.password_hash.clone())
        .bind(roles)
        .bind(account.disabled)
        .execute(tx.changing())
        .await
        .map_err(failed)
        .map_err(|error| match error {
            StoreError::Constraint { kind: ConstraintKind::Unique, .. } => {
                StoreError::Exists(format!("the user `{}`", account.login))
            }
            other => other,
        })?;
        set_grant(&mut tx, account.id, &Scope::tenant(), true).await?;
        set_grant(&mut tx, account.id, &Scope::entity("user", account.id.0), true).await?;
        tx.finish().await
    }

    async fn user_by_login(
        &self,
        tenant: TenantId,
        login: &str,
    ) -> Result<Option<Account>, StoreError> {
        let file = self.tenants.get(tenant).await?;
        let row = sqlx::query(
            "SELECT id, login, name, password_hash, roles, disabled FROM sync_users WHERE login = ?",
        )
        .bind(login.to_owned())
        .fetch_optional(&file.readers)
        .await
        .map_err(failed)?;
        row.as_ref().map(account).transpose()
    }

    async fn user(&self, tenant: TenantId, id: UserId) -> Result<Option<Account>, StoreError> {
        let file = self.tenants.get(tenant).await?;
        let row = sqlx::query(
            "SELECT id, login, name, password_hash, roles, disabled FROM sync_users WHERE id = ?",
        )
        .bind(id.0)
        .fetch_optional(&file.readers)
        .await
        .map_err(failed)?;
        row.as_ref().map(account).transpose()
    }

    async fn grant(&self, tenant: TenantId, user: UserId, scope: &Scope) -> Result<(), StoreError> {
        let mut tx = self.change(tenant).await?;
        set_grant(&mut tx, user, scope, true).await.map_err(missing(format!("the user {user}")))?;
        tx.finish().await
    }

    async fn revoke(
        &self,
        tenant: TenantId,
        user: UserId,
        scope: &Scope,
    ) -> Result<(), StoreError> {
        let mut tx = self.change(tenant).await?;
        set_grant(&mut tx, user, scope, false).await?;
        tx.finish().await
    }

    async fn register_device(&self, tenant: TenantId, device: &Device) -> Result<(), StoreError> {
        let mut tx = self.change(tenant).await?;
        // A revoked device stays revoked, whoever logs in on it.
        sqlx::query(
            "INSERT INTO sync_devices (id, user, name, last_seen_us, revoked) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET user = excluded.user, \
             name = coalesce(excluded.name, name), \
             last_seen_us = max(last_seen_us, excluded.last_seen_us)",
        )
        .bind(device.id.0)
        .bind(device.user.0)
        .bind(device.name.clone())
        .bind(device.last_seen_us)
        .bind(device.revoked)
        .execute(tx.changing())
        .await
        .map_err(failed)
        .map_err(missing(format!("the user {}", device.user)))?;
        tx.finish().await
    }

    async fn device(&self, tenant: TenantId, id: DeviceId) -> Result<Option<Device>, StoreError> {
        let file = self.tenants.get(tenant).await?;
        let row = sqlx::query(
            "SELECT id, user, name, last_seen_us, revoked FROM sync_devices WHERE id = ?",
        )
        .bind(id.0)
        .fetch_optional(&file.readers)
        .await
        .map_err(failed)?;
        row.as_ref().map(device).transpose()
    }

    async fn devices(&self, tenant: TenantId) -> Result<Vec<Device>, StoreError> {
        let file = self.tenants.get(tenant).await?;
        let rows = sqlx::query(
            "SELECT id, user, name, last_seen_us, revoked FROM sync_devices \
             ORDER BY last_seen_us DESC, id",
        )
        .fetch_all(&file.readers)
        .await
        .map_err(failed)?;
        rows.iter().map(device).collect()
    }

    async fn revoke_device(&self, tenant: TenantId, id: DeviceId) -> Result<(), StoreError> {
        let mut tx = self.change(tenant).await?;
        let done = sqlx::query("UPDATE sync_devices SET revoked = 1 WHERE id = ?")
            .bind(id.0)
            .execute(tx.changing())
            .await
            .map_err(failed)?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound(format!("the device {id}")));
        }
        sqlx::query("UPDATE sync_refresh_families SET ended = 1 WHERE device = ?")
            .bind(id.0)
            .execute(tx.changing())
            .await
            .map_err(failed)?;
        tx.finish().await
    }

    async fn start_refresh_family(
        &self,
        tenant: TenantId,
        token: &NewRefreshToken,
    ) -> Result<(), StoreError> {
        let mut tx = self.change(tenant).await?;
        let family = self.tenants.random.uuid().map_err(no_randomness)?;
        sqlx::query(
            "INSERT INTO sync_refresh_families (id, user, device, ended) VALUES (?, ?, ?, 0)",
        )
        .bind(family)
        .bind(token.user.0)
        .bind(token.device.0)
        .execute(tx.changing())
        .await
        .map_err(failed)
        .map_err(missing(format!("the user {}", token.user)))?;
        insert_token(&mut tx, token, family, None).await?;
        tx.finish().await
    }

    async fn rotate_refresh(
        &self,
        tenant: TenantId,
        presented_hash: &str,
        device: DeviceId,
        next: &NewRefreshToken,
        now_us: i64,
    ) -> Result<Rotation, StoreError> {
        let mut tx = self.change(tenant).await?;
        let found = find_token(&mut tx, presented_hash).await?;
        match (decide(found.as_ref().map(|f| &f.token), device, now_us), found) {
            (Decision::Rotate, Some(found)) => {
                if let Some(parent) = found.parent {
                    sqlx::query("UPDATE sync_refresh_tokens SET child_used = 1 WHERE hash = ?")
                        .bind(parent)
                        .execute(tx.changing())
                        .await
                        .map_err(failed)?;
                }
                // None of its children was used, or it would not be good any more.
                sqlx::query("UPDATE sync_refresh_tokens SET replaced = 1 WHERE parent = ?")
                    .bind(presented_hash.to_owned())
                    .execute(tx.changing())
                    .await
                    .map_err(failed)?;
                insert_token(&mut tx, next, found.family, Some(presented_hash)).await?;
                tx.finish().await?;
                Ok(Rotation::Rotated { user: found.token.user })
            }
            (Decision::EndFamily, Some(found)) => {
                sqlx::query("UPDATE sync_refresh_families SET ended = 1 WHERE id = ?")
                    .bind(found.family)
                    .execute(tx.changing())
                    .await
                    .map_err(failed)?;
                tx.finish().await?;
                Ok(Rotation::Reused)
            }
            _ => Ok(Rotation::Refused),
        }
    }

    async fn end_refresh_family(
        &self,
        tenant: TenantId,
        presented_hash: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.change(tenant).await?;
        sqlx::query(
            "UPDATE sync_refresh_families SET ended = 1 \
             WHERE id = (SELECT family FROM sync_refresh_tokens WHERE hash = ?)",
        )
        .bind(presented_hash.to_owned())
        .execute(tx.changing())
        .await
        .map_err(failed)?;
        tx.finish().await
    }

    async fn signing_key(&self) -> Result<Vec<u8>, StoreError> {
        let mut fresh = [0u8; 32];
        self.tenants.random.fill(&mut fresh).map_err(no_randomness)?;
        sqlx::query("INSERT INTO keys (name, key) VALUES ('signing', ?) ON CONFLICT DO NOTHING")
            .bind(fresh.to_vec())
            .execute(&self.tenants.catalog)
            .await
            .map_err(failed)?;
        sqlx::query_scalar("SELECT key FROM keys WHERE name = 'signing'")
            .fetch_one(&self.tenants.catalog)
            .await
            .map_err(failed)
    }
}

struct FoundToken {
    token: StoredRefreshToken,
    family: Uuid,
    parent: Option<String>,
}

async fn find_token(tx: &mut SqliteWrite, hash: &str) -> Result<Option<FoundToken>, StoreError> {
    let row = sqlx::query(
        "SELECT f.user, t.device, t.expires_at_us, t.replaced, t.child_used, f.ended, t.family, \
         t.parent FROM sync_refresh_tokens t JOIN sync_refresh_families f ON f.id = t.family \
         WHERE t.hash = ?",
    )
    .bind(hash.to_owned())
    .fetch_optional(&mut *tx.connection)
    .await
    .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(FoundToken {
        token: StoredRefreshToken {
            user: UserId(row.try_get(0).map_err(failed)?),
            device: DeviceId(row.try_get(1).map_err(failed)?),
            expires_at_us: row.try_get(2).map_err(failed)?,
            replaced: row.try_get(3).map_err(failed)?,
            child_used: row.try_get(4).map_err(failed)?,
            family_ended: row.try_get(5).map_err(failed)?,
        },
        family: row.try_get(6).map_err(failed)?,
        parent: row.try_get(7).map_err(failed)?,
    }))
}

async fn insert_token(
    tx: &mut SqliteWrite,
    token: &NewRefreshToken,
    family: Uuid,
    parent: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sync_refresh_tokens \
         (hash, family, parent, device, issued_at_us, expires_at_us) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(token.hash.clone())
    .bind(family)
    .bind(parent.map(str::to_owned))
    .bind(token.device.0)
    .bind(token.issued_at_us)
    .bind(token.expires_at_us)
    .execute(tx.changing())
    .await
    .map(|_| ())
    .map_err(failed)
}
