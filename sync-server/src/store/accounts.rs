//! Tenants, users, devices, grants, refresh tokens and keys.

use async_trait::async_trait;
use sync_protocol::{DeviceId, Scope, TenantId, UserId};

use super::StoreError;
use crate::auth::refresh::{NewRefreshToken, Rotation};

/// A company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Id.
    pub id: TenantId,
    /// Short name that people type at login: `[a-z0-9][a-z0-9-]{0,39}`.
    pub slug: String,
    /// Name for people.
    pub name: String,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Id.
    pub id: UserId,
    /// What the person types at login, unique in the tenant.
    pub login: String,
    /// Name for people.
    pub name: String,
    /// PHC string (argon2id).
    pub password_hash: String,
    /// Roles, as the schema's `roles` names them.
    pub roles: Vec<String>,
    /// May not log in any more.
    pub disabled: bool,
}

/// An installation of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Id.
    pub id: DeviceId,
    /// Who logged in there last.
    pub user: UserId,
    /// What it calls itself.
    pub name: Option<String>,
    /// Last contact, in microseconds since 1970.
    pub last_seen_us: i64,
    /// May not sync any more.
    pub revoked: bool,
}

/// Accounts of all tenants. A store implements it beside [`super::Store`].
#[async_trait]
pub trait Accounts {
    /// Makes a tenant.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if the short name is taken.
    async fn create_tenant(&self, slug: &str, name: &str) -> Result<TenantId, StoreError>;

    /// The tenant of that short name.
    async fn tenant_by_slug(&self, slug: &str) -> Result<Option<Tenant>, StoreError>;

    /// Whether a tenant exists.
    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError>;

    /// Makes a user, who holds the scopes `tenant` and `user:<id>` from the start.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if the login is taken.
    async fn create_user(&self, tenant: TenantId, account: &Account) -> Result<(), StoreError>;

    /// The user of that login.
    async fn user_by_login(
        &self,
        tenant: TenantId,
        login: &str,
    ) -> Result<Option<Account>, StoreError>;

    /// The user of that id.
    async fn user(&self, tenant: TenantId, id: UserId) -> Result<Option<Account>, StoreError>;

    /// Grants a scope; nothing happens if it is held.
    async fn grant(&self, tenant: TenantId, user: UserId, scope: &Scope) -> Result<(), StoreError>;

    /// Takes a scope away; nothing happens if it is not held.
    async fn revoke(&self, tenant: TenantId, user: UserId, scope: &Scope)
    -> Result<(), StoreError>;

    /// Registers a device, or notes that it was seen with this user.
    async fn register_device(&self, tenant: TenantId, device: &Device) -> Result<(), StoreError>;

    /// A device.
    async fn device(&self, tenant: TenantId, id: DeviceId) -> Result<Option<Device>, StoreError>;

    /// All devices of a tenant, the last seen first.
    async fn devices(&self, tenant: TenantId) -> Result<Vec<Device>, StoreError>;

    /// Ends a device's right to sync and its refresh tokens.
    async fn revoke_device(&self, tenant: TenantId, id: DeviceId) -> Result<(), StoreError>;

    /// Begins a family of refresh tokens.
    async fn start_refresh_family(
        &self,
        tenant: TenantId,
        token: &NewRefreshToken,
    ) -> Result<(), StoreError>;

    /// Exchanges a refresh token in one transaction, as [`crate::auth::refresh::decide`] says.
    async fn rotate_refresh(
        &self,
        tenant: TenantId,
        presented_hash: &str,
        device: DeviceId,
        next: &NewRefreshToken,
        now_us: i64,
    ) -> Result<Rotation, StoreError>;

    /// Ends the family of a refresh token (logout). Nothing happens if it is unknown.
    async fn end_refresh_family(
        &self,
        tenant: TenantId,
        presented_hash: &str,
    ) -> Result<(), StoreError>;

    /// The key that signs access tokens, 32 bytes, drawn once and shared by all servers of a database.
    async fn signing_key(&self) -> Result<Vec<u8>, StoreError>;
}
