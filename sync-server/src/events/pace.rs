//! When a move is told. Pure.
//!
//! A move that concerns a few devices is told at once. One that concerns many is told over a time that
//! grows with their number, so that their pulls do not come in the same instant.

use std::time::Duration;

use tokio::time::Instant;

/// Least time between two events to one device.
const EVERY: Duration = Duration::from_secs(1);
/// So many devices are told at once.
const AT_ONCE: usize = 10;
/// Time for each device beyond those: 100 pulls a second and process.
const EACH: Duration = Duration::from_millis(10);
/// Longest time over which a move is told.
const SPREAD_MAX: Duration = Duration::from_secs(10);

/// Over how much time a move is told that concerns so many devices.
pub(super) fn spread(devices: usize) -> Duration {
    let beyond = u32::try_from(devices.saturating_sub(AT_ONCE)).unwrap_or(u32::MAX);
    EACH.saturating_mul(beyond).min(SPREAD_MAX)
}

/// When a device is told that was told last at `told`. `unit` is a random number from 0 up to 1.
pub(super) fn due(now: Instant, told: Option<Instant>, spread: Duration, unit: f64) -> Instant {
    let due = now + spread.mul_f64(unit.clamp(0.0, 1.0));
    told.map_or(due, |told| due.max(told + EVERY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_told_at_once_and_many_over_some_seconds() {
        assert_eq!(spread(1), Duration::ZERO);
        assert_eq!(spread(AT_ONCE), Duration::ZERO);
        assert_eq!(spread(AT_ONCE + 100), Duration::from_secs(1));
        assert_eq!(spread(1_000_000), SPREAD_MAX);
        assert_eq!(spread(usize::MAX), SPREAD_MAX);
    }

    #[test]
    fn nobody_is_told_more_than_once_a_second() {
        let now = Instant::now();
        assert_eq!(due(now, None, Duration::ZERO, 0.5), now);
        assert_eq!(due(now, Some(now), Duration::ZERO, 0.5), now + EVERY);
        let long_ago = now.checked_sub(EVERY * 2);
        assert_eq!(due(now, long_ago, Duration::ZERO, 0.5), now);
        assert_eq!(due(now, Some(now), SPREAD_MAX, 0.5), now + SPREAD_MAX / 2);
    }
}
