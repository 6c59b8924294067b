//! Who is asking, as the access token and the account say.

use std::collections::BTreeSet;

use sync_protocol::{DeviceId, TenantId, UserId};

/// The person and device behind a request. Built in one place, from a validated access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The company; nothing in a request's body can name another.
    pub tenant: TenantId,
    /// The person.
    pub user: UserId,
    /// The person's name for display.
    pub user_name: String,
    /// The device that the token was issued to.
    pub device: Option<DeviceId>,
    /// What that device calls itself.
    pub device_name: Option<String>,
    /// What the person may do.
    pub permissions: BTreeSet<String>,
    /// When the token ends, in microseconds since 1970.
    pub expires_at_us: i64,
}

impl Caller {
    /// Whether the person has a permission such as `project:write`.
    #[must_use]
    pub fn may(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }
}
