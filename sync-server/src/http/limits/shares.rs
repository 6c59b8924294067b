//! Shares: each party has so many places, and a line of its own in which its others wait.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for parties. Nothing is kept of a party that is not here.
pub struct Shares<K: Eq + Hash> {
    present: Arc<Present<K>>,
}

/// A place; dropped, it goes to the next of the same party.
pub struct Share<K: Eq + Hash> {
    // Given back before the party may be forgotten.
    _place: OwnedSemaphorePermit,
    _presence: Presence<K>,
}

struct Present<K> {
    places: usize,
    waiting_max: usize,
    parties: Mutex<HashMap<K, Party>>,
}

struct Party {
    places: Arc<Semaphore>,
    /// How many have a place or wait for one.
    count: usize,
}

/// Somebody who has a place or waits for one.
struct Presence<K: Eq + Hash> {
    key: Option<K>,
    present: Arc<Present<K>>,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// So many places for each, and so many more that wait.
    #[must_use]
    pub fn new(places: usize, waiting_max: usize) -> Self {
        let parties = Mutex::default();
        Self { present: Arc::new(Present { places, waiting_max, parties }) }
    }

    /// Waits for a place. None at once where too many of the same party wait already.
    pub async fn take(&self, key: K) -> Option<Share<K>> {
        let (places, presence) = self.come(key)?;
        let place = places.acquire_owned().await.ok()?;
        Some(Share { _place: place, _presence: presence })
    }

    fn come(&self, key: K) -> Option<(Arc<Semaphore>, Presence<K>)> {
        let Present { places, waiting_max, .. } = *self.present;
        let mut parties = self.present.lock();
        let party = parties
            .entry(key.clone())
            .or_insert_with(|| Party { places: Arc::new(Semaphore::new(places)), count: 0 });
        if party.count >= places.saturating_add(waiting_max) {
            return None;
        }
        party.count += 1;
        let presence = Presence { key: Some(key), present: self.present.clone() };
        Some((party.places.clone(), presence))
    }
}

impl<K: Eq + Hash> Present<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Party>> {
        // Counts are whole after each statement, whoever panicked.
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Presence<K> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        if let Entry::Occupied(mut party) = self.present.lock().entry(key) {
            party.get_mut().count -= 1;
            if party.get().count == 0 {
                party.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_party_waits_for_its_own_only() {
        let shares = Shares::new(2, 10);
        let first = shares.take("a").now_or_never().flatten().expect("a place");
        let _second = shares.take("a").now_or_never().flatten().expect("a place");
        let mut third = Box::pin(shares.take("a"));
        assert!(third.as_mut().now_or_never().is_none(), "it has its share");
        assert!(shares.take("b").now_or_never().flatten().is_some());
        drop(first);
        assert!(third.now_or_never().flatten().is_some(), "the next in line");
    }

    #[test]
    fn a_line_has_an_end() {
        let shares = Shares::new(1, 1);
        let _first = shares.take("a").now_or_never().flatten().expect("a place");
        let mut second = Box::pin(shares.take("a"));
        assert!(second.as_mut().now_or_never().is_none(), "it waits");
        assert!(shares.take("a").now_or_never().expect("at once").is_none());
        // Who gives up waiting makes room.
        drop(second);
        assert!(shares.take("a").now_or_never().is_none(), "it waits");
    }

    #[test]
    fn nothing_is_kept_of_who_is_gone() {
        let shares = Shares::new(1, 1);
        let first = shares.take(1).now_or_never().flatten();
        drop(shares.take(2).now_or_never().flatten());
        assert_eq!(shares.present.lock().len(), 1);
        drop(first);
        assert!(shares.present.lock().is_empty());
    }
}
