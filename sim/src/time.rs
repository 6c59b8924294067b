//! Simulated time: one true clock, the server's view of it, and the phones' wrong ones.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// A second, in microseconds.
pub const SECOND_US: i64 = 1_000_000;
/// A day, in microseconds.
pub const DAY_US: i64 = 86_400 * SECOND_US;
/// When runs begin: 2026-01-01, in microseconds since 1970.
const BEGIN_US: i64 = 1_767_225_600 * SECOND_US;

/// The true time. It only moves when the run says so.
#[derive(Debug, Clone)]
pub struct TrueTime(Arc<AtomicI64>);

impl TrueTime {
    /// The beginning.
    #[must_use]
    pub fn begin() -> Self {
        Self(Arc::new(AtomicI64::new(BEGIN_US)))
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Microseconds since the beginning of the run.
    #[must_use]
    pub fn since_begin_us(&self) -> i64 {
        self.now_us() - BEGIN_US
    }

    /// Time passes.
    pub fn advance(&self, us: i64) {
        self.0.fetch_add(us, Ordering::SeqCst);
    }
}

/// The server's clock: the true time, until the machine comes up with another one, or somebody sets it. Clones
/// share it.
#[derive(Debug, Clone)]
pub struct ServerClock {
    time: TrueTime,
    off_us: Arc<AtomicI64>,
}

impl ServerClock {
    /// One that is right.
    #[must_use]
    pub fn new(time: TrueTime) -> Self {
        Self { time, off_us: Arc::default() }
    }

    /// It says the true time plus this from now on.
    pub fn set_off(&self, off_us: i64) {
        self.off_us.store(off_us, Ordering::SeqCst);
    }
}

impl sync_server::clock::Clock for ServerClock {
    fn now_us(&self) -> i64 {
        self.time.now_us() + self.off_us.load(Ordering::SeqCst)
    }
}

/// A phone's clocks: the wall clock is off by anything, both run a little fast or slow.
#[derive(Debug)]
pub struct PhoneClock {
    time: TrueTime,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The wall clock minus the true time at the start of this boot.
    wall_off_us: i64,
    /// When the phone was started, in true time.
    booted_us: i64,
    boot: u32,
    /// How much too fast, in millionths.
    drift_ppm: i64,
    /// When the pause of whoever sleeps ends, in true time.
    alarm_us: Option<i64>,
}

impl PhoneClock {
    /// A phone that has just been started.
    #[must_use]
    pub fn new(time: TrueTime, wall_off_us: i64, drift_ppm: i64) -> Self {
        let booted_us = time.now_us();
        let state = State { wall_off_us, booted_us, boot: 0, drift_ppm, alarm_us: None };
        Self { time, state: Mutex::new(state) }
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Somebody (or the network) sets the wall clock to the true time plus this.
    pub fn set_wall_off(&self, off_us: i64) {
        self.with(|state| state.wall_off_us = off_us);
    }

    /// When somebody wants to be woken, in true time.
    #[must_use]
    pub fn alarm_us(&self) -> Option<i64> {
        self.with(|state| state.alarm_us)
    }

    /// Forgets it: whoever still sleeps says so again when looked at.
    pub fn clear_alarm(&self) {
        self.with(|state| state.alarm_us = None);
    }

    /// The phone is switched off and on.
    pub fn reboot(&self) {
        let now_us = self.time.now_us();
        self.with(|state| {
            state.booted_us = now_us;
            state.boot += 1;
        });
    }
}

#[async_trait::async_trait]
impl mobile_core::clock::Clock for PhoneClock {
    fn wall_us(&self) -> i64 {
        self.time.now_us() + self.with(|state| state.wall_off_us)
    }

    fn boot_us(&self) -> i64 {
        let now_us = self.time.now_us();
        self.with(|state| {
            let passed_us = now_us - state.booted_us;
            passed_us + passed_us / SECOND_US * state.drift_ppm
        })
    }

    fn boot_id(&self) -> String {
        self.with(|state| format!("boot-{}", state.boot))
    }

    /// Lasts until the true time has come, and whoever sleeps is looked at again.
    async fn sleep(&self, duration: Duration) {
        let lasts_us = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let until_us = self.time.now_us().saturating_add(lasts_us);
        std::future::poll_fn(|_| {
            if self.time.now_us() >= until_us {
                return Poll::Ready(());
            }
            self.with(|state| state.alarm_us = Some(until_us));
            Poll::Pending
        })
        .await;
    }
}
