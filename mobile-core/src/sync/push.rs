//! The push part of a round.

use std::collections::HashSet;

use sync_protocol::ReceiptId;
use sync_protocol::wire::push::PushRequest;
use sync_protocol::wire::receipt::{Receipt, ReceiptState};

use super::{Engine, SyncReport, authorised};
use crate::CoreError;
use crate::outbox::entry::Entry;
use crate::outbox::push::{self, Chunk};
use crate::store::meta;
use crate::transport::TransportError;

/// A push in one request. Larger ones cost less each; smaller ones lose less when they are cut.
const CHUNK: Chunk = Chunk { transactions_max: 1_000, bytes_max: 1024 * 1024 };
/// Most receipts that one push says it has seen.
const SEEN_MAX: usize = 2_000;

/// Sends what waits, until nothing does.
pub(super) async fn run(engine: &Engine, report: &mut SyncReport) -> Result<(), CoreError> {
    let waiting = engine.store.read(push::is_waiting)?;
    let boot_id = engine.clock.boot_id();
    if waiting && !engine.store.read(|db| push::is_anchored(db, &boot_id))? {
        send(engine, &[], &[]).await?;
    }
    let mut answered: HashSet<ReceiptId> = HashSet::new();
    let mut chunk = CHUNK;
    loop {
        let seen = engine.store.read(|db| push::unseen(db, SEEN_MAX))?;
        let taken = engine.store.write(|db| {
            let now_us = engine.server_now_us(db)?;
            push::take(db, chunk, &answered, now_us)
        })?;
        if taken.is_empty() && seen.is_empty() {
            return Ok(());
        }
        match send(engine, &taken, &seen).await {
            Ok(receipts) => {
                answered.extend(taken.iter().map(|entry| entry.id));
                count(report, &receipts);
                chunk.transactions_max = (chunk.transactions_max * 2).min(CHUNK.transactions_max);
            }
            Err(error) => match (unreadable(error), taken.as_slice()) {
                // Not about the edits: nothing can be done by sending fewer.
                (Err(error), taken) => {
                    if provably_not_sent(&error) {
                        engine.store.write(|db| push::release(db, taken))?;
                    }
                    return Err(error);
                }
                (Ok(problem), []) => return Err(TransportError::Problem(problem).into()),
                (Ok(problem), [culprit]) => {
                    let schema = engine.store.schema();
                    engine.store.write(|db| {
                        let now_us = engine.server_now_us(db)?;
                        push::refuse_locally(db, &schema, culprit.id, *problem, now_us)
                    })?;
                    answered.insert(culprit.id);
                    report.sent += 1;
                    report.refused += 1;
                    chunk = CHUNK;
                }
                (Ok(_), taken) => {
                    // The server could not read the request, so it applied none of it.
                    engine.store.write(|db| push::release(db, taken))?;
                    chunk.transactions_max = taken.len().div_ceil(2);
                }
            },
        }
        engine.progress.send_modify(|progress| progress.sent = report.sent);
    }
}

/// One exchange, and what its answer changes.
async fn send(
    engine: &Engine,
    taken: &[Entry],
    seen: &[ReceiptId],
) -> Result<Vec<Receipt>, CoreError> {
    let stream = engine.store.write(|db| meta::stream(db, engine.random.as_ref()))?;
    let transactions = taken
        .iter()
        .map(|entry| {
            entry.to_transaction().ok_or_else(|| {
                CoreError::Stored(format!("the transaction {} has no time yet", entry.id))
            })
        })
        .collect::<Result<_, _>>()?;
    let request = PushRequest { stream, transactions, seen: seen.to_vec() };
    let before = engine.clock.read();
    let answer = authorised!(engine, |token| engine.transport.push(token, &request))?;
    let after = engine.clock.read();
    push::check_answer(taken, &answer).map_err(TransportError::Garbage)?;
    let schema = engine.store.schema();
    engine.store.write(|db| {
        push::record(db, &schema, &answer.receipts)?;
        push::told(db, seen)?;
        push::contact(db, &before, &after, answer.server_time_us)
    })?;
    Ok(answer.receipts)
}

/// The problem, if it is about the content of the request.
fn unreadable(error: CoreError) -> Result<Box<sync_protocol::problem::Problem>, CoreError> {
    match error {
        CoreError::Transport(TransportError::Problem(problem))
            if matches!(problem.status, 400 | 413 | 422) && !problem.retryable =>
        {
            Ok(problem)
        }
        other => Err(other),
    }
}

fn provably_not_sent(error: &CoreError) -> bool {
    match error {
        CoreError::Transport(error) => match error {
            TransportError::Offline { maybe_sent, .. } => !maybe_sent,
            TransportError::SessionEnded(_) => true,
            _ => false,
        },
        _ => false,
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
