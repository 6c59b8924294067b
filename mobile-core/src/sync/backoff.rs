//! Pauses between failed rounds. Pure.
//!
//! Two kinds of failure need different pauses. A server that was reached and failed, or asks to come
//! later, must not be asked again by everybody at once: its pauses double from the first on. A server
//! that was not reached is mostly behind a dead spot, a partition or a name that does not resolve yet
//! although the network is back; nothing but an attempt tells when that ends. Those attempts are a few
//! hundred bytes, so the first ones come at an even, short pace ([`UNREACHED`]), and only then the
//! pauses double. What is sent after short dead spots is at the server within 11 seconds, and ten
//! hours without a network cost less than a mebibyte; the simulator measures both.

use std::time::Duration;

/// Pause after the first failure of a server that was reached.
const FIRST: Duration = Duration::from_secs(2);
/// Longest pause: a phone that comes back from a dead spot must not wait for an hour.
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);
/// The first attempts at a server that is not reached: how many, and the pause before each.
const UNREACHED: [(u32, Duration); 2] = [(8, Duration::from_secs(2)), (10, Duration::from_secs(5))];

/// Why rounds fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Nobody answered, though there should be a network.
    Unreached,
    /// Anything else: the server, its proxy or this phone said why.
    Refused {
        /// The least pause that the server asks for.
        retry_after: Option<Duration>,
    },
}

/// Longest pause that a server can ask for; a proxy may ask for anything.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// The pause after this many failures in a row (from 1). `unit` is a random number from 0 up to 1: a
/// site's phones must not all come back in the same second. What the server asked for is the least.
#[must_use]
pub fn pause(failures: u32, unit: f64, cause: Cause) -> Duration {
    let unit = unit.clamp(0.0, 1.0);
    let jittered = longest(failures.max(1), cause).mul_f64(0.5 + 0.5 * unit);
    match cause {
        Cause::Refused { retry_after: Some(least) } => {
            jittered.max(least.min(RETRY_AFTER_MAX).mul_f64(1.0 + 0.2 * unit))
        }
        _ => jittered,
    }
}

/// The pause before it is jittered.
fn longest(failures: u32, cause: Cause) -> Duration {
    let (mut left, mut first) = (failures - 1, FIRST);
    if cause == Cause::Unreached {
        for (times, pause) in UNREACHED {
            if left < times {
                return pause;
            }
            left -= times;
            first = pause.saturating_mul(2);
        }
    }
    first.saturating_mul(2u32.saturating_pow(left.min(16))).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Cause = Cause::Refused { retry_after: None };

    #[test]
    fn pauses_grow_up_to_a_limit_and_differ() {
        assert_eq!(pause(1, 1.0, BUSY), FIRST);
        assert_eq!(pause(2, 1.0, BUSY), FIRST * 2);
        assert_eq!(pause(40, 1.0, BUSY), PAUSE_MAX);
        assert_eq!(pause(40, 0.0, BUSY), PAUSE_MAX / 2);
    }

    #[test]
    fn nobody_is_sent_away_for_ever() {
        let cause = Cause::Refused { retry_after: Some(Duration::from_secs(u64::MAX)) };
        assert_eq!(pause(1, 0.0, cause), RETRY_AFTER_MAX);
    }

    #[test]
    fn what_the_server_asks_for_is_the_least() {
        let asked = Duration::from_secs(30);
        let cause = Cause::Refused { retry_after: Some(asked) };
        assert!(pause(1, 0.0, cause) >= asked);
        assert!(pause(20, 0.0, cause) >= PAUSE_MAX / 2);
    }

    #[test]
    fn a_server_that_is_not_reached_is_tried_at_an_even_pace_before_pauses_double() {
        let pauses = |n: u32| pause(n, 1.0, Cause::Unreached).as_secs();
        assert_eq!([1, 2, 8, 9, 18].map(pauses), [2, 2, 2, 5, 5]);
        assert_eq!([19, 20, 21].map(pauses), [10, 20, 40]);
        assert_eq!(pause(60, 1.0, Cause::Unreached), PAUSE_MAX);
    }
}
