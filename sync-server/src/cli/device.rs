//! `device list`, `device revoke`.

use clap::{Args, Subcommand};
use serde_json::json;
use sync_protocol::DeviceId;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Failure;
use super::account;
use super::output::Output;
use super::target::Target;
use crate::store::StoreError;

/// Phones.
#[derive(Debug, Subcommand)]
pub(super) enum Device {
    /// All devices of a company, the last seen first.
    List(List),
    /// End a device's right to sync.
    Revoke(Revoke),
}

/// All devices of a company.
#[derive(Debug, Args)]
pub(super) struct List {
    /// The company's short name or id.
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    target: Target,
}

/// End a device's right to sync.
#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The device.
    device: DeviceId,
    /// The company's short name or id.
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    target: Target,
}

impl Device {
    pub(super) async fn run(self, output: Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(output).await,
            Self::Revoke(revoke) => revoke.run(output).await,
        }
    }
}

impl List {
    async fn run(self, output: Output) -> Result<(), Failure> {
        let store = self.target.open().await?;
        let shared = store.shared();
        let tenant = account::tenant(&*shared, &self.tenant).await?;
        let mut lines = Vec::new();
        let mut rows = Vec::new();
        for device in shared.devices(tenant.id).await? {
            let user = shared.user(tenant.id, device.user).await?;
            let login = user.map_or_else(|| device.user.to_string(), |user| user.login);
            let state = if device.revoked { "revoked" } else { "active" };
            let name = device.name.as_deref().unwrap_or("-");
            let seen = in_words(device.last_seen_us);
            lines.push(format!("{}  {state:7}  {seen}  {login}  {name}", device.id));
            rows.push(json!({
                "device": device.id, "user": device.user, "login": login, "name": device.name,
                "last_seen_us": device.last_seen_us, "revoked": device.revoked,
            }));
        }
        store.close().await;
        let text = if lines.is_empty() { "no device yet".to_owned() } else { lines.join("\n") };
        output.print(&text, &json!({ "devices": rows }))?;
        Ok(())
    }
}

impl Revoke {
    async fn run(self, output: Output) -> Result<(), Failure> {
        let store = self.target.open().await?;
        let shared = store.shared();
        let tenant = account::tenant(&*shared, &self.tenant).await?;
        if shared.device(tenant.id, self.device).await?.is_none() {
            return Err(StoreError::NotFound(format!("device {}", self.device)).into());
        }
        shared.revoke_device(tenant.id, self.device).await?;
        store.close().await;
        output.print(
            &format!("{} may not sync any more", self.device),
            &json!({ "device": self.device, "revoked": true }),
        )?;
        Ok(())
    }
}

/// A moment for people.
pub(super) fn in_words(us: i64) -> String {
    OffsetDateTime::from_unix_timestamp(us.div_euclid(1_000_000))
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| us.to_string())
}
