//! The push part of a round: [attempts](attempt) one after another, until nothing waits.

use std::collections::HashSet;
use std::sync::Arc;

use sync_protocol::fault::{self, Point};
use sync_protocol::problem::Problem;
use sync_protocol::wire::push::{PushAnswer, PushRequest};
use sync_protocol::wire::receipt::{Receipt, ReceiptState};
use tokio::sync::OwnedMutexGuard;

use super::attempt::{self, Answered, Attempt, Choice};
use super::{Engine, SyncReport, authorised};
use crate::CoreError;
use crate::clock::Reading;
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
}

impl From<Failed> for CoreError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Before(error) => error,
            Failed::Push(error) => error.into(),
        }
    }
}

/// Sends what waits, until nothing does. Returns the error of what was left out because the server
/// fails at it or cannot read it: it stays as sent, and the next round tries it again.
pub(super) async fn run(
    engine: &Engine,
    report: &mut SyncReport,
    running: &Arc<OwnedMutexGuard<()>>,
) -> Result<Option<CoreError>, CoreError> {
    let desk = engine.desk();
    let boot_id = engine.clock.boot_id();
    for _ in 0..CONTACTS_MAX {
        let waiting = engine.store.read(push::is_waiting)?;
        if !waiting || engine.store.read(|db| push::is_anchored(db, &boot_id))? {
            break;
        }
        let attempt = desk.contact()?;
        let (answer, read) = exchange(engine, &attempt).await?;
        desk.store(&Answered { attempt, answer, read })?;
    }
    let last: Option<Failure> = engine.store.read(|db| meta::get_json(db, name::LAST_FAILURE))?;
    let mut choice = Choice { chunk: CHUNK, answered: HashSet::new(), skipped: HashSet::new() };
    let mut skipped = Skipped::default();
    let mut moves = 0;
    // Answered by the server, and not stored yet; and prepared meanwhile.
    let (mut former, mut prepared) = (None, None);
    loop {
        let current = match prepared.take() {
            Some(current) => current,
            None => {
                if let Some(answered) = former.take() {
                    desk.store(&answered)?;
                }
                desk.prepare(&mut choice)?
            }
        };
        if current.is_empty() {
            return Ok(skipped.error);
        }
        fault::reached(Point::PushTaken);
        choice.answered.extend(current.taken.iter().map(|entry| entry.id));
        let at_server;
        (at_server, prepared, choice) =
            meanwhile(engine, running, current, former.take(), choice).await?;
        let AtServer { attempt: current, outcome } = at_server;
        if outcome.is_err() {
            for entry in &current.taken {
                choice.answered.remove(&entry.id);
            }
        }
        let plain = outcome.as_ref().is_ok_and(|(answer, _)| attempt::is_plain(&answer.receipts));
        if !plain && let Some(early) = prepared.take() {
            desk.take_back(&early)?;
        }
        let Attempt { taken, mark, .. } = &current;
        match outcome {
            Ok((answer, read)) => {
                let receipts = &answer.receipts;
                count(report, receipts);
                // What builds on an edit that has to come again may not overtake it.
                let parked = receipts.iter().filter(|r| r.state == ReceiptState::Parked);
                choice.skipped.extend(parked.map(|receipt| receipt.id));
                skipped.in_a_row = 0;
                let chunk = &mut choice.chunk;
                chunk.transactions_max = (chunk.transactions_max * 2).min(CHUNK.transactions_max);
                former = Some(Answered { attempt: current, answer, read });
            }
            Err(Failed::Push(TransportError::Problem(problem)))
                if problem.code == "stream_moved" && moves < MOVES_MAX =>
            {
                moves += 1;
                note_move(engine, &problem)?;
                choice.answered.clear();
            }
            Err(Failed::Push(TransportError::Problem(problem))) if is_unreadable(&problem) => {
                match taken.as_slice() {
                    [culprit] if !culprit.maybe_sent => {
                        engine.store.write(|db| {
                            let schema = engine.store.schema_in(db)?;
                            let now_us = engine.server_now_us(db)?;
                            push::refuse_locally(db, &schema, culprit.id, *problem, now_us)
                        })?;
                        choice.answered.insert(culprit.id);
                        report.sent += 1;
                        report.refused += 1;
                        choice.chunk = CHUNK;
                    }
                    // The server may have read it once: only its own receipt says what became of it.
                    [culprit] => {
                        tracing::warn!(id = %culprit.id, "the server cannot read this edit");
                        choice.skipped.insert(culprit.id);
                        skipped.error = Some(TransportError::Problem(problem).into());
                        choice.chunk = CHUNK;
                    }
                    [] => return Err(TransportError::Problem(problem).into()),
                    taken => {
                        // The server could not read the request, so it applied none of it.
                        if let Some(mark) = &mark {
                            engine.store.write(|db| push::release(db, taken, mark.id))?;
                        }
                        choice.chunk.transactions_max = taken.len().div_ceil(2);
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
                        choice.skipped.insert(culprit.id);
                        skipped.in_a_row += 1;
                        skipped.error = Some(TransportError::Problem(problem).into());
                    }
                    [_] => return Err(TransportError::Problem(problem).into()),
                    taken => choice.chunk.transactions_max = taken.len().div_ceil(2),
                }
            }
            // Not about the edits: nothing can be done by sending fewer.
            Err(failed) => {
                if is_provably_not_sent(&failed) {
                    desk.take_back(&current)?;
                }
                return Err(failed.into());
            }
        }
        engine.progress.send_modify(|progress| progress.sent = report.sent);
    }
}

/// About what a round leaves out because the server fails at it again and again, or cannot read what it
/// may have read before.
#[derive(Default)]
struct Skipped {
    /// How many since the last push that went well.
    in_a_row: usize,
    /// The failure has come again: look for the culprit.
    halving: bool,
    /// The last failure of one alone.
    error: Option<CoreError>,
}

/// An attempt, and how its exchange went.
struct AtServer {
    attempt: Attempt,
    outcome: Result<(PushAnswer, (Reading, Reading)), Failed>,
}

/// One exchange; while it lasts, what the one before brought is stored and, where more waits, the next one
/// prepared. When a round is given up, that goes on to its end with the round's lock in hand.
async fn meanwhile(
    engine: &Engine,
    running: &Arc<OwnedMutexGuard<()>>,
    attempt: Attempt,
    former: Option<Answered>,
    mut choice: Choice,
) -> Result<(AtServer, Option<Attempt>, Choice), CoreError> {
    // What is halved is gone about step by step.
    let early = attempt.more && choice.chunk == CHUNK;
    if former.is_none() && !early {
        let outcome = exchange(engine, &attempt).await;
        return Ok((AtServer { attempt, outcome }, None, choice));
    }
    let attempt = Arc::new(attempt);
    let beside = {
        let (desk, attempt, running) = (engine.desk(), Arc::clone(&attempt), Arc::clone(running));
        move || {
            let at_server = early.then_some(&attempt.request);
            let next = desk.store_and_prepare(former.as_ref(), at_server, &mut choice);
            drop(running);
            next.map(|next| (next, choice))
        }
    };
    // It begins when the request is on its way, which has to read the database first.
    let (outcome, beside) = tokio::join!(biased; exchange(engine, &attempt), async {
        tokio::task::spawn_blocking(beside).await
    });
    let (next, choice) = beside
        .map_err(|error| CoreError::Stored(format!("the task beside a push ended: {error}")))??;
    let attempt = Arc::into_inner(attempt)
        .ok_or_else(|| CoreError::Stored("an attempt that is still in use".to_owned()))?;
    Ok((AtServer { attempt, outcome }, next, choice))
}

/// Sends an attempt, and checks its answer.
async fn exchange(
    engine: &Engine,
    attempt: &Attempt,
) -> Result<(PushAnswer, (Reading, Reading)), Failed> {
    let request: &PushRequest = &attempt.request;
    let before = engine.clock.read();
    let exchange = async {
        // Errors of the tokens, inside, are kept apart from those of the push.
        Ok::<_, CoreError>(
            authorised!(engine, |token| engine.transport.push(token, request))
                .map_err(Failed::Push),
        )
    };
    let answer = exchange.await.map_err(Failed::Before)??;
    let after = engine.clock.read();
    fault::reached(Point::PushAnswered);
    push::check_answer(&attempt.taken, &request.withdraw, &answer)
        .map_err(|text| Failed::Push(TransportError::Garbage(text)))?;
    Ok((answer, (before, after)))
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
        Failed::Push(_) => false,
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
