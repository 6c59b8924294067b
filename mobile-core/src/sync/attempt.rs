//! One attempt to push: what it takes along, noted as sent before it goes, and what its answer changes.
//!
//! The database's part of it is a [`Desk`], which can be taken to another thread: while one attempt is at
//! the server, what the one before brought is stored and the next one is prepared, in one transaction.
//!
//! ```text
//! server            ├── A ──────┤├── B ──────┤├── C ──────┤
//! this database  A,│          B │ a,       C │ b,       D │ c, …      prepared: A; stored: a
//! ```
//!
//! What is prepared early must be what would be taken after the answer. So nothing is where an answer can
//! change that: beside withdrawals, and beside transactions that a round leaves out. And what was
//! prepared is taken back when the answer is not a [plain](is_plain) one. A process that ends meanwhile
//! has noted transactions as sent that never were, which costs nothing: they are sent again by their ids.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::Connection;
use sync_protocol::ReceiptId;
use sync_protocol::wire::push::{PushAnswer, PushMark, PushRequest};
use sync_protocol::wire::receipt::{Receipt, ReceiptState};

use crate::CoreError;
use crate::clock::{Clock, Reading};
use crate::outbox::entry::Entry;
use crate::outbox::push::{self, Chunk, Sent, Taken};
use crate::outbox::stream;
use crate::random::Random;
use crate::store::Store;
use crate::sync::server_now_us;

/// Most withdrawals in one push.
const WITHDRAWN_MAX: usize = 1_000;
/// Most receipts that one push says it has seen.
const SEEN_MAX: usize = 2_000;

/// What an attempt takes along.
pub(super) struct Attempt {
    /// The transactions of the request, as they were before they were noted as sent.
    pub taken: Vec<Sent>,
    /// Draws nothing where the attempt changes nothing at the server but what it has seen.
    pub mark: Option<PushMark>,
    /// As it goes.
    pub request: PushRequest,
    /// More waits than it takes along.
    pub more: bool,
}

impl Attempt {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        let PushRequest { transactions, withdraw, seen, .. } = &self.request;
        transactions.is_empty() && withdraw.is_empty() && seen.is_empty()
    }
}

/// An attempt with its answer, to be stored.
pub(super) struct Answered {
    pub attempt: Attempt,
    pub answer: PushAnswer,
    /// The clocks before and after the exchange.
    pub read: (Reading, Reading),
}

/// Which transactions an attempt takes.
pub(super) struct Choice {
    /// Its limits.
    pub chunk: Chunk,
    /// Those that this round has had an answer for, or waits for one.
    pub answered: HashSet<ReceiptId>,
    /// Those that this round leaves out; what builds on them is added.
    pub skipped: HashSet<ReceiptId>,
}

/// What attempts need of the device.
#[derive(Clone)]
pub(super) struct Desk {
    pub store: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl Desk {
    /// Chooses what goes next, and notes it as sent.
    pub fn prepare(&self, choice: &mut Choice) -> Result<Attempt, CoreError> {
        self.store.write(|db| self.prepare_in(db, choice, &[]))
    }

    /// An attempt that only makes contact.
    pub fn contact(&self) -> Result<Attempt, CoreError> {
        let stream = self.store.write(|db| stream::own(db, self.random.as_ref()))?;
        Ok(Attempt {
            taken: Vec::new(),
            mark: None,
            request: PushRequest {
                stream,
                transactions: Vec::new(),
                withdraw: Vec::new(),
                seen: Vec::new(),
                mark: None,
            },
            more: false,
        })
    }

    /// Stores what an attempt brought, and prepares the one after that which is at the server.
    pub fn store_and_prepare(
        &self,
        answered: Option<&Answered>,
        at_server: Option<&PushRequest>,
        choice: &mut Choice,
    ) -> Result<Option<Attempt>, CoreError> {
        self.store.write(|db| {
            if let Some(answered) = answered {
                self.store_in(db, answered)?;
            }
            let Some(at_server) = at_server else { return Ok(None) };
            let early = choice.skipped.is_empty()
                && at_server.withdraw.is_empty()
                && push::to_withdraw(db, 1)?.is_empty();
            if !early {
                return Ok(None);
            }
            let attempt = self.prepare_in(db, choice, &at_server.seen)?;
            Ok((!attempt.is_empty()).then_some(attempt))
        })
    }

    /// Stores what an attempt brought.
    pub fn store(&self, answered: &Answered) -> Result<(), CoreError> {
        self.store.write(|db| self.store_in(db, answered))
    }

    /// Takes an attempt back that provably did not reach the server.
    pub fn take_back(&self, attempt: &Attempt) -> Result<(), CoreError> {
        let Some(mark) = &attempt.mark else { return Ok(()) };
        self.store.write(|db| {
            stream::not_sent(db, mark.id)?;
            push::release(db, &attempt.taken, mark.id)
        })
    }

    fn prepare_in(
        &self,
        db: &Connection,
        choice: &mut Choice,
        seen_at_server: &[ReceiptId],
    ) -> Result<Attempt, CoreError> {
        let random = self.random.as_ref();
        let seen = push::unseen(db, seen_at_server.len() + SEEN_MAX)?;
        let told: HashSet<&ReceiptId> = seen_at_server.iter().collect();
        let seen = seen.into_iter().filter(|id| !told.contains(id)).take(SEEN_MAX).collect();
        let withdraw = push::to_withdraw(db, WITHDRAWN_MAX)?;
        let now_us = server_now_us(db, self.clock.as_ref())?;
        let Choice { chunk, answered, skipped } = choice;
        let Taken { entries, more } = push::take(db, *chunk, answered, skipped, now_us)?;
        let taken: Vec<Sent> = entries.iter().map(Sent::from).collect();
        let mark = (!taken.is_empty() || !withdraw.is_empty())
            .then(|| stream::mark(db, random))
            .transpose()?;
        if let Some(mark) = &mark {
            push::note_sending(db, &taken, mark.id)?;
        }
        let transaction = |entry: Entry| {
            let id = entry.id;
            let undated = || CoreError::Stored(format!("the transaction {id} has no time yet"));
            entry.into_transaction().ok_or_else(undated)
        };
        let transactions = entries.into_iter().map(transaction).collect::<Result<_, _>>()?;
        let stream = stream::own(db, random)?;
        let request = PushRequest { stream, transactions, withdraw, seen, mark: mark.clone() };
        Ok(Attempt { taken, mark, request, more })
    }

    fn store_in(&self, db: &Connection, answered: &Answered) -> Result<(), CoreError> {
        let Answered { attempt, answer, read: (before, after) } = answered;
        let schema = self.store.schema_in(db)?;
        push::record(db, &schema, &answer.withdrawn)?;
        push::record(db, &schema, &answer.receipts)?;
        if let Some(mark) = &attempt.mark {
            stream::answered(db, mark.id)?;
        }
        push::told(db, &attempt.request.seen)?;
        push::forget_content(db, answer.server_time_us)?;
        push::contact(db, before, after, answer.server_time_us)
    }
}

/// Whether these receipts leave everything else in the outbox as it is: nothing is parked because of them,
/// and nothing has to come again before what follows.
pub(super) fn is_plain(receipts: &[Receipt]) -> bool {
    receipts.iter().all(|receipt| {
        !receipt.held
            && matches!(
                receipt.state,
                ReceiptState::Applied | ReceiptState::Superseded | ReceiptState::InReview
            )
    })
}
