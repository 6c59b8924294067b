//! Sessions: login, refresh, logout.

use std::net::IpAddr;
use std::sync::Arc;

use sync_protocol::fault::{self, Point};
use sync_protocol::problem::Problem;
use sync_protocol::wire::auth::{LoginRequest, LogoutRequest, RefreshRequest, Session};
use sync_protocol::{DeviceId, TenantId};

use super::access_token::{ACCESS_TOKEN_S, Claims, OWN_ISSUER};
use super::authenticate::{Authenticator, account_disabled, device_revoked};
use super::password::{PASSWORD_BYTES_MAX, Passwords};
use super::permission;
use super::refresh::{NewRefreshToken, Rotation};
use super::refresh_token::{REFRESH_TOKEN_S, RefreshToken};
use super::throttle::Throttle;
use crate::clock::SharedClock;
use crate::push::failed;
use crate::random::SharedRandom;
use crate::store::accounts::{Account, Device};
use crate::store::{Store, StoreError};

/// Longest tenant or user name at login, in characters; longer ones do not exist.
pub const NAME_CHARS_MAX: usize = 200;
/// Longest name of a device, in characters.
pub const DEVICE_NAME_CHARS_MAX: usize = 100;

/// What sessions are made with.
#[derive(Clone)]
pub struct Sessions {
    /// The accounts.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: SharedClock,
    /// Source of refresh tokens.
    pub random: SharedRandom,
    /// Signs access tokens.
    pub authenticator: Arc<Authenticator>,
    /// Verifies passwords.
    pub passwords: Passwords,
    /// Slows down guessing.
    pub throttle: Arc<Throttle>,
}

impl Sessions {
    /// Begins a session for a person on a device, which is registered if it is new.
    ///
    /// # Errors
    /// `too_long`, `nul_character`, `login_throttled`, `login_failed`, `account_disabled`, `device_revoked`,
    /// `busy`.
    pub async fn login(&self, request: LoginRequest, from: IpAddr) -> Result<Session, Problem> {
        check(&request)?;
        let now_us = self.clock.now_us();
        let attempt = self.throttle.attempt(&request.tenant, &request.user, from, now_us)?;
        let found = self.account(&request).await.map_err(|error| failed(&error))?;
        let hash = found.as_ref().map(|(_, account)| account.password_hash.clone());
        if !self.passwords.verify(request.password, hash).await? {
            return Err(login_failed());
        }
        attempt.succeeded();
        let (tenant, account) = found.ok_or_else(login_failed)?;
        let device = Device {
            id: request.device,
            user: account.id,
            name: request.device_name,
            last_seen_us: now_us,
            revoked: false,
        };
        self.admit(tenant, &account, &device).await?;
        let token = RefreshToken::draw(tenant, &*self.random)?;
        let stored = new_token(&token, &account, device.id, now_us);
        self.store.start_refresh_family(tenant, &stored).await.map_err(|error| failed(&error))?;
        self.session(tenant, account, device.id, &token, now_us)
    }

    /// Exchanges a refresh token for another one and an access token.
    ///
    /// # Errors
    /// `refresh_token_invalid`, `refresh_token_reused`, `account_disabled`, `device_revoked`,
    /// `busy`.
    pub async fn refresh(&self, request: RefreshRequest) -> Result<Session, Problem> {
        let now_us = self.clock.now_us();
        let presented = RefreshToken::read(&request.refresh_token).ok_or_else(refresh_refused)?;
        let tenant = presented.tenant();
        match self.store.tenant(tenant).await {
            Ok(Some(_)) => {}
            Ok(None) | Err(StoreError::NotFound(_)) => return Err(refresh_refused()),
            Err(error) => return Err(failed(&error)),
        }
        let known =
            self.store.device(tenant, request.device).await.map_err(|error| failed(&error))?;
        let mut device = known.ok_or_else(refresh_refused)?;
        if device.revoked {
            return Err(device_revoked());
        }
        let token = RefreshToken::draw(tenant, &*self.random)?;
        // The family's person replaces this one.
        let next = NewRefreshToken {
            hash: token.hash(),
            user: device.user,
            device: device.id,
            issued_at_us: now_us,
            expires_at_us: now_us + REFRESH_TOKEN_S * 1_000_000,
        };
        let rotation = self
            .store
            .rotate_refresh(tenant, &presented.hash(), device.id, &next, now_us)
            .await
            .map_err(|error| failed(&error))?;
        fault::reached(Point::TokenExchanged);
        let user = match rotation {
            Rotation::Rotated { user } => user,
            Rotation::Refused => return Err(refresh_refused()),
            Rotation::Reused => {
                tracing::warn!(%tenant, device = %device.id, "a refresh token was used twice");
                return Err(refresh_reused());
            }
        };
        let account = self.store.user(tenant, user).await.map_err(|error| failed(&error))?;
        let account = account.ok_or_else(refresh_refused)?;
        device.user = account.id;
        device.last_seen_us = now_us;
        self.admit(tenant, &account, &device).await?;
        self.session(tenant, account, device.id, &token, now_us)
    }

    /// Ends a session. A token that is not known is as good as ended.
    ///
    /// # Errors
    /// The store's passing failures.
    pub async fn logout(&self, request: LogoutRequest) -> Result<(), Problem> {
        let Some(presented) = RefreshToken::read(&request.refresh_token) else { return Ok(()) };
        let ended = self.store.end_refresh_family(presented.tenant(), &presented.hash()).await;
        match ended {
            Ok(()) | Err(StoreError::NotFound(_)) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn account(
        &self,
        request: &LoginRequest,
    ) -> Result<Option<(TenantId, Account)>, StoreError> {
        let Some(tenant) = self.store.tenant_by_slug(&request.tenant).await? else {
            return Ok(None);
        };
        let account = self.store.user_by_login(tenant.id, &request.user).await?;
        Ok(account.map(|account| (tenant.id, account)))
    }

    /// Lets a person in on a device, and notes that it was seen.
    async fn admit(
        &self,
        tenant: TenantId,
        account: &Account,
        device: &Device,
    ) -> Result<(), Problem> {
        if account.disabled {
            return Err(account_disabled());
        }
        let known = self.store.device(tenant, device.id).await.map_err(|error| failed(&error))?;
        if known.is_some_and(|known| known.revoked) {
            return Err(device_revoked());
        }
        self.store.register_device(tenant, device).await.map_err(|error| failed(&error))
    }

    fn session(
        &self,
        tenant: TenantId,
        account: Account,
        device: DeviceId,
        refresh_token: &RefreshToken,
        now_us: i64,
    ) -> Result<Session, Problem> {
        let permissions = permission::of_roles(self.store.schema(), &account.roles, &[]);
        let now_s = now_us.div_euclid(1_000_000);
        let claims = Claims {
            iss: OWN_ISSUER.to_owned(),
            sub: account.id,
            tid: tenant,
            roles: account.roles,
            permissions: Vec::new(),
            plan: None,
            exp: now_s.saturating_add_unsigned(ACCESS_TOKEN_S),
            iat: now_s,
            nbf: None,
            did: Some(device),
            name: Some(account.name.clone()),
        };
        Ok(Session {
            access_token: self.authenticator.own_tokens().issue(&claims)?,
            expires_in_s: ACCESS_TOKEN_S,
            refresh_token: refresh_token.text(),
            tenant,
            user: account.id,
            user_name: account.name,
            permissions: permissions.into_iter().collect(),
            server_time_us: now_us,
        })
    }
}

fn new_token(
    token: &RefreshToken,
    account: &Account,
    device: DeviceId,
    now_us: i64,
) -> NewRefreshToken {
    NewRefreshToken {
        hash: token.hash(),
        user: account.id,
        device,
        issued_at_us: now_us,
        expires_at_us: now_us + REFRESH_TOKEN_S * 1_000_000,
    }
}

fn check(request: &LoginRequest) -> Result<(), Problem> {
    let names = [&request.tenant, &request.user];
    let device_name = request.device_name.as_deref().unwrap_or_default();
    let fits = names.iter().all(|name| name.chars().count() <= NAME_CHARS_MAX)
        && request.password.len() <= PASSWORD_BYTES_MAX
        && device_name.chars().count() <= DEVICE_NAME_CHARS_MAX;
    if !fits {
        return Err(Problem::new(422, "too_long", "A text is too long").detail(format!(
            "`tenant` and `user` have at most {NAME_CHARS_MAX} characters, `password` \
             {PASSWORD_BYTES_MAX} bytes, `device_name` {DEVICE_NAME_CHARS_MAX} characters"
        )));
    }
    if names.iter().any(|name| name.contains('\0')) || device_name.contains('\0') {
        return Err(Problem::new(422, "nul_character", "A text holds a NUL character")
            .detail("`tenant`, `user` and `device_name` are texts without NUL"));
    }
    Ok(())
}

/// One answer, whichever of the three was wrong.
fn login_failed() -> Problem {
    Problem::new(401, "login_failed", "Company, user or password are wrong")
        .detail("check all three; after some attempts each further one has to wait")
}

fn refresh_refused() -> Problem {
    Problem::new(401, "refresh_token_invalid", "The session has ended")
        .detail("log in again; edits stay on the device until then")
}

fn refresh_reused() -> Problem {
    Problem::new(
        401,
        "refresh_token_reused",
        "The session was ended because a token was used twice",
    )
    .detail("a copy of it may be in other hands; log in again, edits stay on the device")
}
