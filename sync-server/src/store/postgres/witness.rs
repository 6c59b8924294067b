//! Witnesses: what a cursor names (DESIGN 3, History).
//!
//! A witness is a row with a random value and the `pg_current_snapshot()` of the statement that
//! wrote it, committed durably. A pull reads its own snapshot and hands on the newest witness that
//! it sees: everything that the witness's snapshot did not contain is sent again next time. Two
//! things would go wrong with the pull's own snapshot: a standby's lacks transactions that are open
//! on the primary, and after a crash ids are given out again that a snapshot covered.
//!
//! A known witness also proves that history was not rewound to before it.
//!
//! One is left whenever somebody reads and the last one is [`WITNESS_AGE_MAX`] old, so an idle
//! server writes none.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::begin::{Purpose, begin};
use super::error::store_error;
use super::query;
use crate::store::StoreError;

/// How old the newest witness may be when a pull begins: what changed since is sent twice.
const WITNESS_AGE_MAX: Duration = Duration::from_millis(500);
/// How long witnesses are kept. A device that was away for longer repairs by comparing everything.
const WITNESS_KEPT: &str = "35 days";
/// One witness in so many also removes old ones.
const PRUNE_EVERY: u32 = 1_000;

/// When this server last left one.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    at: Option<Instant>,
    count: u32,
}

impl Witnesses {
    /// Leaves one if the last is old. Readers that come meanwhile wait for it: a commit's flush.
    pub async fn leave_if_old(&self, pool: &PgPool) -> Result<(), StoreError> {
        let mut last = self.last.lock().await;
        if last.at.is_some_and(|at| at.elapsed() < WITNESS_AGE_MAX) {
            return Ok(());
        }
        Self::write(pool, &mut last).await
    }

    /// Leaves one now.
    pub async fn leave(&self, pool: &PgPool) -> Result<(), StoreError> {
        Self::write(pool, &mut *self.last.lock().await).await
    }

    async fn write(pool: &PgPool, last: &mut Last) -> Result<(), StoreError> {
        let mut tx = begin(pool, Purpose::Write).await?;
        // A server with another default would give out cursors that a crash takes back.
        query("SET LOCAL synchronous_commit = on").execute(&mut *tx).await.map_err(store_error)?;
        query("INSERT INTO sync.witnesses (value, snapshot) VALUES ($1, pg_current_snapshot())")
            .bind(Uuid::new_v4().to_string())
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        if last.count.is_multiple_of(PRUNE_EVERY) {
            query("DELETE FROM sync.witnesses WHERE at < clock_timestamp() - $1::interval")
                .bind(WITNESS_KEPT)
                .execute(&mut *tx)
                .await
                .map_err(store_error)?;
        }
        tx.commit().await.map_err(store_error)?;
        last.at = Some(Instant::now());
        last.count = last.count.wrapping_add(1);
        Ok(())
    }
}
