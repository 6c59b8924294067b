//! Turns at the server's own work: its threads, its database connections, its snapshots.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sync_protocol::problem::Problem;
use sync_protocol::{TenantId, UserId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::shares::{Share, Shares};
use crate::http::app::HttpSettings;

/// Most requests of one tenant that wait for its turns.
const TENANT_WAITING_MAX: usize = 256;
/// Most requests of one user that wait for their turns: theirs are a few phones.
const USER_WAITING_MAX: usize = 32;
/// Requests of one tenant whose caller is being looked up, each for some milliseconds.
const LOOKUPS_EACH_MAX: usize = 4;
/// Requests without a token of one address at work at once, for each route. A whole site may sit behind
/// one address.
const ADDRESS_EACH_MAX: usize = 4;
/// Requests without a token that wait, from one address.
const ADDRESS_WAITING_MAX: usize = 64;
/// Requests without a token at work at once from all addresses, for each route.
const PUBLIC_MAX: usize = 8;
/// Requests without a token that wait, from all addresses.
const PUBLIC_WAITING_MAX: usize = 256;

/// All turns of a server.
pub struct Turns {
    all: Arc<Semaphore>,
    tenants: Shares<TenantId>,
    users: Shares<(TenantId, UserId)>,
    lookups: Shares<TenantId>,
    addresses: Shares<(IpAddr, &'static str)>,
    public: Shares<&'static str>,
    pulls: Arc<Semaphore>,
    pulling_tenants: Shares<TenantId>,
    pulling_users: Shares<(TenantId, UserId)>,
    wait_max: Duration,
}

/// A turn of a request; dropped, it goes to the next.
pub struct Turn {
    _all: OwnedSemaphorePermit,
    _of: Of,
}

enum Of {
    User { _tenant: Share<TenantId>, _user: Share<(TenantId, UserId)> },
    Address { _public: Share<&'static str>, _address: Share<(IpAddr, &'static str)> },
}

/// A turn of a pull, which has a snapshot open.
pub struct PullTurn {
    _all: OwnedSemaphorePermit,
    _tenant: Share<TenantId>,
    _user: Share<(TenantId, UserId)>,
}

impl Turns {
    /// As many as the settings say.
    #[must_use]
    pub fn new(settings: &HttpSettings) -> Self {
        let tenants = |places| Shares::new(places, TENANT_WAITING_MAX);
        let users = |places| Shares::new(places, USER_WAITING_MAX);
        Self {
            all: Arc::new(Semaphore::new(settings.requests_max)),
            tenants: tenants(settings.requests_per_tenant_max),
            users: users(settings.requests_per_user_max),
            lookups: tenants(LOOKUPS_EACH_MAX),
            addresses: Shares::new(ADDRESS_EACH_MAX, ADDRESS_WAITING_MAX),
            public: Shares::new(PUBLIC_MAX, PUBLIC_WAITING_MAX),
            pulls: Arc::new(Semaphore::new(settings.pulls_max)),
            pulling_tenants: tenants(settings.pulls_per_tenant_max),
            pulling_users: users(settings.pulls_per_user_max),
            wait_max: settings.turn_wait_max,
        }
    }

    /// For finding out what somebody of a tenant may do.
    ///
    /// # Errors
    /// `busy`.
    pub async fn lookup(&self, tenant: TenantId) -> Result<Share<TenantId>, Problem> {
        self.in_time(self.lookups.take(tenant)).await
    }

    /// For a request with a token. The user waits first, so that one user's requests do not fill the
    /// line of the tenant.
    ///
    /// # Errors
    /// `busy`.
    pub async fn of_user(&self, tenant: TenantId, user: UserId) -> Result<Turn, Problem> {
        let taken = async {
            let user_share = self.users.take((tenant, user)).await?;
            let tenant_share = self.tenants.take(tenant).await?;
            let all = self.all.clone().try_acquire_owned().ok()?;
            Some(Turn { _all: all, _of: Of::User { _tenant: tenant_share, _user: user_share } })
        };
        self.in_time(taken).await
    }

    /// For a request without a token to this route.
    ///
    /// # Errors
    /// `busy`.
    pub async fn of_address(&self, from: IpAddr, route: &'static str) -> Result<Turn, Problem> {
        let taken = async {
            let address = self.addresses.take((from, route)).await?;
            let public = self.public.take(route).await?;
            let all = self.all.clone().try_acquire_owned().ok()?;
            Some(Turn { _all: all, _of: Of::Address { _public: public, _address: address } })
        };
        self.in_time(taken).await
    }

    /// For a pull.
    ///
    /// # Errors
    /// `busy`.
    pub async fn pull(&self, tenant: TenantId, user: UserId) -> Result<PullTurn, Problem> {
        let taken = async {
            let user_share = self.pulling_users.take((tenant, user)).await?;
            let tenant_share = self.pulling_tenants.take(tenant).await?;
            let all = self.pulls.clone().acquire_owned().await.ok()?;
            Some(PullTurn { _all: all, _tenant: tenant_share, _user: user_share })
        };
        self.in_time(taken).await
    }

    async fn in_time<T>(&self, taken: impl Future<Output = Option<T>>) -> Result<T, Problem> {
        let taken = tokio::time::timeout(self.wait_max, taken).await;
        taken.ok().flatten().ok_or_else(busy)
    }
}

/// The answer when all turns are taken.
#[must_use]
pub fn busy() -> Problem {
    Problem::new(503, "busy", "The server is busy").detail("send the same again").retryable()
}
