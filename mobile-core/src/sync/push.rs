//! The push part of a round.

use std::collections::HashSet;

use sync_protocol::ReceiptId;
use sync_protocol::fault::{self, Point};
use sync_protocol::problem::Problem;
use sync_protocol::wire::push::{PushMark, PushRequest};
use sync_protocol::wire::receipt::{Receipt, ReceiptState};

use super::{Engine, SyncReport, authorised};
use crate::CoreError;
use crate::outbox::entry::Entry;
use crate::outbox::list::Failure;
use crate::outbox::push::{self, Chunk};
use crate::outbox::stream;
use crate::store::meta::{self, name};
use crate::transport::TransportError;

/// A push in one request. Larger ones cost less each; smaller ones lose less when they are cut.
const CHUNK: Chunk = Chunk { transactions_max: 1_000, bytes_max: 1024 * 1024 };
/// Most attempts at a quick contact in a boot that had none. On a line that is so slow all the time, edits
/// go with uncertain times.
const CONTACTS_MAX: usize = 3;
/// Most withdrawals in one push.
const WITHDRAWN_MAX: usize = 1_000;
/// Most receipts that one push says it has seen.
const SEEN_MAX: usize = 2_000;

/// Most transactions in a row that fail alone at the server before it is the server that fails.
const SKIPPED_MAX: usize = 3;
/// Most times in a round that the server may say that somebody else writes in the stream: once to draw
/// another one, more only if other processes push at the same time.
const MOVES_MAX: usize = 5;
/// Codes of a push that the server could not even read. Everything else that it says is about the
/// person, the device or the server, and refusing edits for it would lose work.
const UNREADABLE: [&str; 4] =
    ["body_too_large", "transaction_too_large", "json_too_deep", "malformed_json"];

/// Why an exchange failed.
enum Failed {
    /// No push went out, or none with a token that the server takes.
    Before(CoreError),
    /// The server (or the way to it) answered the push with it.
    Push(TransportError),
    /// The answer is here, but not stored.
    After(CoreError),
}

impl From<Failed> for CoreError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Before(error) | Failed::After(error) => error,
            Failed::Push(error) => error.into(),
        }
    }
}

/// Sends what waits, until nothing does. Returns the error of what was left out because the server
/// fails at it or cannot read it: it stays as sent, and the next round tries it again.
pub(super) async fn run(
    engine: &Engine,
    report: &mut SyncReport,
) -> Result<Option<CoreError>, CoreError> {
    let boot_id = engine.clock.boot_id();
    for _ in 0..CONTACTS_MAX {
        let waiting = engine.store.read(push::is_waiting)?;
        if !waiting || engine.store.read(|db| push::is_anchored(db, &boot_id))? {
            break;
        }
        send(engine, Load::default()).await?;
    }
    let last: Option<Failure> = engine.store.read(|db| meta::get_json(db, name::LAST_FAILURE))?;
    let mut answered: HashSet<ReceiptId> = HashSet::new();
    let mut skipped = Skipped::default();
    let mut chunk = CHUNK;
    let mut moves = 0;
    loop {
        let seen = engine.store.read(|db| push::unseen(db, SEEN_MAX))?;
        let withdraw = engine.store.read(|db| push::to_withdraw(db, WITHDRAWN_MAX))?;
        let (taken, mark) = engine.store.write(|db| {
            let now_us = engine.server_now_us(db)?;
            let taken = push::take(db, chunk, &answered, &mut skipped.ids, now_us)?;
            let random = engine.random.as_ref();
            let mark = (!taken.is_empty() || !withdraw.is_empty())
                .then(|| stream::mark(db, random))
                .transpose()?;
            if let Some(mark) = &mark {
                push::note_sending(db, &taken, mark.id)?;
            }
            Ok((taken, mark))
        })?;
        if taken.is_empty() && seen.is_empty() && withdraw.is_empty() {
            return Ok(skipped.error);
        }
        fault::reached(Point::PushTaken);
        let load = Load { taken: &taken, withdraw: &withdraw, seen: &seen, mark: mark.as_ref() };
        match send(engine, load).await {
            Ok(receipts) => {
                answered.extend(taken.iter().map(|entry| entry.id));
                count(report, &receipts);
                // What builds on an edit that has to come again may not overtake it.
                let parked = receipts.iter().filter(|r| r.state == ReceiptState::Parked);
                skipped.ids.extend(parked.map(|receipt| receipt.id));
                skipped.in_a_row = 0;
                chunk.transactions_max = (chunk.transactions_max * 2).min(CHUNK.transactions_max);
            }
            Err(Failed::Push(TransportError::Problem(problem)))
                if problem.code == "stream_moved" && moves < MOVES_MAX =>
            {
                moves += 1;
                note_move(engine, &problem)?;
                answered.clear();
            }
            Err(Failed::Push(TransportError::Problem(problem))) if is_unreadable(&problem) => {
                match taken.as_slice() {
                    [culprit] if !culprit.maybe_sent => {
                        engine.store.write(|db| {
                            let schema = engine.store.schema_in(db)?;
                            let now_us = engine.server_now_us(db)?;
                            push::refuse_locally(db, &schema, culprit.id, *problem, now_us)
                        })?;
                        answered.insert(culprit.id);
                        report.sent += 1;
                        report.refused += 1;
                        chunk = CHUNK;
                    }
                    // The server may have read it once: only its own receipt says what became of it.
                    [culprit] => {
                        tracing::warn!(id = %culprit.id, "the server cannot read this edit");
                        skipped.ids.insert(culprit.id);
                        skipped.error = Some(TransportError::Problem(problem).into());
                        chunk = CHUNK;
                    }
                    [] => return Err(TransportError::Problem(problem).into()),
                    taken => {
                        // The server could not read the request, so it applied none of it.
                        if let Some(mark) = &mark {
                            engine.store.write(|db| push::release(db, taken, mark.id))?;
                        }
                        chunk.transactions_max = taken.len().div_ceil(2);
                    }
                }
            }
            Err(Failed::Push(TransportError::Problem(problem)))
                if problem.status >= 500
                    && !taken.is_empty()
                    && (skipped.halving
                        || last.as_ref().is_some_and(|l| l.code == problem.code)) =>
            {
                skipped.halving = true;
                match taken.as_slice() {
                    [culprit] if skipped.in_a_row < SKIPPED_MAX => {
                        tracing::warn!(id = %culprit.id, "the server fails at this edit");
                        skipped.ids.insert(culprit.id);
                        skipped.in_a_row += 1;
                        skipped.error = Some(TransportError::Problem(problem).into());
                    }
                    [_] => return Err(TransportError::Problem(problem).into()),
                    taken => chunk.transactions_max = taken.len().div_ceil(2),
                }
            }
            // Not about the edits: nothing can be done by sending fewer.
            Err(failed) => {
                if is_provably_not_sent(&failed)
                    && let Some(mark) = &mark
                {
                    engine.store.write(|db| {
                        stream::not_sent(db, mark.id)?;
                        push::release(db, &taken, mark.id)
                    })?;
                }
                return Err(failed.into());
            }
        }
        engine.progress.send_modify(|progress| progress.sent = report.sent);
    }
}

/// What a round leaves out because the server fails at it again and again, or cannot read what it may have
/// read before.
#[derive(Default)]
struct Skipped {
    /// These, and what builds on them.
    ids: HashSet<ReceiptId>,
    /// How many since the last push that went well.
    in_a_row: usize,
    /// The failure has come again: look for the culprit.
    halving: bool,
    /// The last failure of one alone.
    error: Option<CoreError>,
}

/// What one push takes along.
#[derive(Clone, Copy, Default)]
struct Load<'a> {
    taken: &'a [Entry],
    withdraw: &'a [ReceiptId],
    seen: &'a [ReceiptId],
    mark: Option<&'a PushMark>,
}

/// One exchange, and what its answer changes.
async fn send(engine: &Engine, load: Load<'_>) -> Result<Vec<Receipt>, Failed> {
    let Load { taken, withdraw, seen, mark } = load;
    let stream = engine
        .store
        .write(|db| meta::stream(db, engine.random.as_ref()))
        .map_err(Failed::Before)?;
    let transactions = taken
        .iter()
        .map(|entry| {
            entry.to_transaction().ok_or_else(|| {
                CoreError::Stored(format!("the transaction {} has no time yet", entry.id))
            })
        })
        .collect::<Result<_, _>>()
        .map_err(Failed::Before)?;
    let request = PushRequest {
        stream,
        transactions,
        withdraw: withdraw.to_vec(),
        seen: seen.to_vec(),
        mark: mark.cloned(),
    };
    let before = engine.clock.read();
    let exchange = async {
        // Errors of the tokens, inside, are kept apart from those of the push.
        Ok::<_, CoreError>(
            authorised!(engine, |token| engine.transport.push(token, &request))
                .map_err(Failed::Push),
        )
    };
    let answer = exchange.await.map_err(Failed::Before)??;
    let after = engine.clock.read();
    fault::reached(Point::PushAnswered);
    push::check_answer(taken, withdraw, &answer)
        .map_err(|text| Failed::Push(TransportError::Garbage(text)))?;
    engine
        .store
        .write(|db| {
            let schema = engine.store.schema_in(db)?;
            push::record(db, &schema, &answer.withdrawn)?;
            push::record(db, &schema, &answer.receipts)?;
            if let Some(mark) = mark {
                stream::answered(db, mark.id)?;
            }
            push::told(db, seen)?;
            push::forget_content(db, answer.server_time_us)?;
            push::contact(db, &before, &after, answer.server_time_us)
        })
        .map_err(Failed::After)?;
    Ok(answer.receipts)
}

/// The server has seen another push of this stream last.
fn note_move(engine: &Engine, problem: &Problem) -> Result<(), CoreError> {
    let last = problem.more.get("last_push").and_then(|id| id.as_str()?.parse().ok());
    let random = engine.random.as_ref();
    if let Some(stream) = engine.store.write(|db| stream::moved(db, random, last))? {
        tracing::warn!(%stream, "this database is a copy: it goes on with a stream of its own");
    }
    Ok(())
}

fn is_unreadable(problem: &Problem) -> bool {
    UNREADABLE.contains(&problem.code.as_str())
}

fn is_provably_not_sent(failed: &Failed) -> bool {
    match failed {
        Failed::Before(_) | Failed::Push(TransportError::SessionEnded(_)) => true,
        Failed::Push(TransportError::Offline { maybe_sent, .. }) => !maybe_sent,
        Failed::Push(_) | Failed::After(_) => false,
    }
}

fn count(report: &mut SyncReport, receipts: &[Receipt]) {
    for receipt in receipts {
        report.sent += 1;
        match receipt.state {
            ReceiptState::Applied => report.applied += 1,
            ReceiptState::Superseded => report.superseded += 1,
            ReceiptState::InReview => report.in_review += 1,
            ReceiptState::Refused => report.refused += 1,
            ReceiptState::Parked => report.parked += 1,
            ReceiptState::HandedOver | ReceiptState::Discarded => {}
        }
    }
}
