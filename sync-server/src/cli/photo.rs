//! `photo missing`, `photo check`.

use clap::{Args, Subcommand};
use serde_json::json;
use sync_protocol::TenantId;

use super::Failure;
use super::account;
use super::output::Output;
use super::photo_target::PhotoTarget;
use super::target::Target;
use crate::clock::SystemClock;
use crate::photos::compare::{CompareError, Compared, correct, examine};
use crate::photos::missing::{self, After, MissingPhoto, PAGE_MAX};
use crate::photos::objects::ObjectError;
use crate::photos::{PhotoSettings, Photos, place};
use crate::store::{Store, StoreError};

/// Photos.
#[derive(Debug, Subcommand)]
pub(super) enum Photo {
    /// Photos that have not come, and from whom they are awaited.
    Missing(Missing),
    /// Compare records with the photos that are here; what was lost is asked of the devices again.
    Check(Check),
}

/// Photos that have not come.
#[derive(Debug, Args)]
pub(super) struct Missing {
    /// The company's short name or id.
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    target: Target,
}

/// Compare records with the photos that are here.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The company's short name or id.
    #[arg(long)]
    tenant: String,
    /// Read every photo and compare its SHA-256 as well.
    #[arg(long)]
    content: bool,
    /// Ask the devices again also where most photos, or all, are missing here.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    photos: PhotoTarget,
    #[command(flatten)]
    target: Target,
}

impl Photo {
    pub(super) async fn run(self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Missing(missing) => missing.run(output).await,
            Self::Check(check) => check.run(output).await,
        }
    }
}

impl Missing {
    async fn run(self, output: Output) -> Result<(), Failure> {
        let store = self.target.open().await?;
        let shared = store.shared();
        let tenant = account::tenant(&*shared, &self.tenant).await?;
        let mut photos = Vec::new();
        let mut after: Option<After> = None;
        loop {
            let page =
                missing::page(&*shared, tenant.id, |_| true, after.as_ref(), PAGE_MAX).await?;
            photos.extend(page.photos);
            after = page.next.and_then(|next| next.parse().ok());
            if after.is_none() {
                break;
            }
        }
        store.close().await;
        let lines: Vec<String> = photos.iter().map(in_words).collect();
        let text =
            if lines.is_empty() { "no photo is missing".to_owned() } else { lines.join("\n") };
        output.print(&text, &json!({ "photos": photos }))?;
        Ok(())
    }
}

fn in_words(photo: &MissingPhoto) -> String {
    let MissingPhoto { collection, id, state, user_name, device_name, since_us, .. } = photo;
    let who = user_name.as_deref().unwrap_or("-");
    let device = device_name.as_deref().unwrap_or("-");
    let since = super::device::in_words(*since_us);
    format!("{collection}/{id}  {:9}  {since}  {who}  {device}", state.as_str())
}

impl Check {
    async fn compare(
        &self,
        photos: &Photos,
        store: &dyn Store,
        tenant: TenantId,
    ) -> Result<Compared, CompareError> {
        let refused = |what: String| {
            CompareError::Objects(ObjectError::Setup(format!(
                "{what}; nothing was changed. Look whether --photos is right and its disk mounted; if they \
                 are lost, say --yes, and the devices are asked for them again"
            )))
        };
        if let Some(doubt) = place::doubt(&photos.objects, store, tenant).await? {
            if !self.yes {
                return Err(refused(doubt.to_owned()));
            }
            place::mark(&photos.objects).await?;
        }
        let examined = examine(photos, store, tenant, self.content).await?;
        if examined.is_much_lost() && !self.yes {
            let (lost, stored) = (examined.lost, examined.stored);
            return Err(refused(format!(
                "{lost} of {stored} stored photos are missing or spoiled"
            )));
        }
        correct(photos, store, &SystemClock, tenant, self.content, &examined).await
    }

    async fn run(self, output: Output) -> Result<(), Failure> {
        let location = self.photos.location(&self.target.database());
        let photos = Photos::open_existing(&PhotoSettings::at(location))
            .map_err(|error| StoreError::Setup(error.to_string()))?;
        let store = self.target.open().await?;
        let shared = store.shared();
        let tenant = account::tenant(&*shared, &self.tenant).await?;
        let compared = self.compare(&photos, &*shared, tenant.id).await;
        store.close().await;
        let compared = compared.map_err(|error| match error {
            CompareError::Store(error) => error,
            CompareError::Objects(ObjectError::Setup(error)) => StoreError::Setup(error),
            CompareError::Objects(error) => StoreError::Storage(error.to_string()),
        })?;
        let mut lines: Vec<String> = compared
            .corrected
            .iter()
            .map(|c| {
                let (said, says) = (c.said.as_str(), c.says.as_str());
                format!("{}/{}: it said {said}, and says {says} now", c.collection, c.id)
            })
            .collect();
        lines.push(format!(
            "{} records, {} of them corrected",
            compared.records,
            compared.corrected.len()
        ));
        output.print(&lines.join("\n"), &serde_json::to_value(&compared).unwrap_or_default())?;
        Ok(())
    }
}
