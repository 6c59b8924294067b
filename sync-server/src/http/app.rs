//! What every handler works with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::authenticate::Authenticator;
use crate::auth::caller::Caller;
use crate::auth::session::Sessions;
use crate::clock::SharedClock;
use crate::push::PushContext;
use crate::review::ReviewContext;
use crate::store::Store;

/// Limits and switches of the HTTP side.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Most requests at work at once; more are told to come back.
    pub requests_max: usize,
    /// Most pulls at work at once: each holds a snapshot and a database connection.
    pub pulls_max: usize,
    /// How long a request may take until its answer begins.
    pub request_time_max: Duration,
    /// How long a stream of pages goes on before it ends itself, resumable, so that a slow phone
    /// holds no old snapshot open.
    pub stream_time_max: Duration,
    /// A proxy in front of this server names the client in the last entry of `X-Forwarded-For`.
    pub trust_forwarded_for: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            requests_max: 512,
            // Each pull holds one of a PostgreSQL store's 20 connections while its phone reads.
            pulls_max: 12,
            request_time_max: Duration::from_secs(120),
            stream_time_max: Duration::from_secs(60),
            trust_forwarded_for: false,
        }
    }
}

/// A running server's parts.
pub struct App {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: SharedClock,
    /// Knows who is asking.
    pub authenticator: Arc<Authenticator>,
    /// Makes sessions.
    pub sessions: Sessions,
    /// Limits.
    pub settings: HttpSettings,
    /// Turns for requests.
    pub requests: Arc<Semaphore>,
    /// Turns for pulls.
    pub pulls: Arc<Semaphore>,
    /// Set when the server is asked to stop: streams end at their next page.
    pub stopping: CancellationToken,
}

impl App {
    /// For pushes of this caller.
    #[must_use]
    pub fn push_context<'a>(&'a self, caller: &'a Caller) -> PushContext<'a> {
        PushContext { store: &*self.store, clock: &*self.clock, caller }
    }

    /// For reviews by this caller.
    #[must_use]
    pub fn review_context<'a>(&'a self, caller: &'a Caller) -> ReviewContext<'a> {
        ReviewContext { store: &*self.store, clock: &*self.clock, caller }
    }
}
