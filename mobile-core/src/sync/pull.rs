//! The pull part of a round: one task receives pages, another applies them.

use std::collections::BTreeSet;
use std::sync::Arc;

use sync_protocol::fault::{self, Point};
use sync_protocol::wire::pull::{PullPage, PullRequest};
use tokio::sync::{OwnedMutexGuard, mpsc, watch};

use super::{Engine, Progress, SyncReport, authorised, push};
use crate::CoreError;
use crate::outbox::push::SENT_AGAIN_US;
use crate::outbox::stream;
use crate::pull::{self, Applied};
use crate::store::Store;
use crate::store::meta::{self, name};
use crate::transport::{OfflineReason, PageSink, TransportError};
use crate::verify::{checkpoint, damage, repair};

/// Pages that may wait to be applied; each is held in memory.
const PAGES_WAITING_MAX: usize = 1;
/// Most streams in one round: far more than a long first sync over a bad line needs, and an end to a
/// server that never reaches a checkpoint.
const STREAMS_MAX: usize = 10_000;

/// How often a round begins anew because the server does not take its cursor: somebody's role may change
/// again meanwhile.
const BEGUN_ANEW_MAX: usize = 3;

/// How often what differs is narrowed down to rows before everything is brought anew.
const COMPARISONS_MAX: usize = 2;

/// Fetches until the tables stand at a checkpoint, and repairs what is not as the server says there.
/// `left_out` is why the push left something out.
pub(super) async fn run(
    engine: &Engine,
    report: &mut SyncReport,
    left_out: &mut Option<CoreError>,
    running: &Arc<OwnedMutexGuard<()>>,
) -> Result<(), CoreError> {
    let mut comparisons = 0;
    let mut rows_left = i64::MAX;
    loop {
        to_checkpoint(engine, report, left_out, running).await?;
        let to_repair = repair::to_repair(engine)?;
        if !to_repair.suspects && to_repair.rows == 0 {
            return Ok(());
        }
        let few = to_repair.rows <= i64::try_from(repair::REFETCH_MAX).unwrap_or(i64::MAX);
        if to_repair.rows > 0 && to_repair.rows < rows_left && few {
            // The next pull asks for them, or for as many as one may.
            rows_left = to_repair.rows;
            continue;
        }
        rows_left = i64::MAX;
        comparisons += 1;
        if few && comparisons <= COMPARISONS_MAX {
            match repair::look(engine).await? {
                // They are the same by now; the next digests tell.
                0 => return engine.store.write(|db| checkpoint::give_up(db)),
                differing if differing <= repair::REFETCH_MAX => continue,
                _ => {}
            }
        }
        if !engine.store.write(|db| checkpoint::may_begin_anew(db))? {
            tracing::warn!("what is here is not what the server counts");
            return engine.store.write(|db| checkpoint::give_up(db));
        }
        pull::begin_anew(&engine.store, None)?;
        comparisons = COMPARISONS_MAX;
    }
}

/// Fetches until the tables stand at a checkpoint.
async fn to_checkpoint(
    engine: &Engine,
    report: &mut SyncReport,
    left_out: &mut Option<CoreError>,
    running: &Arc<OwnedMutexGuard<()>>,
) -> Result<(), CoreError> {
    let mut begun_anew = 0;
    let expected = engine.store.read(stream::untold)?;
    for _ in 0..STREAMS_MAX {
        let stream = one_stream(engine, report, running).await;
        match stream {
            Ok(Some(last)) if last.complete => return note_untold(engine, &expected),
            Ok(Some(_)) => {}
            Ok(None) => {
                let text = "the server ended a pull without a page".to_owned();
                return Err(TransportError::Garbage(text).into());
            }
            Err(Stopped { error, .. })
                if begun_anew < BEGUN_ANEW_MAX && cursor_is_useless(&error) =>
            {
                tracing::warn!(code = error.code(), "the cursor is useless: beginning anew");
                begun_anew += 1;
                fault::reached(Point::CursorUseless);
                if error.code() == "cursor_history_ended" {
                    let now_us = engine.store.read(|db| engine.server_now_us(db))?;
                    pull::begin_anew(&engine.store, Some(now_us - SENT_AGAIN_US))?;
                    // Before the rows, so that they come with what the server had lost.
                    let more_left_out = push::run(engine, report, running).await?;
                    *left_out = left_out.take().or(more_left_out);
                } else {
                    pull::begin_anew(&engine.store, None)?;
                }
            }
            // What came is durable, and a new attempt goes on from there.
            Err(Stopped { error, pages }) if pages > 0 && is_cut(&error) => {}
            Err(Stopped { error, .. }) => return Err(error),
        }
    }
    Err(TransportError::Garbage("the server never reaches a checkpoint".to_owned()).into())
}

/// What the server takes for told, and nobody told this database, is asked about with the next push.
fn note_untold(engine: &Engine, expected: &BTreeSet<String>) -> Result<(), CoreError> {
    let random = engine.random.as_ref();
    if let Some(stream) = engine.store.write(|db| stream::told(db, random, expected))? {
        tracing::warn!(%stream, "this database is an older copy: it goes on with a stream of its own");
    }
    Ok(())
}

/// A stream that did not end well, and how many of its pages were applied.
struct Stopped {
    error: CoreError,
    pages: usize,
}

impl<E: Into<CoreError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self { error: error.into(), pages: 0 }
    }
}

async fn one_stream(
    engine: &Engine,
    report: &mut SyncReport,
    running: &Arc<OwnedMutexGuard<()>>,
) -> Result<Option<Applied>, Stopped> {
    let stream = engine.store.write(|db| stream::own(db, engine.random.as_ref()))?;
    let request = engine.store.read(|db| {
        let schema = meta::get(db, name::SCHEMA)?;
        Ok(PullRequest {
            cursor: meta::get(db, name::CURSOR)?,
            // Where the schema itself is lost, it comes again.
            schema_hash: schema.and(meta::get(db, name::SCHEMA_HASH)?),
            digests: checkpoint::is_due(db)?,
            // A first pull brings everything.
            refetch: match meta::get(db, name::CURSOR)? {
                Some(_) => damage::to_refetch(db, &*engine.store.schema_in(db)?)?,
                None => Vec::new(),
            },
            ..PullRequest::new(stream)
        })
    })?;
    let cursor = request.cursor.clone();
    let (sender, pages) = mpsc::channel(PAGES_WAITING_MAX);
    let applier = tokio::task::spawn_blocking({
        let store = Arc::clone(&engine.store);
        let progress = engine.progress.clone();
        let running = Arc::clone(running);
        move || {
            let outcome = apply_all(&store, pages, cursor, &progress);
            drop(running);
            outcome
        }
    });
    let mut sink = Channel(sender);
    // Inside, so that an error of the tokens does not leave the applier behind, which holds the round.
    let exchange =
        async { authorised!(engine, |token| engine.transport.pull(token, &request, &mut sink)) };
    let streamed = exchange.await;
    drop(sink);
    let outcome = applier.await.map_err(|error| {
        CoreError::Stored(format!("the task that applies pages ended: {error}"))
    })?;
    report.rows += outcome.rows;
    report.exits += outcome.exits;
    report.settled += outcome.settled;
    report.differing += outcome.differing;
    let pages = outcome.pages;
    // An error of the database explains why the stream was stopped, not the other way round.
    match (outcome.error, streamed) {
        (Some(error), _) | (None, Err(error)) => Err(Stopped { error, pages }),
        (None, Ok(())) => Ok(outcome.last),
    }
}

#[derive(Default)]
struct Outcome {
    pages: usize,
    rows: u64,
    exits: u64,
    settled: u64,
    differing: u64,
    last: Option<Applied>,
    error: Option<CoreError>,
}

fn apply_all(
    store: &Store,
    mut pages: mpsc::Receiver<PullPage>,
    mut cursor: Option<String>,
    progress: &watch::Sender<Progress>,
) -> Outcome {
    let mut outcome = Outcome::default();
    while let Some(page) = pages.blocking_recv() {
        fault::reached(Point::PageArrived);
        match pull::apply(store, &page, cursor.as_deref()) {
            Ok(applied) => {
                outcome.pages += 1;
                outcome.rows += applied.rows;
                outcome.exits += applied.exits;
                outcome.settled += applied.settled;
                outcome.differing += applied.differing.unwrap_or(0);
                progress.send_modify(|progress| {
                    progress.rows += applied.rows;
                    progress.remaining = applied.remaining;
                });
                cursor = Some(applied.cursor.clone());
                outcome.last = Some(applied);
            }
            Err(error) => {
                outcome.error = Some(error);
                break;
            }
        }
    }
    outcome
}

struct Channel(mpsc::Sender<PullPage>);

#[async_trait::async_trait]
impl PageSink for Channel {
    async fn page(&mut self, page: PullPage) -> Result<(), CoreError> {
        // The receiver is gone only after an error of its own, which is the one that counts.
        self.0.send(page).await.map_err(|_| CoreError::Cancelled)
    }
}

fn is_cut(error: &CoreError) -> bool {
    matches!(
        error,
        CoreError::Transport(TransportError::Offline {
            reason: OfflineReason::Interrupted | OfflineReason::Timeout,
            ..
        })
    )
}

fn cursor_is_useless(error: &CoreError) -> bool {
    matches!(error, CoreError::Transport(TransportError::Problem(problem))
        if problem.status == 410 || problem.code.starts_with("cursor_"))
}
