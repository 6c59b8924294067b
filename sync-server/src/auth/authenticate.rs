//! From an access token to the [`Caller`].
//!
//! The token proves who is asking; what they are now is looked up: an account that was disabled, a
//! role that was taken away and a device that was revoked count from the next request on, not from
//! the next token on.

use std::sync::Arc;

use sync_protocol::TenantId;
use sync_protocol::problem::Problem;

use super::access_token::{AccessTokens, Claims, OWN_ISSUER, TOKEN_BYTES_MAX, invalid};
use super::caller::Caller;
use super::issuer::Issuer;
use super::permission;
use crate::push::failed;
use crate::store::accounts::{Account, Device};
use crate::store::{Store, StoreError};

/// What is stored instead of a password's hash for people whom an external issuer vouches for. No
/// password fits it.
const NO_PASSWORD: &str = "!";

/// What a good token says.
#[derive(Clone)]
pub struct Proof {
    claims: Claims,
    /// Whether this server issued it.
    own: bool,
}

impl Proof {
    /// The tenant whose token it is.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.claims.tid
    }
}

#[cfg(test)]
impl Proof {
    /// Of nobody, where a test needs one.
    pub(crate) fn of_nobody() -> Self {
        let claims = Claims {
            iss: OWN_ISSUER.to_owned(),
            sub: sync_protocol::UserId(uuid::Uuid::nil()),
            tid: TenantId(uuid::Uuid::nil()),
            roles: Vec::new(),
            permissions: Vec::new(),
            plan: None,
            exp: 0,
            iat: 0,
            nbf: None,
            did: None,
            name: None,
        };
        Self { claims, own: true }
    }
}

/// Turns tokens into callers.
pub struct Authenticator {
    store: Arc<dyn Store>,
    own: AccessTokens,
    issuers: Vec<Issuer>,
}

impl Authenticator {
    /// With the server's own tokens and those of external issuers.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, own: AccessTokens, issuers: Vec<Issuer>) -> Self {
        Self { store, own, issuers }
    }

    /// The server's own tokens.
    #[must_use]
    pub fn own_tokens(&self) -> &AccessTokens {
        &self.own
    }

    /// What this token proves, without a look at the database.
    ///
    /// # Errors
    /// 401 with `token_invalid` or `token_expired`.
    pub async fn proof(&self, token: &str, now_us: i64) -> Result<Proof, Problem> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(invalid(&"it is too long"));
        }
        let (claims, own) = self.claims(token, now_us).await?;
        Ok(Proof { claims, own })
    }

    /// Who is asking with a token that proved this.
    ///
    /// # Errors
    /// 401 with `token_invalid`, `account_disabled` or `device_revoked`; the store's passing failures.
    pub async fn caller(&self, proof: Proof, now_us: i64) -> Result<Caller, Problem> {
        let Proof { claims, own } = proof;
        let tenant = claims.tid;
        let account = match self.store.user(tenant, claims.sub).await {
            Ok(Some(account)) => account,
            Ok(None) | Err(StoreError::NotFound(_)) if own => return Err(invalid(&"no account")),
            Ok(None) => self.first_contact(&claims).await?,
            Err(StoreError::NotFound(_)) => return Err(invalid(&"no tenant")),
            Err(error) => return Err(failed(&error)),
        };
        if account.disabled {
            return Err(account_disabled());
        }
        let device = self.device(tenant, &claims, &account, now_us).await?;
        let roles = if own { &account.roles } else { &claims.roles };
        Ok(Caller {
            tenant,
            user: account.id,
            user_name: claims.name.unwrap_or(account.name),
            device: device.as_ref().map(|device| device.id),
            device_name: device.and_then(|device| device.name),
            permissions: permission::of_roles(self.store.schema(), roles, &claims.permissions),
            expires_at_us: claims.exp.saturating_mul(1_000_000),
        })
    }

    /// Which issuer's rules apply stands in the token; what they are does not.
    async fn claims(&self, token: &str, now_us: i64) -> Result<(Claims, bool), Problem> {
        #[derive(serde::Deserialize)]
        struct Named {
            #[serde(default)]
            iss: String,
        }
        let named: Named = jsonwebtoken::dangerous::insecure_decode_claims(token)
            .map_err(|error| invalid(&error))?;
        if named.iss == OWN_ISSUER {
            return Ok((self.own.read(token, now_us)?, true));
        }
        match self.issuers.iter().find(|issuer| issuer.name() == named.iss) {
            Some(issuer) => Ok((issuer.read(token, now_us).await?, false)),
            None => Err(invalid(&"its issuer is unknown")),
        }
    }

    /// An issuer vouches for somebody who has no account yet.
    async fn first_contact(&self, claims: &Claims) -> Result<Account, Problem> {
        let tenant = self.store.tenant(claims.tid).await.map_err(|error| failed(&error))?;
        if tenant.is_none() {
            return Err(invalid(&"no tenant"));
        }
        let account = Account {
            id: claims.sub,
            login: claims.sub.to_string(),
            name: claims.name.clone().unwrap_or_else(|| claims.sub.to_string()),
            password_hash: NO_PASSWORD.to_owned(),
            roles: Vec::new(),
            disabled: false,
        };
        match self.store.create_user(claims.tid, &account).await {
            // Another request of the same person was first.
            Ok(()) | Err(StoreError::Exists(_)) => Ok(account),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn device(
        &self,
        tenant: TenantId,
        claims: &Claims,
        account: &Account,
        now_us: i64,
    ) -> Result<Option<Device>, Problem> {
        let Some(id) = claims.did else { return Ok(None) };
        let known = self.store.device(tenant, id).await.map_err(|error| failed(&error))?;
        match known {
            Some(device) if device.revoked => Err(device_revoked()),
            Some(device) => Ok(Some(device)),
            None => {
                let device = Device {
                    id,
                    user: account.id,
                    name: None,
                    last_seen_us: now_us,
                    revoked: false,
                };
                self.store
                    .register_device(tenant, &device)
                    .await
                    .map_err(|error| failed(&error))?;
                Ok(Some(device))
            }
        }
    }
}

/// The answer to a device whose right to sync has ended.
pub(super) fn device_revoked() -> Problem {
    Problem::new(401, "device_revoked", "This device may not sync any more")
        .detail("its edits are kept on it; ask an administrator, who revoked it")
}

/// The answer to somebody whose account has ended.
pub(super) fn account_disabled() -> Problem {
    Problem::new(401, "account_disabled", "This account is disabled")
        .detail("ask an administrator of the company")
}
