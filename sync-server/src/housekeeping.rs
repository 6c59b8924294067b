//! The task that keeps a server's data from growing for ever (see [`crate::store::tidy`] and
//! [`crate::photos::tidy`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::photos::{self, Photos};
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

/// Tidies the photos' object store; `thorough` looks through all objects.
async fn tidy_photos(
    photos: &Photos,
    store: &dyn Store,
    now_us: i64,
    thorough: bool,
    stopping: &CancellationToken,
) {
    let uploads = photos::tidy::uploads(&photos.objects, now_us, stopping).await;
    let deleted = match thorough {
        true => photos::tidy::deleted(&photos.objects, store, stopping).await,
        false => Ok(0),
    };
    if thorough && let Some(folder) = photos.folder.clone() {
        let stopping = stopping.clone();
        let leftovers = tokio::task::spawn_blocking(move || {
            photos::tidy::leftovers(&folder, std::time::SystemTime::now(), &stopping)
        });
        if let Ok(Err(error)) = leftovers.await {
            tracing::warn!(%error, "unfinished files of photos stay; the next round tries again");
        }
    }
    match (uploads, deleted) {
        (Ok(uploads), Ok(deleted)) => tracing::debug!(uploads, deleted, "tidied photos"),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%error, "housekeeping of photos stopped; the next round goes on");
        }
    }
}

/// Runs rounds until the server stops. The first one waits, so that a start is not slowed down.
pub async fn run(
    store: Arc<dyn Store>,
    photos: Arc<Photos>,
    clock: SharedClock,
    stopping: CancellationToken,
) {
    let mut thorough_at: Option<Instant> = None;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(ROUND_EVERY) => {}
        }
        let thorough = thorough_at.is_none_or(|at| at.elapsed() >= THOROUGH_EVERY);
        let retention = Retention { thorough, ..Retention::at(clock.now_us()) };
        tidy_photos(&photos, &*store, clock.now_us(), thorough, &stopping).await;
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
