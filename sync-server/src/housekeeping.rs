//! The task that keeps a server's data from growing for ever (see [`crate::store::tidy`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::store::{Retention, Store, StoreError, Tidied};

/// How long after a round the next one begins.
const ROUND_EVERY: Duration = Duration::from_secs(600);
/// How often a round is a thorough one.
const THOROUGH_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Pause between two parts of a round: others have the database to themselves meanwhile.
const PART_PAUSE: Duration = Duration::from_millis(200);

/// Tidies until nothing is left to do, part by part. Ends early when the server stops.
///
/// # Errors
/// What the database says; the next round goes on.
pub async fn round(
    store: &dyn Store,
    retention: Retention,
    pause: Duration,
    stopping: &CancellationToken,
) -> Result<Tidied, StoreError> {
    let mut all = Tidied::default();
    loop {
        let part = store.tidy(retention).await?;
        all.tokens += part.tokens;
        all.receipts += part.receipts;
        all.tombstones += part.tombstones;
        all.log_lines += part.log_lines;
        all.user_lines += part.user_lines;
        if !part.more {
            return Ok(all);
        }
        tokio::select! {
            () = stopping.cancelled() => return Ok(Tidied { more: true, ..all }),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Runs rounds until the server stops. The first one waits, so that a start is not slowed down.
pub async fn run(store: Arc<dyn Store>, clock: SharedClock, stopping: CancellationToken) {
    let mut thorough_at: Option<Instant> = None;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(ROUND_EVERY) => {}
        }
        let thorough = thorough_at.is_none_or(|at| at.elapsed() >= THOROUGH_EVERY);
        let retention = Retention { thorough, ..Retention::at(clock.now_us()) };
        match round(&*store, retention, PART_PAUSE, &stopping).await {
            Ok(done) => {
                tracing::debug!(?done, "tidied");
                if thorough && !done.more {
                    thorough_at = Some(Instant::now());
                }
            }
            Err(error) => tracing::warn!(%error, "housekeeping stopped; the next round goes on"),
        }
    }
}
