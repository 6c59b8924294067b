//! Tenants, people, devices, refresh tokens and the signing key.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use sync_protocol::{DeviceId, Scope, StreamId, TenantId, UserId};
use uuid::Uuid;

use super::begin::{Purpose, begin};
use super::error::store_error;
use super::{PostgresStore, query, records};
use crate::auth::refresh::{Decision, NewRefreshToken, Rotation, StoredRefreshToken, decide};
use crate::store::accounts::{Account, Device, Tenant};
use crate::store::error::ConstraintKind;
use crate::store::{Accounts, StoreError};

type Tx = Transaction<'static, Postgres>;

const SIGNING_KEY_BYTES: usize = 32;

impl PostgresStore {
    async fn tenant_tx(&self, tenant: TenantId) -> Result<Tx, StoreError> {
        self.begin(tenant, StreamId::SQL).await
    }
}

#[async_trait]
impl Accounts for PostgresStore {
    async fn create_tenant(&self, slug: &str, name: &str) -> Result<TenantId, StoreError> {
        let id = TenantId(Uuid::now_v7());
        let mut tx = self.tenant_tx(id).await?;
        query("INSERT INTO sync.tenants (tenant_id, slug, name) VALUES ($1, $2, $3)")
            .bind(id.0)
            .bind(slug.to_owned())
            .bind(name.to_owned())
            .execute(&mut *tx)
            .await
            .map_err(|e| exists(store_error(e), &format!("the tenant `{slug}`")))?;
        tx.commit().await.map_err(store_error)?;
        Ok(id)
    }

    async fn tenant_by_slug(&self, slug: &str) -> Result<Option<Tenant>, StoreError> {
        let mut tx = begin(&self.pool, Purpose::Write).await?;
        let row = query("SELECT tenant_id, slug, name FROM sync.tenant_by_slug($1)")
            .bind(slug.to_owned())
            .fetch_optional(&mut *tx)
            .await
            .map_err(store_error)?;
        row.as_ref().map(tenant).transpose()
    }

    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        let mut tx = self.tenant_tx(id).await?;
        let row = query("SELECT tenant_id, slug, name FROM sync.tenants WHERE tenant_id = $1")
            .bind(id.0)
            .fetch_optional(&mut *tx)
            .await
            .map_err(store_error)?;
        row.as_ref().map(tenant).transpose()
    }

    async fn create_user(&self, tenant: TenantId, account: &Account) -> Result<(), StoreError> {
        let mut tx = self.tenant_tx(tenant).await?;
        query(
            "INSERT INTO sync.users (tenant_id, id, login, name, password_hash, roles, disabled) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(tenant.0)
        .bind(account.id.0)
        .bind(account.login.clone())
        .bind(account.name.clone())
        .bind(account.password_hash.clone())
        .bind(account.roles.clone())
        .bind(account.disabled)
        .execute(&mut *tx)
        .await
        .map_err(|e| exists(store_error(e), &format!("the user `{}`", account.login)))?;
        for scope in [Scope::tenant(), Scope::entity("user", account.id.0)] {
            records::grant(&mut tx, tenant, account.id, &scope).await?;
        }
        tx.commit().await.map_err(store_error)
    }

    async fn user_by_login(
        &self,
        tenant: TenantId,
        login: &str,
    ) -> Result<Option<Account>, StoreError> {
        let mut tx = self.tenant_tx(tenant).await?;
        let row = query(
            "SELECT id, login, name, password_hash, roles, disabled FROM sync.users \
             WHERE tenant_id = $1 AND login = $2",
        )
        .bind(tenant.0)
        .bind(login.to_owned())
        .fetch_optional(&mut *tx)
        .await
        .map_err(store_error)?;
        row.as_ref().map(account).transpose()
    }

    async fn user(&self, tenant: TenantId, id: UserId) -> Result<Option<Account>, StoreError> {
        let mut tx = self.tenant_tx(tenant).await?;
        let row = query(
            "SELECT id, login, name, password_hash, roles, disabled FROM sync.users \
             WHERE tenant_id = $1 AND id = $2",
        )
        .bind(tenant.0)
        .bind(id.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(store_error)?;
        row.as_ref().map(account).transpose()
    }

    async fn grant(&self, tenant: TenantId, user: UserId, scope: &Scope) -> Result<(), StoreError> {
        let mut tx = self.tenant_tx(tenant).await?;
        records::grant(&mut tx, tenant, user, scope).await?;
        tx.commit().await.map_err(store_error)
    }

    async fn revoke(
        &self,
        tenant: TenantId,
        user: UserId,
        scope: &Scope,
    ) -> Result<(), StoreError> {
        let mut tx = self.tenant_tx(tenant).await?;
        query(
            "UPDATE sync.grants SET gone = true \
             WHERE tenant_id = $1 AND user_id = $2 AND scope = $3 AND NOT gone",
        )
        .bind(tenant.0)
        .bind(user.0)
        .bind(scope.to_string())
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
        tx.commit().await.map_err(store_error)
    }

    async fn register_device(&self, tenant: TenantId, device: &Device) -> Result<(), StoreError> {
        let mut tx = self.tenant_tx(tenant).await?;
        // A revoked device stays so, whoever logs in on it.
        query(
            "INSERT INTO sync.devices AS d (tenant_id, id, user_id, name, last_seen_us, revoked) \
             VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (tenant_id, id) DO UPDATE SET user_id = EXCLUDED.user_id, \
             name = coalesce(EXCLUDED.name, d.name), last_seen_us = EXCLUDED.last_seen_us",
        )
        .bind(tenant.0)
        .bind(device.id.0)
        .bind(device.user.0)
        .bind(device.name.clone())
        .bind(device.last_seen_us)
        .bind(device.revoked)
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
        tx.commit().await.map_err(store_error)
    }

    async fn device(&self, tenant: TenantId, id: DeviceId) -> Result<Option<Device>, StoreError> {
        let mut tx = self.tenant_tx(tenant).await?;
        let row = query(
            "SELECT id, user_id, name, last_seen_us, revoked FROM sync.devices \
             WHERE tenant_id = $1 AND id = $2",
        )
        .bind(tenant.0)
        .bind(id.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(store_error)?;
        row.as_ref().map(device).transpose()
    }

    async fn devices(&self, tenant: TenantId) -> Result<Vec<Device>, StoreError> {
        let mut tx = self.tenant_tx(tenant).await?;
        let rows = query(
            "SELECT id, user_id, name, last_seen_us, revoked FROM sync.devices \
             WHERE tenant_id = $1 ORDER BY last_seen_us DESC, id",
        )
        .bind(tenant.0)
        .fetch_all(&mut *tx)
        .await
        .map_err(store_error)?;
        rows.iter().map(device).collect()
    }

    async fn revoke_device(&self, tenant: TenantId, id: DeviceId) -> Result<(), StoreError> {
        let mut tx = self.tenant_tx(tenant).await?;
        let done = query("UPDATE sync.devices SET revoked = true WHERE tenant_id = $1 AND id = $2")
            .bind(tenant.0)
            .bind(id.0)
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound(format!("the device {id}")));
        }
        query(
            "UPDATE sync.refresh_tokens SET family_ended = true \
             WHERE tenant_id = $1 AND device_id = $2",
        )
        .bind(tenant.0)
        .bind(id.0)
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
        tx.commit().await.map_err(store_error)
    }

    async fn start_refresh_family(
        &self,
        tenant: TenantId,
        token: &NewRefreshToken,
    ) -> Result<(), StoreError> {
        let mut tx = self.tenant_tx(tenant).await?;
        insert_token(&mut tx, tenant, token, token.user, &token.hash, None).await?;
        tx.commit().await.map_err(store_error)
    }

    async fn rotate_refresh(
        &self,
        tenant: TenantId,
        presented_hash: &str,
        device: DeviceId,
        next: &NewRefreshToken,
        now_us: i64,
    ) -> Result<Rotation, StoreError> {
        let mut tx = self.tenant_tx(tenant).await?;
        // The family is locked as a whole: its tokens are used one at a time.
        query(
            "SELECT 1 FROM sync.refresh_tokens WHERE tenant_id = $1 AND family = (SELECT family \
             FROM sync.refresh_tokens WHERE tenant_id = $1 AND hash = $2) ORDER BY hash FOR UPDATE",
        )
        .bind(tenant.0)
        .bind(presented_hash.to_owned())
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
        let row = query(
            "SELECT user_id, device_id, expires_at_us, replaced, child_used, family_ended, \
             family, parent_hash FROM sync.refresh_tokens WHERE tenant_id = $1 AND hash = $2",
        )
        .bind(tenant.0)
        .bind(presented_hash.to_owned())
        .fetch_optional(&mut *tx)
        .await
        .map_err(store_error)?;
        let stored = row.as_ref().map(token).transpose()?;
        let rotation = match (decide(stored.as_ref(), device, now_us), &row) {
            (Decision::Refuse, _) | (_, None) => return Ok(Rotation::Refused),
            (Decision::EndFamily, Some(row)) => {
                let family: String = row.try_get(6).map_err(store_error)?;
                end_family(&mut tx, tenant, &family).await?;
                Rotation::Reused
            }
            (Decision::Rotate, Some(row)) => {
                let family: String = row.try_get(6).map_err(store_error)?;
                let parent: Option<String> = row.try_get(7).map_err(store_error)?;
                let user = UserId(row.try_get(0).map_err(store_error)?);
                query(
                    "UPDATE sync.refresh_tokens SET child_used = true \
                     WHERE tenant_id = $1 AND hash = $2",
                )
                .bind(tenant.0)
                .bind(parent)
                .execute(&mut *tx)
                .await
                .map_err(store_error)?;
                query(
                    "UPDATE sync.refresh_tokens SET replaced = true \
                     WHERE tenant_id = $1 AND parent_hash = $2",
                )
                .bind(tenant.0)
                .bind(presented_hash.to_owned())
                .execute(&mut *tx)
                .await
                .map_err(store_error)?;
                insert_token(&mut tx, tenant, next, user, &family, Some(presented_hash)).await?;
                Rotation::Rotated { user }
            }
        };
        tx.commit().await.map_err(store_error)?;
        Ok(rotation)
    }

    async fn end_refresh_family(
        &self,
        tenant: TenantId,
        presented_hash: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.tenant_tx(tenant).await?;
        let row =
            query("SELECT family FROM sync.refresh_tokens WHERE tenant_id = $1 AND hash = $2")
                .bind(tenant.0)
                .bind(presented_hash.to_owned())
                .fetch_optional(&mut *tx)
                .await
                .map_err(store_error)?;
        if let Some(row) = row {
            let family: String = row.try_get(0).map_err(store_error)?;
            end_family(&mut tx, tenant, &family).await?;
        }
        tx.commit().await.map_err(store_error)
    }

    async fn signing_key(&self) -> Result<Vec<u8>, StoreError> {
        let mut drawn = [0u8; SIGNING_KEY_BYTES];
        getrandom::fill(&mut drawn)
            .map_err(|e| StoreError::Internal(format!("no randomness: {e}")))?;
        let mut tx = begin(&self.pool, Purpose::Write).await?;
        // The first server's key stays; whoever comes later reads it.
        query("INSERT INTO sync.keys (name, value) VALUES ('access', $1) ON CONFLICT DO NOTHING")
            .bind(drawn.to_vec())
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        let row = query("SELECT value FROM sync.keys WHERE name = 'access'")
            .fetch_one(&mut *tx)
            .await
            .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        row.try_get(0).map_err(store_error)
    }
}

async fn insert_token(
    tx: &mut Tx,
    tenant: TenantId,
    token: &NewRefreshToken,
    user: UserId,
    family: &str,
    parent: Option<&str>,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO sync.refresh_tokens (tenant_id, hash, family, parent_hash, user_id, \
         device_id, issued_at_us, expires_at_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant.0)
    .bind(token.hash.clone())
    .bind(family.to_owned())
    .bind(parent.map(str::to_owned))
    .bind(user.0)
    .bind(token.device.0)
    .bind(token.issued_at_us)
    .bind(token.expires_at_us)
    .execute(&mut **tx)
    .await
    .map_err(store_error)?;
    Ok(())
}

async fn end_family(tx: &mut Tx, tenant: TenantId, family: &str) -> Result<(), StoreError> {
    query(
        "UPDATE sync.refresh_tokens SET family_ended = true WHERE tenant_id = $1 AND family = $2",
    )
    .bind(tenant.0)
    .bind(family.to_owned())
    .execute(&mut **tx)
    .await
    .map_err(store_error)?;
    Ok(())
}

fn tenant(row: &PgRow) -> Result<Tenant, StoreError> {
    Ok(Tenant {
        id: TenantId(row.try_get(0).map_err(store_error)?),
        slug: row.try_get(1).map_err(store_error)?,
        name: row.try_get(2).map_err(store_error)?,
    })
}

fn account(row: &PgRow) -> Result<Account, StoreError> {
    Ok(Account {
        id: UserId(row.try_get(0).map_err(store_error)?),
        login: row.try_get(1).map_err(store_error)?,
        name: row.try_get(2).map_err(store_error)?,
        password_hash: row.try_get(3).map_err(store_error)?,
        roles: row.try_get(4).map_err(store_error)?,
        disabled: row.try_get(5).map_err(store_error)?,
    })
}

fn device(row: &PgRow) -> Result<Device, StoreError> {
    Ok(Device {
        id: DeviceId(row.try_get(0).map_err(store_error)?),
        user: UserId(row.try_get(1).map_err(store_error)?),
        name: row.try_get(2).map_err(store_error)?,
        last_seen_us: row.try_get(3).map_err(store_error)?,
        revoked: row.try_get(4).map_err(store_error)?,
    })
}

fn token(row: &PgRow) -> Result<StoredRefreshToken, StoreError> {
    Ok(StoredRefreshToken {
        user: UserId(row.try_get(0).map_err(store_error)?),
        device: DeviceId(row.try_get(1).map_err(store_error)?),
        expires_at_us: row.try_get(2).map_err(store_error)?,
        replaced: row.try_get(3).map_err(store_error)?,
        child_used: row.try_get(4).map_err(store_error)?,
        family_ended: row.try_get(5).map_err(store_error)?,
    })
}

/// A unique violation at the making of something, in the words of who makes it.
fn exists(error: StoreError, what: &str) -> StoreError {
    match error {
        StoreError::Constraint { kind: ConstraintKind::Unique, .. } => {
            StoreError::Exists(what.to_owned())
        }
        StoreError::Constraint { kind: ConstraintKind::ForeignKey, .. } => {
            StoreError::NotFound("the tenant".to_owned())
        }
        other => other,
    }
}
