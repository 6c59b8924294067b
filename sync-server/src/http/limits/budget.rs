//! Budgets of memory for what waits on clients: bodies on their way, answers that are not read.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

use super::Party;

/// What is smaller is not counted, in bytes: a connection costs about as much.
pub const UNCOUNTED_BYTES_MAX: usize = 16 * 1024;

/// So many bytes for each party, and so many for all together.
pub struct Budget {
    each_bytes_max: usize,
    all_bytes_max: usize,
    spent: Arc<Mutex<Spent>>,
}

#[derive(Default)]
struct Spent {
    all: usize,
    by: HashMap<Party, usize>,
}

/// Bytes of a budget, given back when this is dropped.
pub struct Held {
    party: Party,
    bytes: usize,
    spent: Arc<Mutex<Spent>>,
}

impl Budget {
    /// Nothing is spent.
    #[must_use]
    pub fn new(each_bytes_max: usize, all_bytes_max: usize) -> Self {
        Self { each_bytes_max, all_bytes_max, spent: Arc::default() }
    }

    /// Takes bytes; none where that is too much at this moment.
    #[must_use]
    pub fn take(&self, party: Party, bytes: usize) -> Option<Held> {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let own = spent.by.get(&party).copied().unwrap_or(0);
        // Alone it may always go: a single thing that is larger than the budget has to pass as well.
        let fits = own == 0 || own + bytes <= self.each_bytes_max;
        let all_fit = spent.all == 0 || spent.all + bytes <= self.all_bytes_max;
        if !(fits && all_fit) {
            return None;
        }
        spent.all += bytes;
        spent.by.insert(party, own + bytes);
        Some(Held { party, bytes, spent: self.spent.clone() })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.all -= self.bytes;
        let own = spent.by.get(&self.party).map_or(0, |own| own - self.bytes);
        match own {
            0 => drop(spent.by.remove(&self.party)),
            own => drop(spent.by.insert(self.party, own)),
        }
    }
}

/// An answer that holds bytes of a budget until it was read.
pub struct Counted {
    body: Body,
    _held: Held,
}

impl Counted {
    /// The same body.
    #[must_use]
    pub fn new(body: Body, held: Held) -> Self {
        Self { body, _held: held }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use sync_protocol::TenantId;
    use uuid::Uuid;

    use super::*;

    fn party(number: u128) -> Party {
        Party::Tenant(TenantId(Uuid::from_u128(number)))
    }

    #[test]
    fn each_has_a_budget_and_all_have_one() {
        let budget = Budget::new(10, 15);
        let first = budget.take(party(1), 6).expect("it fits");
        assert!(budget.take(party(1), 6).is_none(), "its own is spent");
        let _second = budget.take(party(2), 6).expect("another's");
        assert!(budget.take(party(3), 6).is_none(), "all is spent");
        drop(first);
        assert!(budget.take(party(3), 6).is_some());
    }

    #[test]
    fn one_thing_may_always_go() {
        let budget = Budget::new(10, 15);
        let large = budget.take(party(1), 100);
        assert!(large.is_some());
        assert!(budget.take(party(1), 1).is_none());
        drop(large);
        assert!(budget.spent.lock().expect("whole").by.is_empty(), "nothing is kept");
    }
}
