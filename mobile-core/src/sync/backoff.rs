//! Pauses between failed rounds. Pure.

use std::time::Duration;

/// Pause after the first failure.
const FIRST: Duration = Duration::from_secs(2);
/// Longest pause: a phone that comes back from a dead spot must not wait for an hour.
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// The pause after this many failures in a row (from 1). `unit` is a random number from 0 up to 1: a
/// site's phones must not all come back in the same second. What the server asked for is the least.
#[must_use]
pub fn pause(failures: u32, unit: f64, retry_after: Option<Duration>) -> Duration {
    let doubled = FIRST.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(16)));
    let jittered = doubled.min(PAUSE_MAX).mul_f64(0.5 + 0.5 * unit.clamp(0.0, 1.0));
    match retry_after {
        Some(least) => jittered.max(least.mul_f64(1.0 + 0.2 * unit.clamp(0.0, 1.0))),
        None => jittered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_differ() {
        assert_eq!(pause(1, 1.0, None), FIRST);
        assert_eq!(pause(2, 1.0, None), FIRST * 2);
        assert_eq!(pause(40, 1.0, None), PAUSE_MAX);
        assert_eq!(pause(40, 0.0, None), PAUSE_MAX / 2);
    }

    #[test]
    fn what_the_server_asks_for_is_the_least() {
        let asked = Duration::from_secs(30);
        assert!(pause(1, 0.0, Some(asked)) >= asked);
        assert!(pause(20, 0.0, Some(asked)) >= PAUSE_MAX / 2);
    }
}
