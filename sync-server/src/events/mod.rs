//! Telling devices that something moved, so that they pull at once (docs/decisions/0011).
//!
//! ```text
//!  PostgreSQL ◄── one look for all ── poller ──► hub ──► listener: pending, due ──► stream ──► phone
//!  or SQLite      every 250 ms        poller.rs  hub.rs  pace.rs                    http/sync/events.rs
//! ```
//!
//! **What is told** is a hint: which of the scopes that the user holds have moved, and whether something
//! else of theirs did. Nothing depends on it: a device that hears nothing pulls by its timer. A scope
//! counts as moved only for rows of collections that the user may read.
//!
//! **A listener comes** in five steps: it takes a place ([`hub`]); a look is awaited that began after
//! that, so that from now on everything that moves in its tenant is looked for; its user's grants are
//! read; another look is awaited, which looked for those scopes; and, if it comes with a mark, what
//! moved since is asked. Everything after that is found by later looks, everything before by the mark or
//! by the round that a device runs when its stream opens.
//!
//! **A look** ([`poller`]) finds what moved since the one before. Of users who moved themselves, grants
//! and rights are read again before any scope is told to them, so that who lost a scope hears nothing
//! more of it, and who may not sync any more loses the stream.
//!
//! **A move waits** in its listener until it is due ([`pace`]): at most one event a second for each
//! device, and the more devices a move concerns, the longer the time over which they are told. What
//! moves meanwhile joins what waits.
//!
//! No database connection and no turn is held while a stream is quiet. The poller runs only while
//! somebody listens.

mod hub;
mod listening;
mod pace;
mod poller;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sync_protocol::problem::Problem;
use sync_protocol::wire::events::Moved;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::auth::authenticate::{Authenticator, Proof};
use crate::auth::caller::Caller;
use crate::clock::SharedClock;
use crate::push::failed;
use crate::random::SharedRandom;
use crate::store::Store;

use hub::{Hub, Newcomer};
pub use listening::{Listening, Signal};

/// How long a listener waits for a look before it is told to come back.
const JOIN_TIME_MAX: Duration = Duration::from_secs(10);
/// When somebody who has too many streams may try again, in seconds.
const TOO_MANY_RETRY_S: u64 = 60;

/// How many may listen, and how often a quiet stream says something.
#[derive(Debug, Clone)]
pub struct EventSettings {
    /// Most streams of this process.
    pub listeners_max: usize,
    /// Most streams of one tenant.
    pub listeners_per_tenant_max: usize,
    /// Most streams of one user.
    pub listeners_per_user_max: usize,
    /// How long a stream is quiet before it says that it lives.
    pub heartbeat: Duration,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            // Each is a connection, of which others need some as well.
            listeners_max: 3_072,
            listeners_per_tenant_max: 2_048,
            listeners_per_user_max: 10,
            // Less than what proxies take for a dead connection.
            heartbeat: Duration::from_secs(20),
        }
    }
}

/// The listeners of this process, and what they need.
pub struct Events {
    store: Arc<dyn Store>,
    authenticator: Arc<Authenticator>,
    clock: SharedClock,
    random: SharedRandom,
    settings: EventSettings,
    stopping: CancellationToken,
    hub: Mutex<Hub>,
    /// Somebody waits for a look.
    wanted: Notify,
    looks: Looks,
    /// The poller runs.
    polling: AtomicBool,
}

/// Looks are numbered from 1.
struct Looks {
    begun: watch::Sender<u64>,
    done: watch::Sender<u64>,
}

impl Events {
    /// Nobody listens yet.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        authenticator: Arc<Authenticator>,
        clock: SharedClock,
        random: SharedRandom,
        settings: EventSettings,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        let looks = Looks { begun: watch::channel(0).0, done: watch::channel(0).0 };
        let (hub, wanted, polling) = (Mutex::default(), Notify::new(), AtomicBool::new(false));
        Arc::new(Self {
            store,
            authenticator,
            clock,
            random,
            settings,
            stopping,
            hub,
            wanted,
            looks,
            polling,
        })
    }

    fn hub(&self) -> MutexGuard<'_, Hub> {
        // Each change of it is whole after each statement, whoever panicked.
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many listen.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.hub().count()
    }

    /// Begins to listen. With a mark, what moved since then is told at once.
    ///
    /// # Errors
    /// 429 `too_many_listeners`; `busy` and other passing failures of the store.
    pub async fn listen(
        self: &Arc<Self>,
        caller: &Caller,
        proof: Proof,
        mark: Option<&str>,
    ) -> Result<Listening, Problem> {
        let newcomer = Newcomer {
            tenant: caller.tenant,
            user: caller.user,
            device: caller.device,
            proof,
            visible: self.visible_to(caller),
            expires_at_us: caller.expires_at_us,
        };
        let (tenant, user) = (caller.tenant, caller.user);
        let come = self.hub().come(newcomer, &self.settings);
        let place = come.ok_or_else(too_many)?;
        // Dropped on any way out of here, it gives its place back.
        let listening = Listening::new(Arc::clone(self), place);
        self.clone().ensure_poller();
        self.next_look().await?;
        let held = self.store.held(tenant, &[user]).await.map_err(|error| failed(&error))?;
        self.hub().know(tenant, held);
        self.next_look().await?;
        if let Some(mark) = mark {
            let scopes = self.hub().scopes_of(tenant, user);
            let moved = self.store.moved_since(tenant, user, &scopes, mark).await;
            let moved = moved.map_err(|error| failed(&error))?;
            self.hub().resume(&listening.place, moved, self.unit());
        }
        Ok(listening)
    }

    /// Names of the collections that somebody may read.
    fn visible_to(&self, caller: &Caller) -> BTreeSet<String> {
        let visible = self.store.schema().visible_to(|permission| caller.may(permission));
        visible.collections.into_keys().collect()
    }

    /// Waits for a look that begins after this call.
    async fn next_look(&self) -> Result<(), Problem> {
        let number = *self.looks.begun.borrow() + 1;
        let mut done = self.looks.done.subscribe();
        self.wanted.notify_one();
        let looked = tokio::time::timeout(JOIN_TIME_MAX, done.wait_for(|done| *done >= number));
        match looked.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Problem::new(503, "busy", "The server is busy")
                .detail("send the same again")
                .retryable()),
        }
    }
}

fn too_many() -> Problem {
    let mut problem = Problem::new(429, "too_many_listeners", "Too many streams are open")
        .detail("close another one of yours, or pull by a timer and try again later")
        .retryable();
    problem.more.insert("retry_after_s".to_owned(), TOO_MANY_RETRY_S.into());
    problem
}

/// Nothing waits to be told.
fn is_nothing(moved: &Moved) -> bool {
    moved.scopes.is_empty() && !moved.all && !moved.user
}
