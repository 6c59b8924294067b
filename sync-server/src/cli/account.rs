//! Finding the tenant and person that arguments name.

use sync_protocol::TenantId;

use super::Failure;
use crate::store::accounts::{Account, Tenant};
use crate::store::{Store, StoreError};

/// The tenant of that short name or id.
pub(super) async fn tenant(store: &dyn Store, name: &str) -> Result<Tenant, Failure> {
    if let Some(tenant) = store.tenant_by_slug(name).await? {
        return Ok(tenant);
    }
    if let Ok(id) = name.parse::<TenantId>()
        && let Some(tenant) = store.tenant(id).await?
    {
        return Ok(tenant);
    }
    Err(StoreError::NotFound(format!("tenant `{name}`")).into())
}

/// The person of that login or id.
pub(super) async fn user(
    store: &dyn Store,
    tenant: &Tenant,
    name: &str,
) -> Result<Account, Failure> {
    if let Some(account) = store.user_by_login(tenant.id, name).await? {
        return Ok(account);
    }
    if let Ok(id) = name.parse()
        && let Some(account) = store.user(tenant.id, id).await?
    {
        return Ok(account);
    }
    Err(StoreError::NotFound(format!("user `{name}` of `{}`", tenant.slug)).into())
}
