//! What every handler works with.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::auth::authenticate::Authenticator;
use crate::auth::caller::Caller;
use crate::auth::session::Sessions;
use crate::clock::SharedClock;
use crate::events::{EventSettings, Events};
use crate::http::limits::Turns;
use crate::http::limits::budget::Budget;
use crate::metrics::Metrics;
use crate::photos::{PhotoContext, Photos};
use crate::push::PushContext;
use crate::review::ReviewContext;
use crate::store::Store;

/// Limits and switches of the HTTP side.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Most requests at work at once; more are told to come back.
    pub requests_max: usize,
    /// Most requests of one tenant at work at once; others of its wait for these.
    pub requests_per_tenant_max: usize,
    /// Most requests of one user at work at once; others of theirs wait for these.
    pub requests_per_user_max: usize,
    /// Most pulls at work at once: each holds a snapshot and a database connection.
    pub pulls_max: usize,
    /// Most pulls of one tenant at work at once.
    pub pulls_per_tenant_max: usize,
    /// Most pulls of one user at work at once.
    pub pulls_per_user_max: usize,
    /// How long a request waits for its turn before it is told to come back.
    pub turn_wait_max: Duration,
    /// How long a request may take until its answer begins.
    pub request_time_max: Duration,
    /// How long a stream of pages goes on before it ends itself, resumable, so that a slow phone
    /// holds no old snapshot open.
    pub stream_time_max: Duration,
    /// Most connections open at once.
    pub connections_max: usize,
    /// Most connections of one address, unless a proxy's are everybody's
    /// ([`trust_forwarded_for`](Self::trust_forwarded_for)).
    pub connections_per_address_max: usize,
    /// How long the head of a request may take to come, and how long a connection may be idle.
    pub header_time_max: Duration,
    /// How long a body may take to come, besides what its length earns it.
    pub body_patience: Duration,
    /// How long a client may take nothing of its answer before the connection is closed.
    pub answer_stall_max: Duration,
    /// How many may listen to events.
    pub events: EventSettings,
    /// A proxy in front of this server names the client in the last entry of `X-Forwarded-For`.
    pub trust_forwarded_for: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            requests_max: 512,
            // With its pulls less than the 20 connections of a PostgreSQL store, so that the others
            // always have some.
            requests_per_tenant_max: 8,
            requests_per_user_max: 4,
            // Each pull holds one of a PostgreSQL store's 20 connections while its phone reads.
            pulls_max: 12,
            // Less than a tenant's readers on SQLite, or nobody of theirs could even be looked up.
            pulls_per_tenant_max: 4,
            pulls_per_user_max: 2,
            turn_wait_max: Duration::from_secs(5),
            request_time_max: Duration::from_secs(120),
            stream_time_max: Duration::from_secs(60),
            connections_max: 4096,
            connections_per_address_max: 256,
            // As long as proxies keep idle connections to their servers would be 60 s; they open new ones.
            header_time_max: Duration::from_secs(30),
            body_patience: Duration::from_secs(20),
            answer_stall_max: Duration::from_secs(20),
            events: EventSettings::default(),
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
    /// The bytes of photos.
    pub photos: Arc<Photos>,
    /// Knows who is asking.
    pub authenticator: Arc<Authenticator>,
    /// Makes sessions.
    pub sessions: Sessions,
    /// Limits.
    pub settings: HttpSettings,
    /// Turns for requests and pulls.
    pub turns: Turns,
    /// Memory for bodies on their way.
    pub bodies: Budget,
    /// Memory for answers that were not read yet.
    pub answers: Budget,
    /// Who listens to events.
    pub events: Arc<Events>,
    /// What is counted.
    pub metrics: Metrics,
    /// Set when the server is asked to stop: streams end at their next page.
    pub stopping: CancellationToken,
}

/// Memory for bodies on their way, in bytes: of one tenant or address, and of all.
const BODIES_BYTES_MAX: (usize, usize) = (64 * 1024 * 1024, 256 * 1024 * 1024);
/// Memory for answers that were not read yet, in bytes: of one tenant or address, and of all.
const ANSWERS_BYTES_MAX: (usize, usize) = (16 * 1024 * 1024, 128 * 1024 * 1024);

impl App {
    /// With nothing at work.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        photos: Arc<Photos>,
        clock: SharedClock,
        authenticator: Arc<Authenticator>,
        sessions: Sessions,
        settings: HttpSettings,
    ) -> Self {
        let stopping = CancellationToken::new();
        let events = Events::new(
            store.clone(),
            authenticator.clone(),
            clock.clone(),
            sessions.random.clone(),
            settings.events.clone(),
            stopping.clone(),
        );
        Self {
            store,
            photos,
            clock,
            authenticator,
            sessions,
            events,
            metrics: Metrics::default(),
            turns: Turns::new(&settings),
            bodies: Budget::new(BODIES_BYTES_MAX.0, BODIES_BYTES_MAX.1),
            answers: Budget::new(ANSWERS_BYTES_MAX.0, ANSWERS_BYTES_MAX.1),
            settings,
            stopping,
        }
    }

    /// For pushes of this caller.
    #[must_use]
    pub fn push_context<'a>(&'a self, caller: &'a Caller) -> PushContext<'a> {
        PushContext { store: &*self.store, clock: &*self.clock, caller }
    }

    /// For this caller's photos.
    #[must_use]
    pub fn photo_context<'a>(&'a self, caller: &'a Caller) -> PhotoContext<'a> {
        PhotoContext { photos: &self.photos, store: &*self.store, clock: &*self.clock, caller }
    }

    /// For reviews by this caller.
    #[must_use]
    pub fn review_context<'a>(&'a self, caller: &'a Caller) -> ReviewContext<'a> {
        ReviewContext { store: &*self.store, clock: &*self.clock, caller }
    }
}
