//! How much a company has stored, against what it may.
//!
//! The sum is the database's: lengths of the pictures that are here, as their records say. It is kept
//! for [`SUM_KEPT`], so a company may come past its quota by what arrives in that time on other
//! servers; what arrives on this one is added at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sync_protocol::TenantId;
use sync_protocol::problem::Problem;

use crate::push::failed;
use crate::store::{Store, StoreError};

/// How long a sum is good.
const SUM_KEPT: Duration = Duration::from_secs(60);
/// Companies whose sums are kept.
const SUMS_MAX: usize = 10_000;

/// Room for each company.
pub struct Quota {
    bytes_max: u64,
    sums: Mutex<HashMap<TenantId, (Instant, u64)>>,
}

impl Quota {
    /// So many bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, sums: Mutex::default() }
    }

    /// Whether so many bytes more have room.
    ///
    /// # Errors
    /// `photo_quota`.
    pub async fn check(
        &self,
        store: &dyn Store,
        tenant: TenantId,
        more: u64,
    ) -> Result<(), Problem> {
        let used = self.used(store, tenant).await.map_err(|error| failed(&error))?;
        if used.saturating_add(more) <= self.bytes_max {
            return Ok(());
        }
        Err(Problem::new(413, "photo_quota", "The company's room for photos is full").detail(format!(
            "{used} of {} bytes are used, {more} more do not fit; an administrator can delete records \
             with photos or raise `--photo-quota-gib`, and the photo is kept on the device until then",
            self.bytes_max
        )))
    }

    async fn used(&self, store: &dyn Store, tenant: TenantId) -> Result<u64, StoreError> {
        if let Some((at, bytes)) = self.sums().get(&tenant)
            && at.elapsed() < SUM_KEPT
        {
            return Ok(*bytes);
        }
        let mut tx = store.read(tenant).await?;
        let mut used = 0;
        for collection in store.schema().collections.values().filter(|found| found.photos) {
            used += tx.photo_bytes(collection).await?;
        }
        let mut sums = self.sums();
        if sums.len() >= SUMS_MAX {
            sums.retain(|_, (at, _)| at.elapsed() < SUM_KEPT);
        }
        sums.insert(tenant, (Instant::now(), used));
        Ok(used)
    }

    /// So many bytes were stored.
    pub(super) fn add(&self, tenant: TenantId, bytes: u64) {
        if let Some((_, used)) = self.sums().get_mut(&tenant) {
            *used = used.saturating_add(bytes);
        }
    }

    fn sums(&self) -> MutexGuard<'_, HashMap<TenantId, (Instant, u64)>> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
