//! Clocks, and from them the time of an edit (DESIGN 6).
//!
//! A phone's wall clock may be wrong by years. So an edit records three readings: the wall clock,
//! a clock that counts from the phone's start and never stops while it sleeps, and the id of that
//! start ("boot"). At the first contact in a boot the device learns how far the boot clock is from
//! the server's clock ([`Anchor`]); from then on every edit of that boot has a certain time, also
//! those made before the contact. Edits of a boot that never met the server are only bounded: not
//! before what came before them, not after the contact that follows ([`bounded_time`]).

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sync_protocol::EditTime;

/// The clocks of a device.
#[async_trait::async_trait]
pub trait Clock: Send + Sync {
    /// The wall clock, in microseconds since 1970, right or wrong.
    fn wall_us(&self) -> i64;
    /// Microseconds since the phone was started, sleep included.
    fn boot_us(&self) -> i64;
    /// Names the present start of the phone.
    fn boot_id(&self) -> String;
    /// Waits.
    async fn sleep(&self, duration: Duration);

    /// All three readings.
    fn read(&self) -> Reading {
        Reading { wall_us: self.wall_us(), boot_us: self.boot_us(), boot_id: self.boot_id() }
    }
}

/// The readings of a moment, kept with each edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The wall clock, in microseconds since 1970.
    pub wall_us: i64,
    /// Microseconds since the start of the phone.
    pub boot_us: i64,
    /// Which start.
    pub boot_id: String,
}

/// Longest exchange that an anchor is taken from, in microseconds.
const EXCHANGE_US_MAX: i64 = 10_000_000;

/// What a contact taught: the server's clock minus the boot clock, for one boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The boot it holds for.
    pub boot_id: String,
    /// Server time minus boot clock, in microseconds.
    pub offset_us: i64,
}

impl Anchor {
    /// From one exchange: the server's clock, and the readings before and after it.
    ///
    /// The server read its clock somewhere in between; the middle is wrong by at most half the
    /// time the exchange took. `None` where that is too much: the anchor counts for a whole boot, and a
    /// phone that sleeps between a request and its answer would be wrong by half the night.
    #[must_use]
    pub fn measure(before: &Reading, after: &Reading, server_time_us: i64) -> Option<Self> {
        let took_us = after.boot_us - before.boot_us;
        let exact = before.boot_id == after.boot_id && (0..=EXCHANGE_US_MAX).contains(&took_us);
        let offset_us = server_time_us - (before.boot_us + took_us / 2);
        exact.then(|| Self { boot_id: after.boot_id.clone(), offset_us })
    }

    /// The certain time of an edit of the same boot.
    #[must_use]
    pub fn time_of(&self, reading: &Reading) -> Option<EditTime> {
        (reading.boot_id == self.boot_id)
            .then(|| EditTime::certain(reading.boot_us.saturating_add(self.offset_us)))
    }
}

/// The time of an edit whose boot never met the server: its wall clock, but not before
/// `earliest_us` (the edit or contact before it) and not after `latest_us` (the server's clock now).
#[must_use]
pub fn bounded_time(reading: &Reading, earliest_us: i64, latest_us: i64) -> EditTime {
    let at_us = reading.wall_us.max(earliest_us).min(latest_us.max(earliest_us));
    EditTime { at_us, uncertain: true }
}

/// The clocks of the machine.
///
/// The boot clock is `CLOCK_BOOTTIME`. Where there is none, or the id of the boot cannot be read (iOS;
/// Android hides the id from apps), each process counts as a boot of its own and time from its start;
/// the bindings pass in a clock of the platform instead (`elapsedRealtimeNanos`,
/// `mach_continuous_time`).
#[derive(Debug)]
pub struct SystemClock {
    boot: Boot,
    boot_id: String,
}

#[derive(Debug)]
enum Boot {
    /// The system's clock.
    System,
    /// This process's start.
    Process(Instant),
}

impl SystemClock {
    /// Reads which boot this is.
    #[must_use]
    pub fn new() -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        match boot_id {
            Ok(id) if boottime_us().is_some() => {
                Self { boot: Boot::System, boot_id: id.trim().to_owned() }
            }
            _ => Self {
                boot: Boot::Process(Instant::now()),
                boot_id: format!("process-{}-{}", std::process::id(), wall_us()),
            },
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Where the system has the clock, reading it cannot fail: a boot never changes from one clock to the
/// other under the same id.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn boottime_us() -> Option<i64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    i64::try_from(Duration::try_from(now).ok()?.as_micros()).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn boottime_us() -> Option<i64> {
    None
}

#[async_trait::async_trait]
impl Clock for SystemClock {
    fn wall_us(&self) -> i64 {
        wall_us()
    }

    fn boot_us(&self) -> i64 {
        match self.boot {
            Boot::System => boottime_us().unwrap_or(0),
            Boot::Process(started) => {
                i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX)
            }
        }
    }

    fn boot_id(&self) -> String {
        self.boot_id.clone()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that stands still until it is moved, for tests and simulation.
#[derive(Debug)]
pub struct ManualClock(Mutex<Reading>);

impl ManualClock {
    /// A clock with this wall time, in the first boot.
    #[must_use]
    pub fn new(wall_us: i64) -> Self {
        Self(Mutex::new(Reading { wall_us, boot_us: 0, boot_id: "boot-0".to_owned() }))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Reading) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Time passes.
    pub fn advance(&self, us: i64) {
        self.with(|r| {
            r.wall_us += us;
            r.boot_us += us;
        });
    }

    /// Somebody sets the wall clock.
    pub fn set_wall(&self, wall_us: i64) {
        self.with(|r| r.wall_us = wall_us);
    }

    /// The phone is switched off and on.
    pub fn reboot(&self, boot_id: &str) {
        self.with(|r| {
            r.boot_us = 0;
            r.boot_id = boot_id.to_owned();
        });
    }
}

#[async_trait::async_trait]
impl Clock for ManualClock {
    fn wall_us(&self) -> i64 {
        self.with(|r| r.wall_us)
    }

    fn boot_us(&self) -> i64 {
        self.with(|r| r.boot_us)
    }

    fn boot_id(&self) -> String {
        self.with(|r| r.boot_id.clone())
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX));
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(wall_us: i64, boot_us: i64, boot_id: &str) -> Reading {
        Reading { wall_us, boot_us, boot_id: boot_id.to_owned() }
    }

    #[test]
    fn a_wrong_wall_clock_changes_no_time_of_a_boot_that_met_the_server() {
        let (before, after) = (reading(1, 1_000, "a"), reading(2, 3_000, "a"));
        let anchor = Anchor::measure(&before, &after, 50_000).expect("a short exchange");
        let time = anchor.time_of(&reading(999_999_999, 500, "a"));
        assert_eq!(time, Some(EditTime::certain(48_500)));
        assert_eq!(anchor.time_of(&reading(0, 500, "b")), None);
    }

    #[test]
    fn an_exchange_that_took_long_teaches_no_time() {
        let after = |boot_us, boot_id| reading(0, boot_us, boot_id);
        let measure = |after| Anchor::measure(&reading(0, 0, "a"), &after, 50_000);
        assert!(measure(after(EXCHANGE_US_MAX, "a")).is_some());
        assert_eq!(measure(after(EXCHANGE_US_MAX + 1, "a")), None);
        assert_eq!(measure(after(5, "b")), None);
    }

    #[test]
    fn the_systems_boot_clock_goes_on_and_is_the_same_for_everybody() {
        let (one, two) = (SystemClock::new(), SystemClock::new());
        let readings = [one.read(), two.read(), one.read()];
        if matches!(one.boot, Boot::System) {
            assert!(readings.windows(2).all(|pair| pair[0].boot_id == pair[1].boot_id));
            assert!(readings.is_sorted_by_key(|reading| reading.boot_us), "{readings:?}");
        }
    }

    #[test]
    fn an_uncertain_time_lies_between_its_neighbours() {
        let at = |wall| bounded_time(&reading(wall, 0, "x"), 100, 200);
        assert_eq!(at(5), EditTime { at_us: 100, uncertain: true });
        assert_eq!(at(150), EditTime { at_us: 150, uncertain: true });
        assert_eq!(at(900), EditTime { at_us: 200, uncertain: true });
    }
}
