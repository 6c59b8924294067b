//! How much a company has in the object store, against what it may.
//!
//! The sum is the object store's own: what stands under the company's names, whatever records say, and what
//! begun uploads announced. Asking for it lists all these names, so it is kept for a minute, and for
//! longer where listing took long. What is announced to this server meanwhile is added at once; what other
//! servers are told is seen with the next listing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use object_store::path::Path;
use sync_protocol::TenantId;
use sync_protocol::problem::Problem;

use super::ObjectError;
use super::key::{UploadKey, UploadName};
use super::objects::Objects;
use crate::auth::caller::Caller;

/// How long a sum is good, at least.
const SUM_KEPT_MIN: Duration = Duration::from_secs(60);
/// How many times as long as its listing took a sum is good.
const SUM_KEPT_FACTOR: u32 = 20;
/// Companies whose sums are kept.
const SUMS_MAX: usize = 10_000;
/// The permission without which nobody is told how much the company has.
const TOLD_TO: &str = "device:manage";

/// Room for each company.
pub struct Quota {
    bytes_max: u64,
    companies: Mutex<HashMap<TenantId, Arc<Company>>>,
}

#[derive(Default)]
struct Company {
    /// Held by who lists.
    listing: tokio::sync::Mutex<()>,
    sum: Mutex<Option<Sum>>,
}

struct Sum {
    bytes: u64,
    /// Of these, what was announced since the listing began.
    announced: u64,
    good_until: Instant,
}

impl Quota {
    /// So many bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, companies: Mutex::default() }
    }

    /// Whether so many bytes more have room.
    ///
    /// # Errors
    /// `photo_quota`; those of the object store.
    pub async fn check(
        &self,
        objects: &Objects,
        caller: &Caller,
        more: u64,
    ) -> Result<(), Problem> {
        let used = self.used(objects, caller.tenant).await?;
        if used.saturating_add(more) <= self.bytes_max {
            return Ok(());
        }
        let problem = Problem::new(413, "photo_quota", "The company's room for photos is used up");
        Err(problem.detail(match caller.may(TOLD_TO) {
            true => format!(
                "{used} of {} bytes are stored or announced, {more} more do not fit; raise \
                 `--photo-quota-gib`, or delete records with photos, whose room is free 90 days later; \
                 the photo is kept on the device until then",
                self.bytes_max
            ),
            false => "the photo is kept on the device and sent when there is room; an administrator can \
                      make some"
                .to_owned(),
        }))
    }

    async fn used(&self, objects: &Objects, tenant: TenantId) -> Result<u64, ObjectError> {
        let company = self.company(tenant);
        if let Some(used) = company.known() {
            return Ok(used);
        }
        // Only who needs the first sum waits for who lists.
        let _listing = company.listing.lock().await;
        if let Some(used) = company.known() {
            return Ok(used);
        }
        if let Some(sum) = company.sum().as_mut() {
            // Meanwhile the old one is good; also if this listing comes to nothing.
            sum.good_until = Instant::now() + SUM_KEPT_MIN;
            sum.announced = 0;
        }
        let began = Instant::now();
        let listed = listed_bytes(objects, tenant).await?;
        let mut sum = company.sum();
        let announced = sum.as_ref().map_or(0, |sum| sum.announced);
        let bytes = listed.saturating_add(announced);
        let good_until = Instant::now() + SUM_KEPT_MIN.max(began.elapsed() * SUM_KEPT_FACTOR);
        *sum = Some(Sum { bytes, announced: 0, good_until });
        Ok(bytes)
    }

    /// So many bytes were announced.
    pub(super) fn add(&self, tenant: TenantId, bytes: u64) {
        if let Some(sum) = self.company(tenant).sum().as_mut() {
            sum.bytes = sum.bytes.saturating_add(bytes);
            sum.announced = sum.announced.saturating_add(bytes);
        }
    }

    fn company(&self, tenant: TenantId) -> Arc<Company> {
        let mut companies = self.companies.lock().unwrap_or_else(PoisonError::into_inner);
        if companies.len() >= SUMS_MAX {
            companies.retain(|_, company| company.known().is_some());
        }
        companies.entry(tenant).or_default().clone()
    }
}

impl Company {
    fn known(&self) -> Option<u64> {
        self.sum().as_ref().filter(|sum| Instant::now() < sum.good_until).map(|sum| sum.bytes)
    }

    fn sum(&self) -> MutexGuard<'_, Option<Sum>> {
        self.sum.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a company's pictures, and of its uploads as they were announced.
async fn listed_bytes(objects: &Objects, tenant: TenantId) -> Result<u64, ObjectError> {
    let folder = |top: &str| Path::from_iter([top, &tenant.to_string()]);
    let mut bytes = 0_u64;
    let mut pictures = objects.list(&folder("photos"));
    while let Some(found) = pictures.try_next().await? {
        bytes = bytes.saturating_add(found.bytes);
    }
    let mut uploads: HashMap<UploadKey, (u64, u64)> = HashMap::new();
    let mut listed = objects.list(&folder("uploads"));
    while let Some(found) = listed.try_next().await? {
        let Some((key, name)) = UploadKey::of_object(&found.path) else { continue };
        let (announced, came) = uploads.entry(key).or_default();
        match name {
            UploadName::Begun { bytes } => *announced = bytes,
            UploadName::Part { .. } => *came = came.saturating_add(found.bytes),
        }
    }
    Ok(uploads
        .values()
        .fold(bytes, |sum, (announced, came)| sum.saturating_add(*announced.max(came))))
}
