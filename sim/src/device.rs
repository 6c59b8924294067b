//! A phone: the real core on real files, its clock and its line. It can be killed at any moment.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use mobile_core::core::Verification;
use mobile_core::photos::Variant;
use mobile_core::random::SeededRandom;
use mobile_core::sync::SyncReport;
use mobile_core::transport::exchange::Request;
use mobile_core::transport::http::HttpTransport;
use mobile_core::verify::checkpoint;
use mobile_core::{Config, Core, CoreError, SignIn};
use rusqlite::Connection;
use sync_protocol::RecordId;
use sync_protocol::fault::{self, Crash};
use tokio_util::sync::CancellationToken;

use crate::network::{Fate, Line};
use crate::nth::disk;
use crate::server::{COMPANY, PASSWORD, Response};
use crate::time::{PhoneClock, TrueTime};

/// What a flight came to.
pub type Landed = Result<Option<SyncReport>, CoreError>;

/// An exchange (or several) with the server that is under way.
pub struct Flight {
    future: Pin<Box<dyn Future<Output = Landed>>>,
    /// What it is, for the trace.
    pub what: &'static str,
    /// The request that the run holds back, once the phone has sent one.
    pub request: Option<Request>,
    /// The server's answer to it, on its way.
    pub answer: Option<Response>,
}

/// A phone.
pub struct Device {
    /// Its number.
    pub number: usize,
    directory: PathBuf,
    core: Option<Arc<Core>>,
    /// Its clocks.
    pub clock: Arc<PhoneClock>,
    random: Arc<SeededRandom>,
    /// Its line.
    pub line: Line,
    /// What is under way.
    pub flight: Option<Flight>,
    /// Whether there is a network.
    pub online: bool,
    /// Whether its app is running.
    pub on: bool,
    /// Whether it asks for digests with each round, whenever the last ones came.
    pub digests: bool,
    /// Most bytes of a picture in one request.
    pub piece_bytes: usize,
    /// Logins of everybody who used it.
    pub people: Vec<usize>,
    verified: Arc<Mutex<Option<Verification>>>,
    shown: Arc<Mutex<Option<PathBuf>>>,
    wiped: Arc<Mutex<Option<Result<(), CoreError>>>>,
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &copy)?,
            false => drop(std::fs::copy(entry.path(), copy)?),
        }
    }
    Ok(())
}

impl Device {
    /// A phone out of the box.
    #[must_use]
    pub fn begin(
        number: usize,
        directory: &Path,
        time: &TrueTime,
        seed: u64,
        wall_off_us: i64,
        drift_ppm: i64,
    ) -> Self {
        let mut device = Self {
            number,
            directory: directory.join(format!("phone-{number}")),
            core: None,
            clock: Arc::new(PhoneClock::new(time.clone(), wall_off_us, drift_ppm)),
            random: Arc::new(SeededRandom::new(seed)),
            line: Line::default(),
            flight: None,
            online: true,
            on: true,
            digests: false,
            piece_bytes: usize::MAX,
            people: Vec::new(),
            verified: Arc::default(),
            shown: Arc::default(),
            wiped: Arc::default(),
        };
        device.open();
        device
    }

    fn open(&mut self) {
        let opened = Core::open(self.config()).or_else(|error| {
            // Whoever cannot open the app for a broken disk tries again.
            let broken = matches!(error, CoreError::DiskFailed(_) | CoreError::DiskFull);
            if broken && disk::fired() > 0 {
                disk::repair();
                return Core::open(self.config());
            }
            Err(error)
        });
        self.core = Some(Arc::new(opened.expect("the phone's files open")));
    }

    fn config(&self) -> Config {
        let line = self.line.clone();
        Config {
            dir: self.directory.clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            connect: Arc::new(move |_| Ok(Arc::new(HttpTransport::over(Arc::new(line.clone()))))),
        }
    }

    /// The library that runs on it.
    #[must_use]
    pub fn core(&self) -> &Arc<Core> {
        self.core.as_ref().expect("a phone is always switched on between two steps")
    }

    /// What is under way is given up.
    pub async fn give_up(&mut self) {
        self.flight = None;
        self.line.reset();
        // A page that was being applied is applied or not; its thread holds the round until then.
        if let Ok(engine) = self.core().engine() {
            while engine.is_running() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// The app is killed and started again, perhaps with the phone.
    pub async fn crash(&mut self, reboot: bool) {
        self.give_up().await;
        fault::revive();
        self.core = None;
        if reboot {
            self.clock.reboot();
        }
        self.open();
    }

    fn fly(&mut self, what: &'static str, future: impl Future<Output = Landed> + 'static) {
        self.flight = Some(Flight { future: Box::pin(future), what, request: None, answer: None });
    }

    /// Begins a round.
    pub fn begin_sync(&mut self) {
        let (core, digests) = (self.core().clone(), self.digests);
        let piece_bytes = self.piece_bytes;
        self.fly("sync", async move {
            core.engine()?.set_photo_piece_bytes(piece_bytes);
            if digests {
                core.engine()?.store().write(|db| checkpoint::make_due(db))?;
            }
            core.sync(&CancellationToken::new()).await.map(Some)
        });
    }

    /// Begins to sign somebody in.
    pub fn begin_login(&mut self, login: &str) {
        let core = self.core().clone();
        let sign_in = SignIn {
            server: "https://sim.invalid".to_owned(),
            tenant: COMPANY.to_owned(),
            user: login.to_owned(),
            password: PASSWORD.to_owned(),
            device_name: Some(format!("phone {}", self.number)),
        };
        self.fly("login", async move { core.login(sign_in).await.map(|_| None) });
    }

    /// Somebody wants to look at a picture.
    pub fn begin_look(&mut self, collection: &str, record: RecordId, variant: Variant) {
        let (core, shown) = (self.core().clone(), self.shown.clone());
        let collection = collection.to_owned();
        self.fly("look", async move {
            let path = core.photo(&collection, record, variant).await?;
            *shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(path);
            Ok(None)
        });
    }

    /// The file of the picture that somebody wanted to look at last, if there was one. It is told once.
    pub fn shown(&self) -> Option<PathBuf> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Begins to verify everything.
    pub fn begin_verify(&mut self) {
        let (core, verified) = (self.core().clone(), self.verified.clone());
        self.fly("verify", async move {
            let verification = core.verify(&CancellationToken::new()).await?;
            *verified.lock().unwrap_or_else(PoisonError::into_inner) = Some(verification);
            Ok(None)
        });
    }

    /// What the last verification found, if it came to its end. It is told once.
    pub fn verified(&self) -> Option<Verification> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The app is killed, and before it is started again somebody has the file of one of its databases.
    ///
    /// # Errors
    /// Those of SQLite.
    pub async fn tamper<T>(
        &mut self,
        file: &Path,
        with: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.give_up().await;
        self.core = None;
        let done = Connection::open(file).and_then(|db| with(&db));
        self.open();
        done
    }

    /// Begins to wipe everybody's data.
    pub fn begin_wipe(&mut self) {
        let (core, wiped) = (self.core().clone(), self.wiped.clone());
        self.fly("wipe", async move {
            let done = core.wipe().await.map(|_| ());
            *wiped.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            Ok(None)
        });
    }

    /// What the last wipe came to, if it came to its end. It is told once.
    pub fn wiped(&self) -> Option<Result<(), CoreError>> {
        self.wiped.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The app is killed, and its folder is copied before it is started again.
    pub async fn back_up(&mut self) {
        let (folder, copy) = (self.directory.clone(), self.directory.with_extension("backup"));
        self.replace(&folder, &copy).await;
    }

    /// The app is killed, and finds its folder as it was at the backup.
    pub async fn put_back(&mut self) {
        let (folder, copy) = (self.directory.clone(), self.directory.with_extension("backup"));
        self.replace(&copy, &folder).await;
    }

    async fn replace(&mut self, from: &Path, to: &Path) {
        self.give_up().await;
        self.core = None;
        if to.exists() {
            std::fs::remove_dir_all(to).expect("a folder can be removed");
        }
        copy_folder(from, to).expect("a folder can be copied");
        self.open();
    }

    /// Begins to sign out.
    pub fn begin_logout(&mut self) {
        let core = self.core().clone();
        self.fly("logout", async move { core.logout_keeping_data().await.map(|()| None) });
    }

    /// Lets the flight go on until it waits for the run again (none) or is over.
    pub async fn go_on(&mut self) -> Option<Landed> {
        let (flight, line) = (self.flight.as_mut()?, &self.line);
        let landed = futures::future::poll_fn(|cx| {
            let poll = AssertUnwindSafe(|| flight.future.as_mut().poll(cx));
            match std::panic::catch_unwind(poll) {
                Ok(Poll::Ready(landed)) => Poll::Ready(Some(landed)),
                Ok(Poll::Pending) if line.waits() => Poll::Ready(None),
                Ok(Poll::Pending) => Poll::Pending,
                // It died at a fault point; whoever waits for it sees to that.
                Err(panic) if panic.is::<Crash>() => Poll::Ready(Some(Err(CoreError::Cancelled))),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
        .await;
        match landed {
            Some(landed) => {
                self.flight = None;
                self.line.reset();
                Some(landed)
            }
            None => {
                flight.request = line.parked();
                None
            }
        }
    }

    /// Decides about the request that waits, and goes on.
    pub async fn resume(&mut self, fate: Fate) -> Option<Landed> {
        if let Some(flight) = &mut self.flight {
            flight.request = None;
            flight.answer = None;
        }
        self.line.resume(fate);
        self.go_on().await
    }
}
