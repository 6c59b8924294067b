//! Slowing down who guesses passwords.
//!
//! Attempts are counted per account (tenant and login, whether it exists or not) and per address.
//! The first few are free; then each has to wait, twice as long every time, up to a cap, so that
//! nobody is locked out for good by somebody else's guessing. An attempt counts as failed from its
//! beginning, or a thousand at the same moment would all be free; success takes it back.
//!
//! Logins that succeed are counted as well, by account: each costs as much work as one that fails, and
//! nobody needs dozens.
//!
//! Counts are kept in memory, per server process: they slow down, they are no record.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use sync_protocol::problem::Problem;

/// Attempts at one account that are free.
const ACCOUNT_FREE: u32 = 5;
/// Longest wait for an account, in microseconds. Short, because others can cause it.
const ACCOUNT_WAIT_US_MAX: i64 = 60 * 1_000_000;
/// Logins of one account that are free, whether they succeed or not.
const LOGINS_FREE: u32 = 30;
/// Attempts from one address that are free. A whole site may sit behind one.
const ADDRESS_FREE: u32 = 30;
/// Longest wait for an address, in microseconds.
const ADDRESS_WAIT_US_MAX: i64 = 15 * 60 * 1_000_000;
/// The first wait, in microseconds.
const WAIT_US_FIRST: i64 = 1_000_000;
/// After so long without an attempt a count is forgotten, in microseconds.
const FORGET_US: i64 = 60 * 60 * 1_000_000;
/// Most counts kept, so that memory is bounded. When full, the one unused for longest goes.
const COUNTS_MAX: usize = 50_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Account(String, String),
    Logins(String, String),
    Address(IpAddr),
}

impl Key {
    fn free(&self) -> u32 {
        match self {
            Self::Account(..) => ACCOUNT_FREE,
            Self::Logins(..) => LOGINS_FREE,
            Self::Address(_) => ADDRESS_FREE,
        }
    }

    fn wait_us_max(&self) -> i64 {
        match self {
            Self::Account(..) | Self::Logins(..) => ACCOUNT_WAIT_US_MAX,
            Self::Address(_) => ADDRESS_WAIT_US_MAX,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    last_us: i64,
}

impl Count {
    /// How long the next attempt has still to wait.
    fn wait_us(self, key: &Key, now_us: i64) -> i64 {
        let Some(over) = self.failures.checked_sub(key.free()) else { return 0 };
        let wait = WAIT_US_FIRST.saturating_mul(1 << over.min(30)).min(key.wait_us_max());
        (self.last_us + wait - now_us).max(0)
    }
}

/// Counts of logins.
#[derive(Debug, Default)]
pub struct Throttle {
    counts: Mutex<HashMap<Key, Count>>,
}

/// One attempt that was let through. Dropped without [`Self::succeeded`] it stays a failure.
#[derive(Debug)]
#[must_use]
pub struct Attempt<'a> {
    throttle: &'a Throttle,
    keys: [Key; 3],
}

impl Throttle {
    /// Lets an attempt through, or says how long it has to wait.
    ///
    /// # Errors
    /// `login_throttled`, with the wait.
    pub fn attempt(
        &self,
        tenant: &str,
        login: &str,
        address: IpAddr,
        now_us: i64,
    ) -> Result<Attempt<'_>, Problem> {
        let keys = [
            Key::Account(tenant.to_owned(), login.to_owned()),
            Key::Address(network(address)),
            Key::Logins(tenant.to_owned(), login.to_owned()),
        ];
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let wait_us = keys
            .iter()
            .filter_map(|key| counts.get(key).map(|count| count.wait_us(key, now_us)))
            .max()
            .unwrap_or(0);
        if wait_us > 0 {
            return Err(throttled(wait_us));
        }
        make_room(&mut counts, now_us);
        for key in &keys {
            let count = counts.entry(key.clone()).or_insert(Count { failures: 0, last_us: now_us });
            if now_us - count.last_us > FORGET_US {
                count.failures = 0;
            }
            count.failures = count.failures.saturating_add(1);
            count.last_us = now_us;
        }
        Ok(Attempt { throttle: self, keys })
    }
}

impl Attempt<'_> {
    /// The password was right: the account's count starts anew, and the address gets this attempt
    /// back (its other failures stay, or a thief with one account of their own could reset it).
    pub fn succeeded(self) {
        let mut counts = self.throttle.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.remove(&self.keys[0]);
        if let Some(count) = counts.get_mut(&self.keys[1]) {
            count.failures = count.failures.saturating_sub(1);
        }
    }
}

/// What counts as one address: all of IPv4's, and the network part of IPv6's, which one person has.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn make_room(counts: &mut HashMap<Key, Count>, now_us: i64) {
    if counts.len() + 3 <= COUNTS_MAX {
        return;
    }
    counts.retain(|_, count| now_us - count.last_us <= FORGET_US);
    // A tenth at once, so that a flood does not look through all of them at every attempt.
    if counts.len() + 3 > COUNTS_MAX {
        let mut ages: Vec<i64> = counts.values().map(|count| count.last_us).collect();
        ages.sort_unstable();
        let oldest_kept = ages[COUNTS_MAX / 10];
        counts.retain(|_, count| count.last_us > oldest_kept);
    }
}

fn throttled(wait_us: i64) -> Problem {
    let seconds = wait_us.div_euclid(1_000_000) + 1;
    let mut problem = Problem::new(429, "login_throttled", "Too many failed logins")
        .detail(format!("wait {seconds} s before the next attempt"))
        .retryable();
    problem.more.insert("retry_after_s".to_owned(), seconds.into());
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const SECOND: i64 = 1_000_000;

    fn fail(throttle: &Throttle, login: &str, now_us: i64) -> Option<i64> {
        match throttle.attempt("obra", login, ADDRESS, now_us) {
            Ok(_) => None,
            Err(problem) => problem.more["retry_after_s"].as_i64(),
        }
    }

    #[test]
    fn waits_double_up_to_the_cap() {
        let throttle = Throttle::default();
        let mut now = 0;
        for _ in 0..ACCOUNT_FREE {
            assert_eq!(fail(&throttle, "juan", now), None);
        }
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = fail(&throttle, "juan", now).unwrap();
            waits.push(wait);
            now += wait * SECOND;
            assert_eq!(fail(&throttle, "juan", now), None);
        }
        assert_eq!(waits, [2, 3, 5, 9, 17, 33, 61, 61]);
    }

    #[test]
    fn success_forgives_the_account_but_not_the_address() {
        let throttle = Throttle::default();
        for _ in 0..4 {
            fail(&throttle, "juan", 0);
        }
        throttle.attempt("obra", "juan", ADDRESS, 0).unwrap().succeeded();
        for _ in 0..ACCOUNT_FREE {
            assert_eq!(fail(&throttle, "juan", 0), None);
        }
        // Nine failures by now; the rest of the address's free attempts, each for another name.
        for n in 9..ADDRESS_FREE {
            assert_eq!(fail(&throttle, &format!("name {n}"), 0), None);
        }
        assert!(fail(&throttle, "somebody else", 0).is_some());
    }

    #[test]
    fn dozens_of_good_logins_have_to_wait_as_well() {
        let throttle = Throttle::default();
        for _ in 0..LOGINS_FREE {
            throttle.attempt("obra", "juan", ADDRESS, 0).unwrap().succeeded();
        }
        assert!(throttle.attempt("obra", "juan", ADDRESS, 0).is_err());
        assert!(throttle.attempt("obra", "ana", ADDRESS, 0).is_ok(), "only that account");
        throttle.attempt("obra", "juan", ADDRESS, 2 * SECOND).unwrap().succeeded();
    }

    #[test]
    fn attempts_at_the_same_moment_all_count() {
        let throttle = Throttle::default();
        let running: Vec<_> = (0..ACCOUNT_FREE)
            .map(|_| throttle.attempt("obra", "juan", ADDRESS, 0).unwrap())
            .collect();
        assert!(throttle.attempt("obra", "juan", ADDRESS, 0).is_err());
        drop(running);
    }

    #[test]
    fn one_ipv6_network_is_one_address_and_mapped_ipv4_is_ipv4() {
        let a: IpAddr = "2001:db8:1:2::1".parse().unwrap();
        let b: IpAddr = "2001:db8:1:2:ffff::9".parse().unwrap();
        assert_eq!(network(a), network(b));
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), ADDRESS);
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        for n in 0..60_000u32 {
            let address = IpAddr::V4(n.into());
            let _ = throttle.attempt("obra", &n.to_string(), address, i64::from(n));
        }
        assert!(throttle.counts.lock().unwrap().len() <= COUNTS_MAX);
    }
}
