//! `POST auth/login`, `auth/refresh`, `auth/logout`. Printing one of these for a log leaves out its
//! secrets.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{DeviceId, TenantId, UserId};

/// Body of `POST auth/login`. Registers the device if its id is new.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The company's short name, as its people type it.
    pub tenant: String,
    /// The person's user name.
    pub user: String,
    /// The password; never logged.
    pub password: String,
    /// Drawn by the installation, once.
    pub device: DeviceId,
    /// What the device calls itself, for people (`Samsung A05 de Juan`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
}

/// Body of `POST auth/refresh`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The refresh token, opaque.
    pub refresh_token: String,
    /// The device that holds it.
    pub device: DeviceId,
}

/// Body of `POST auth/logout`. Ends the refresh token's family.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogoutRequest {
    /// The refresh token, opaque.
    pub refresh_token: String,
}

/// Answer of login and refresh.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    /// JWT for the `Authorization: Bearer` header.
    pub access_token: String,
    /// How long the access token is good for, in seconds.
    pub expires_in_s: u64,
    /// Next refresh token. The one that was sent stays good for this device until this one is used.
    pub refresh_token: String,
    /// The company.
    pub tenant: TenantId,
    /// The person.
    pub user: UserId,
    /// The person's name for display.
    pub user_name: String,
    /// Permissions, sorted.
    pub permissions: Vec<String>,
    /// The server's clock, in microseconds since 1970.
    pub server_time_us: i64,
}

impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest")
            .field("tenant", &self.tenant)
            .field("user", &self.user)
            .field("device", &self.device)
            .field("device_name", &self.device_name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RefreshRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshRequest").field("device", &self.device).finish_non_exhaustive()
    }
}

impl fmt::Debug for LogoutRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutRequest").finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("expires_in_s", &self.expires_in_s)
            .field("tenant", &self.tenant)
            .field("user", &self.user)
            .field("permissions", &self.permissions)
            .finish_non_exhaustive()
    }
}
