//! Push: from transactions of edits to receipts (DESIGN 4).
//!
//! The life of a push:
//!
//! 1. **Chunks** ([`chunk`]): the transactions are cut, in order, into chunks in which no two
//!    touch the same row, parent or natural key. A chunk is one database transaction, so what one
//!    chunk decided is committed before the next looks at it.
//! 2. **Known receipts**: a transaction that the server has settled gets its receipt again; the
//!    same id with other content is refused and changes nothing. So are [repetitions](repeated) within
//!    one push, all of them at its end.
//! 3. **Check** ([`check`], pure): names, types, limits and permissions of every mutation.
//! 4. **Load** ([`load`]): the rows of the chunk, locked in key order, and what they refer to.
//! 5. **Decide** ([`decide`], pure): merge rules, visibility, conflicts → what to write.
//! 6. **Apply** ([`apply`]): set statements, receipts, conflicts, one commit. An error of the
//!    tables' own constraints undoes the chunk, which is then done again one transaction at a time
//!    under savepoints, so that only the culprit is refused.
//!
//! What a device [takes back](withdraw) is settled before all that.
//!
//! Until the commit nothing is visible; after it every transaction of the chunk has its receipt.
//! A passing failure (busy, deadlock) changes nothing and the chunk is tried again; when it
//! persists the push fails as a whole with `busy`, and the chunks before it stay settled. A row that
//! another session holds for long is no such failure: the transactions that need it are answered
//! `busy` each, to be sent again, and the others go on ([`patience`]).

mod alias;
mod apply;
mod check;
mod children;
mod chunk;
mod claims;
mod conflict;
mod decide;
mod held;
mod known;
mod load;
mod make;
mod outcome;
mod patience;
mod progress;
mod repeated;
mod rows;
mod seen;
mod surroundings;
mod wanted;
mod withdraw;

use std::time::Duration;

use sync_protocol::fault::{self, Point};
use sync_protocol::limits::{PUSH_AFTER_MAX, PUSH_TRANSACTIONS_MAX, TRANSACTION_MUTATIONS_MAX};
use sync_protocol::problem::Problem;
use sync_protocol::wire::push::{PushAnswer, PushRequest};
use sync_protocol::{PushId, StreamId};

use crate::auth::caller::Caller;
use crate::clock::Clock;
use crate::store::{Store, StoreError};
use crate::stream;
use progress::Progress;
use repeated::Apart;

pub(crate) use children::in_the_way;
pub(crate) use conflict::row_in_json;
pub(crate) use held::release;
pub(crate) use make::{Making, make};
pub(crate) use outcome::{constraint_problem, state_of};
pub(crate) use wanted::composed;

/// How often a chunk is tried again after a passing failure.
const PASSING_RETRIES_MAX: u32 = 5;
/// Pause before the first of those, doubled each time.
const PASSING_RETRY_PAUSE: Duration = Duration::from_millis(20);

/// What a push works with.
#[derive(Clone, Copy)]
pub struct PushContext<'a> {
    /// The database.
    pub store: &'a dyn Store,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Who pushes.
    pub caller: &'a Caller,
}

/// Settles the transactions of a push and answers their receipts, in the order of the request.
///
/// # Errors
/// `too_many_transactions` and `device_required` before anything is done; `busy` (retryable) or
/// `storage_failed` after some chunks, whose transactions answer their receipts when sent again.
pub async fn push(
    context: PushContext<'_>,
    mut request: PushRequest,
) -> Result<PushAnswer, Problem> {
    let device = context.caller.device.ok_or_else(|| {
        Problem::new(403, "device_required", "Only a registered device can push")
            .detail("log in with a device id and use the token of that session")
    })?;
    if request.transactions.len() + request.withdraw.len() > PUSH_TRANSACTIONS_MAX {
        return Err(Problem::new(
            413,
            "too_many_transactions",
            "Too many transactions in one push",
        )
        .detail(format!(
            "at most {PUSH_TRANSACTIONS_MAX}, but {} came; send them in several pushes",
            request.transactions.len() + request.withdraw.len()
        )));
    }
    if let Some(large) =
        request.transactions.iter().find(|t| t.mutations.len() > TRANSACTION_MUTATIONS_MAX)
    {
        return Err(Problem::new(413, "transaction_too_large", "A transaction is too large")
            .detail(format!(
                "transaction {} has {} mutations, at most {TRANSACTION_MUTATIONS_MAX} are allowed",
                large.id,
                large.mutations.len()
            )));
    }
    let transactions = Apart::new(std::mem::take(&mut request.transactions));
    let mark = request.mark.as_ref();
    if mark.is_some_and(|mark| mark.after.len() > PUSH_AFTER_MAX) {
        return Err(Problem::new(413, "too_many_attempts", "A push names too many earlier ones")
            .detail(format!("at most {PUSH_AFTER_MAX}; leave out the oldest")));
    }
    let schema = context.store.schema().clone();
    let sender = apply::Sender { context, device, stream: request.stream, mark };
    refuse_foreign_stream(context, request.stream).await?;
    let withdrawn = match request.withdraw.as_slice() {
        [] => Vec::new(),
        ids => {
            let mut retries = Retries::default();
            loop {
                match withdraw::withdraw(sender, ids).await {
                    Ok(withdrawn) => break withdrawn,
                    Err(failed) => retries.after(failed).await?,
                }
            }
        }
    };
    let mut receipts = Vec::with_capacity(transactions.firsts.len());
    let mut progress = Progress::default();
    for chunk in chunk::split(&schema, &transactions.firsts) {
        let mut retries = Retries::default();
        let settled = loop {
            match apply::chunk(sender, chunk, &mut progress).await {
                Ok(settled) => break settled,
                Err(failed) => retries.after(failed).await?,
            }
        };
        receipts.extend(settled);
        fault::reached(Point::ChunkSettled);
    }
    if !transactions.repeated.is_empty() {
        let mut retries = Retries::default();
        let repeated = loop {
            match repeated::answer(sender, &transactions.repeated, &progress).await {
                Ok(repeated) => break repeated,
                Err(failed) => retries.after(failed).await?,
            }
        };
        receipts = transactions.in_order(receipts, repeated);
    }
    fault::reached(Point::PushSettled);
    if !request.seen.is_empty() {
        mark_seen(context, &request).await?;
    }
    Ok(PushAnswer { receipts, withdrawn, server_time_us: context.clock.now_us() })
}

/// How often a database transaction is tried again after passing failures.
struct Retries {
    pause: Duration,
    left: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { pause: PASSING_RETRY_PAUSE, left: PASSING_RETRIES_MAX }
    }
}

impl Retries {
    /// Waits for the next try, or answers why there is none.
    async fn after(&mut self, failed_with: apply::Failed) -> Result<(), Problem> {
        match failed_with {
            apply::Failed::Store(error) if error.is_passing() && self.left > 0 => {
                tracing::debug!(%error, "it is tried again");
                tokio::time::sleep(self.pause).await;
                self.pause *= 2;
                self.left -= 1;
                Ok(())
            }
            apply::Failed::Store(error) => Err(failed(&error)),
            apply::Failed::StreamMoved(last) => Err(stream_moved(last)),
        }
    }
}

fn stream_moved(last: PushId) -> Problem {
    let mut problem = Problem::new(409, "stream_moved", "Another database writes in this stream")
        .detail(
            "its last push (`more.last_push`) is none that this one follows: if this database did \
             not make it, it is a copy; draw a new stream and send what is not settled again",
        );
    problem.more.insert("last_push".to_owned(), last.to_string().into());
    problem
}

async fn refuse_foreign_stream(context: PushContext<'_>, given: StreamId) -> Result<(), Problem> {
    if !stream::is_devices(given) {
        return Err(stream::foreign());
    }
    let foreign = async {
        let mut tx = context.store.read(context.caller.tenant).await?;
        stream::is_foreign(tx.as_mut(), context.caller, given).await
    };
    match foreign.await {
        Ok(false) => Ok(()),
        Ok(true) => Err(stream::foreign()),
        Err(error) => Err(failed(&error)),
    }
}

async fn mark_seen(context: PushContext<'_>, request: &PushRequest) -> Result<(), Problem> {
    let seen = async {
        let mut tx = context.store.write(context.caller.tenant, request.stream).await?;
        tx.mark_seen(request.stream, &request.seen).await?;
        tx.commit().await
    };
    seen.await.map_err(|error: StoreError| failed(&error))
}

/// The problem document for a failure that is nobody's edit's fault.
pub(crate) fn failed(error: &StoreError) -> Problem {
    match error {
        StoreError::Busy(_) | StoreError::Locked(_) => {
            tracing::warn!(%error, "busy");
            Problem::new(503, "busy", "The server is busy")
                .detail("send the same again")
                .retryable()
        }
        StoreError::Storage(_) => {
            tracing::error!(%error, "storage failed");
            Problem::new(507, "storage_failed", "The server's storage failed")
                .detail("nothing that was confirmed is lost; send the same again later")
                .retryable()
        }
        _ => {
            tracing::error!(%error, "internal");
            Problem::new(500, "internal", "The server failed")
                .detail("send the same again later")
                .retryable()
        }
    }
}
