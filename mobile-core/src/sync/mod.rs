//! The sync loop: push → pull → settle → photos.
//!
//! [`Engine::sync`] runs one round and says how it went; [`Engine::run`] runs rounds for as long as the
//! app lives, on a timer, after edits, when the server says that something moved ([`listen`]), when it is
//! kicked ([`Engine::kick`]: a press, a validated network) or opened, and after failures with pauses
//! ([`backoff`]). Only one round runs at a time. A round can be cancelled or killed at any instruction:
//! whatever is durable stays, and
//! the next one goes on from there.
//!
//! 1. **Contact.** In a boot that has not met the server, an empty push first: its answer's clock makes
//!    the times of all edits of this boot certain before the first of them is sent. It has to be quick: the
//!    server read its clock somewhere between request and answer.
//! 2. **Push** ([`push`]): chunks in order until nothing waits. A chunk that the server cannot read is
//!    halved until the culprit is alone; that one is refused here, the others go on. A chunk at which
//!    the server fails in two rounds is halved too; its culprit, and what builds on it, is left out of
//!    the round, which goes on and then tells the failure. So is a culprit that may have been read before.
//! 3. **Pull** ([`pull`]): pages are applied while the next ones arrive. A cut stream is resumed as
//!    long as each attempt brings something. What differs from the server's digests is brought again.
//!
//! 4. **Photos** ([`photos`]): files whose records are applied, in pieces, until edits want to go.
//!
//! What made a round fail is kept (`last_failure`), so that everything that waits can say why.

mod attempt;
pub(crate) mod authorised;
pub mod backoff;
mod listen;
mod photos;
mod pull;
mod push;
mod report;
pub(crate) mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use sync_protocol::DeviceId;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use self::authorised::authorised;
use self::backoff::{Opening, cause};
pub use self::report::{Phase, Progress, SyncReport};
use crate::CoreError;
use crate::clock::{Anchor, Clock};
use crate::outbox::list::{Failure, WaitingFor};
use crate::random::Random;
use crate::store::Store;
use crate::store::meta::{self, name};
use crate::transport::{OfflineReason, Transport, TransportError};
use crate::verify::mend;

/// Pause between rounds that went well, while the server's events are heard.
const INTERVAL_LISTENING: Duration = Duration::from_secs(5 * 60);
/// The same in the foreground without them.
const INTERVAL_FOREGROUND: Duration = Duration::from_secs(60);
/// The same in the background; the system decides whether it comes to that.
const INTERVAL_BACKGROUND: Duration = Duration::from_secs(15 * 60);

/// How long after mending found nothing it is tried again, in microseconds.
const MEND_AGAIN_US: i64 = 60 * 60 * 1_000_000;

/// What the app knows about the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// Whether there is a network that reaches the internet; `None` when nobody said.
    pub network: Option<bool>,
    /// Whether the app is in the foreground.
    pub foreground: bool,
    /// Whether the network costs by the byte; `None` when nobody said.
    pub metered: Option<bool>,
}

/// Whether this device may listen to the server's events.
#[derive(Debug, Clone, Copy)]
struct Standing {
    conditions: Conditions,
    /// The last round went well, and nobody has signed out since.
    in_touch: bool,
}

impl Standing {
    fn may_listen(&self) -> bool {
        self.in_touch && self.conditions.foreground && self.conditions.network != Some(false)
    }
}

/// Syncs one person's database with their server.
pub struct Engine {
    store: Arc<Store>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    device: DeviceId,
    running: Arc<tokio::sync::Mutex<()>>,
    /// Held while tokens are renewed or given up.
    tokens: tokio::sync::Mutex<()>,
    standing: watch::Sender<Standing>,
    /// Whether a stream of the server's events is open.
    live: watch::Sender<bool>,
    kicked: Notify,
    opened: Notify,
    edited: Notify,
    /// Edits were made since the round began, or something else asks for the next: it does not go on with photos.
    wanted: AtomicBool,
    /// Most bytes of a photo in one request.
    photo_piece_bytes: AtomicUsize,
    /// When files of photos that nothing names were last looked for, by the boot clock; 0 for never.
    orphans_us: AtomicI64,
    /// When mending last found nothing, by the boot clock; 0 for never.
    mended_in_vain_us: AtomicI64,
    /// The server said that something moved.
    moved: Notify,
    progress: watch::Sender<Progress>,
}

impl Engine {
    /// Syncs this database over this transport.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        device: DeviceId,
    ) -> Self {
        let idle = Progress::at_begin(Phase::Idle);
        Self {
            store,
            transport,
            clock,
            random,
            device,
            running: Arc::new(tokio::sync::Mutex::new(())),
            tokens: tokio::sync::Mutex::new(()),
            standing: watch::channel(Standing {
                conditions: Conditions { network: None, foreground: true, metered: None },
                in_touch: false,
            })
            .0,
            live: watch::channel(false).0,
            kicked: Notify::new(),
            opened: Notify::new(),
            edited: Notify::new(),
            wanted: AtomicBool::new(false),
            photo_piece_bytes: AtomicUsize::new(photos::PIECE_BYTES),
            orphans_us: AtomicI64::new(0),
            mended_in_vain_us: AtomicI64::new(0),
            moved: Notify::new(),
            progress: watch::channel(idle).0,
        }
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The way to the server.
    #[must_use]
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Tells how far the running round is.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Whether a round is running in this process.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.try_lock().is_err()
    }

    /// What the app said about the phone.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        self.standing.borrow().conditions
    }

    /// Tells whether the server's events are heard at the moment.
    #[must_use]
    pub fn listening(&self) -> watch::Receiver<bool> {
        self.live.subscribe()
    }

    /// The app says whether there is a network that reaches the internet.
    pub fn set_network(&self, validated: Option<bool>) {
        let mut was = None;
        self.standing.send_modify(|now| {
            was = std::mem::replace(&mut now.conditions.network, validated);
        });
        if validated == Some(true) && was != Some(true) {
            self.kick();
        }
    }

    /// The app says whether the network costs by the byte. Where pictures wait for one that does not
    /// ([`crate::Core::set_photos_unmetered`]), [`Engine::run`] sends them when it comes.
    pub fn set_metered(&self, metered: Option<bool>) {
        let mut was = None;
        self.standing.send_modify(|now| {
            was = std::mem::replace(&mut now.conditions.metered, metered);
        });
        if metered == Some(false) && was == Some(true) {
            self.kick();
        }
    }

    /// Sends photos in pieces of at most so many bytes, from the next one on, until the app is started again:
    /// small pieces let small photos take as many requests as large ones.
    pub fn set_photo_piece_bytes(&self, bytes: usize) {
        self.photo_piece_bytes.store(bytes.max(1), Ordering::Relaxed);
    }

    /// The app says whether it is in the foreground. When it comes there, [`Engine::run`] begins a round,
    /// but for some failures ([`backoff::opening`]).
    pub fn set_foreground(&self, foreground: bool) {
        let mut was = foreground;
        self.standing.send_modify(|now| {
            was = std::mem::replace(&mut now.conditions.foreground, foreground);
        });
        if foreground && !was {
            self.wanted.store(true, Ordering::Relaxed);
            self.opened.notify_one();
        }
    }

    /// Begins a round now, whatever pause [`Engine::run`] is in.
    pub fn kick(&self) {
        self.wanted.store(true, Ordering::Relaxed);
        self.kicked.notify_one();
    }

    /// There is something new to send. [`Engine::run`] begins a round if the last one went well; in a
    /// dead spot an edit is no reason to try again before the pause ends.
    pub(crate) fn edited(&self) {
        self.wanted.store(true, Ordering::Relaxed);
        self.edited.notify_one();
    }

    /// Something moved at the server.
    fn moved(&self) {
        self.wanted.store(true, Ordering::Relaxed);
        self.moved.notify_one();
    }

    /// Runs one round.
    ///
    /// # Errors
    /// [`CoreError::AlreadyRunning`], [`CoreError::Cancelled`], those of the server and the way to it,
    /// those of the database. What was done stays.
    pub async fn sync(&self, cancel: &CancellationToken) -> Result<SyncReport, CoreError> {
        // The page that is being applied when a round is cancelled holds the lock until it is done.
        let running = Arc::new(
            Arc::clone(&self.running).try_lock_owned().map_err(|_| CoreError::AlreadyRunning)?,
        );
        let result = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(CoreError::Cancelled),
            result = self.round_or_mend(&running) => result,
        };
        self.progress.send_modify(|progress| progress.phase = Phase::Idle);
        self.note_outcome(result.as_ref().err());
        result
    }

    /// A round; where it stumbles over what cannot be read, that is mended, and the round begins again.
    async fn round_or_mend(
        &self,
        running: &Arc<tokio::sync::OwnedMutexGuard<()>>,
    ) -> Result<SyncReport, CoreError> {
        let error = match self.round(running).await {
            Err(error @ CoreError::Stored(_)) => error,
            other => return other,
        };
        // It reads everything: not again and again where it finds nothing.
        let now_us = self.clock.boot_us();
        let looked_us = self.mended_in_vain_us.load(Ordering::Relaxed);
        if looked_us > 0 && now_us.saturating_sub(looked_us) < MEND_AGAIN_US {
            return Err(error);
        }
        let mended = self.store.write_schema(|db| {
            let mended = mend::all(db)?;
            let schema = self.store.schema_in(db)?;
            Ok(mended + crate::photos::mend::queue(db, &schema, self.store.photos())?)
        })?;
        if mended == 0 {
            self.mended_in_vain_us.store(now_us.max(1), Ordering::Relaxed);
            return Err(error);
        }
        self.round(running).await.map(|report| SyncReport { mended, ..report })
    }

    async fn round(
        &self,
        running: &Arc<tokio::sync::OwnedMutexGuard<()>>,
    ) -> Result<SyncReport, CoreError> {
        if self.conditions().network == Some(false) {
            let reason = OfflineReason::NoNetwork;
            return Err(TransportError::Offline { reason, maybe_sent: false }.into());
        }
        let mut report = SyncReport::default();
        self.wanted.store(false, Ordering::Relaxed);
        self.progress.send_replace(Progress::at_begin(Phase::Pushing));
        let mut left_out = push::run(self, &mut report, running).await?;
        self.progress.send_modify(|progress| progress.phase = Phase::Pulling);
        pull::run(self, &mut report, &mut left_out, running).await?;
        self.progress.send_modify(|progress| progress.phase = Phase::Photos);
        photos::run(self, &mut report).await?;
        left_out.map_or(Ok(report), Err)
    }

    /// Whether somebody waits for the next round.
    fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Runs rounds, and listens for reasons to run one ([`listen`]), until it is cancelled.
    pub async fn run(&self, cancel: &CancellationToken) {
        tokio::join!(self.run_rounds(cancel), self.listen(cancel));
    }

    async fn run_rounds(&self, cancel: &CancellationToken) {
        let mut failures = 0;
        while !cancel.is_cancelled() {
            // What was edited and what moved so far goes with this round, which is the one that opening the
            // app asks for.
            let _ = self.edited.notified().now_or_never();
            let _ = self.moved.notified().now_or_never();
            let _ = self.opened.notified().now_or_never();
            let outcome = self.sync(cancel).await;
            let went_well = outcome.is_ok();
            let opening = outcome
                .as_ref()
                .err()
                .map_or(Opening::BeginsAnew, |error| backoff::opening(cause(error)));
            let pause = match outcome {
                Ok(_) => {
                    failures = 0;
                    None
                }
                Err(error) if error.retryable() => {
                    failures += 1;
                    let unit = self.random.unit().unwrap_or(0.5);
                    Some(backoff::pause(failures, unit, cause(&error)))
                }
                // Only a person can do something about it: log in, update the app, free the disk.
                Err(error) => {
                    tracing::warn!(code = error.code(), %error, "sync stopped");
                    None
                }
            };
            let paused = async {
                match pause {
                    Some(pause) => self.clock.sleep(pause).await,
                    None if went_well => self.interval().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = cancel.cancelled() => break,
                () = self.kicked.notified() => failures = 0,
                () = self.opened.notified(), if opening != Opening::ChangesNothing => {
                    if opening == Opening::BeginsAnew {
                        failures = 0;
                    }
                }
                () = self.edited.notified(), if went_well => {}
                () = self.moved.notified(), if went_well => {}
                () = paused => {}
            }
        }
    }

    /// The pause after a round that went well. It becomes shorter when the server's events are not heard
    /// any more.
    async fn interval(&self) {
        let began_us = self.clock.boot_us();
        let mut live = self.live.subscribe();
        loop {
            let interval = match (self.conditions().foreground, *live.borrow_and_update()) {
                (false, _) => INTERVAL_BACKGROUND,
                (true, true) => INTERVAL_LISTENING,
                (true, false) => INTERVAL_FOREGROUND,
            };
            let gone_us = self.clock.boot_us().saturating_sub(began_us);
            let gone = Duration::from_micros(u64::try_from(gone_us).unwrap_or(0));
            let Some(left) = interval.checked_sub(gone) else { return };
            tokio::select! {
                () = self.clock.sleep(left) => return,
                Ok(()) = live.changed() => {}
            }
        }
    }

    /// Why edits wait now, if there is a reason.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn why_waiting(&self) -> Result<Option<WaitingFor>, CoreError> {
        if self.is_running() {
            return Ok(Some(waiting("sync_running", "a sync is running")));
        }
        if self.conditions().network == Some(false) {
            return Ok(Some(waiting("no_network", "there is no network")));
        }
        self.store.read(|db| {
            let failure: Option<Failure> = meta::get_json(db, name::LAST_FAILURE)?;
            Ok(failure.map(|failure| WaitingFor { code: failure.code, text: failure.text }))
        })
    }

    /// The server's clock now, as far as it is known, in microseconds since 1970.
    fn server_now_us(&self, db: &rusqlite::Connection) -> Result<i64, CoreError> {
        server_now_us(db, self.clock.as_ref())
    }

    /// What attempts to push need.
    fn desk(&self) -> attempt::Desk {
        attempt::Desk {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
        }
    }

    fn note_outcome(&self, error: Option<&CoreError>) {
        let passing = matches!(error, Some(CoreError::Cancelled | CoreError::AlreadyRunning));
        if !passing {
            self.standing.send_if_modified(|now| {
                let was = std::mem::replace(&mut now.in_touch, error.is_none());
                was != now.in_touch
            });
        }
        let result = self.store.write(|db| match error {
            None => meta::remove(db, name::LAST_FAILURE),
            Some(CoreError::Cancelled | CoreError::AlreadyRunning) => Ok(()),
            Some(error) => meta::set_json(
                db,
                name::LAST_FAILURE,
                &Failure { code: error.code().to_owned(), text: error.to_string() },
            ),
        });
        if let Err(error) = result.and_then(|()| self.store.notice_others()) {
            // A full disk, say: the caller has the first error, which is the one that matters.
            tracing::warn!(code = error.code(), "the outcome of the sync could not be noted");
        }
    }
}

/// The server's clock now, as far as it is known, in microseconds since 1970.
fn server_now_us(db: &rusqlite::Connection, clock: &dyn Clock) -> Result<i64, CoreError> {
    let anchor: Option<Anchor> = meta::get_json(db, name::ANCHOR)?;
    match anchor.and_then(|anchor| anchor.time_of(&clock.read())) {
        Some(time) => Ok(time.at_us),
        None => meta::get_number(db, name::LAST_CONTACT_US),
    }
}

fn waiting(code: &str, text: &str) -> WaitingFor {
    WaitingFor { code: code.to_owned(), text: text.to_owned() }
}
