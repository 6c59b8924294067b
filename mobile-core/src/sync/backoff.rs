//! Pauses between failed rounds. Pure.
//!
//! Three kinds of failure need different pauses. A server that was reached and failed, or asks to come
//! later, must not be asked again by everybody at once: its pauses double from the first on. A server
//! that was not reached is mostly behind a dead spot, a partition or a name that does not resolve yet
//! although the network is back; nothing but an attempt tells when that ends. Those attempts are a few
//! hundred bytes, so the first ones come at an even, short pace ([`UNREACHED`]), and only then the
//! pauses double. Where somebody else answers in the server's place (a hotel's login page), each attempt
//! costs a handshake with certificates, thousands of bytes: fewer come at that pace ([`INTERCEPTED`]), the
//! pauses get longer, and opening the app does not shorten them ([`opening`]). What is sent after short
//! dead spots is at the server within 11 seconds, and ten hours without a network cost less than a
//! mebibyte; the simulator measures both.

use std::time::Duration;

use crate::CoreError;
use crate::transport::{OfflineReason, TransportError};

/// Pause after the first failure of a server that was reached.
const FIRST: Duration = Duration::from_secs(2);
/// Longest pause: a phone that comes back from a dead spot must not wait for an hour.
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);
/// The same where somebody else answers. When that ends, the system says that there is a network.
const INTERCEPTED_PAUSE_MAX: Duration = Duration::from_secs(10 * 60);
/// The first attempts at a server that is not reached: how many, and the pause before each.
const UNREACHED: &[(u32, Duration)] = &[(8, Duration::from_secs(2)), (10, Duration::from_secs(5))];
/// The same where somebody else answers.
const INTERCEPTED: &[(u32, Duration)] =
    &[(1, Duration::from_secs(2)), (1, Duration::from_secs(4)), (10, Duration::from_secs(6))];

/// Why rounds fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Nobody answered, though there should be a network.
    Unreached,
    /// Somebody answered who is not the server.
    Intercepted,
    /// Anything else: the server, its proxy or this phone said why.
    Refused {
        /// The least pause that the server asks for.
        retry_after: Option<Duration>,
    },
}

/// What opening the app does to a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It ends the pause, and pauses begin anew.
    BeginsAnew,
    /// It ends the pause, and the next one is longer all the same.
    EndsPause,
    /// Nothing.
    ChangesNothing,
}

/// What opening the app does to the pause after such a failure. People look at their phones often: that
/// must neither wear down a busy server nor fetch a hotel's certificates each time. Somebody who presses
/// a button wants it now, and a system that says that there is a network knows better than a pause.
#[must_use]
pub fn opening(cause: Cause) -> Opening {
    match cause {
        Cause::Unreached => Opening::BeginsAnew,
        Cause::Refused { .. } => Opening::EndsPause,
        Cause::Intercepted => Opening::ChangesNothing,
    }
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
    let (even, most): (&[(u32, Duration)], Duration) = match cause {
        Cause::Unreached => (UNREACHED, PAUSE_MAX),
        Cause::Intercepted => (INTERCEPTED, INTERCEPTED_PAUSE_MAX),
        Cause::Refused { .. } => (&[], PAUSE_MAX),
    };
    let (mut left, mut first) = (failures - 1, FIRST);
    for (times, pause) in even {
        if left < *times {
            return *pause;
        }
        left -= times;
        first = pause.saturating_mul(2);
    }
    first.saturating_mul(2u32.saturating_pow(left.min(16))).min(most)
}

/// What a failed round has as its cause.
pub(super) fn cause(error: &CoreError) -> Cause {
    match error {
        CoreError::Transport(error) => transport_cause(error),
        _ => Cause::Refused { retry_after: None },
    }
}

/// The same of an exchange.
pub(super) fn transport_cause(error: &TransportError) -> Cause {
    match error {
        TransportError::Offline { reason, .. } => match reason {
            // It is the system that says when to try again.
            OfflineReason::NoNetwork => Cause::Refused { retry_after: None },
            OfflineReason::Intercepted => Cause::Intercepted,
            _ => Cause::Unreached,
        },
        TransportError::Busy { retry_after_s, .. } => {
            Cause::Refused { retry_after: retry_after_s.map(Duration::from_secs) }
        }
        _ => Cause::Refused { retry_after: None },
    }
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
    #[test]
    fn where_somebody_else_answers_pauses_double_soon_and_up_to_a_longer_one() {
        let pauses = |n: u32| pause(n, 1.0, Cause::Intercepted).as_secs();
        assert_eq!([1, 2, 3, 12].map(pauses), [2, 4, 6, 6]);
        assert_eq!([13, 14, 15].map(pauses), [12, 24, 48]);
        assert_eq!(pause(60, 1.0, Cause::Intercepted), INTERCEPTED_PAUSE_MAX);
    }
}
