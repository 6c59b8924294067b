//! `view`: what somebody's phone holds, and why it does or does not hold a record, for support.

use clap::Args;
use serde_json::json;
use sync_protocol::RecordId;
use sync_protocol::wire::view::View as Seen;

use super::Failure;
use super::account;
use super::output::Output;
use super::target::Target;
use crate::clock::SystemClock;
use crate::store::StoreError;
use crate::view;

/// See as somebody.
#[derive(Debug, Args)]
pub(super) struct View {
    /// The company's short name or id.
    #[arg(long)]
    tenant: String,
    /// The person's login or id.
    #[arg(long)]
    user: String,
    /// Only whether they see this record, and why: its collection.
    #[arg(long, requires = "record")]
    collection: Option<String>,
    /// The record.
    #[arg(long, requires = "collection")]
    record: Option<RecordId>,
    #[command(flatten)]
    target: Target,
}

impl View {
    pub(super) async fn run(self, output: Output) -> Result<(), Failure> {
        let store = self.target.open().await?;
        let shared = store.shared();
        let tenant = account::tenant(&*shared, &self.tenant).await?;
        let account = account::user(&*shared, &tenant, &self.user).await?;
        let seen =
            json!({ "user": account.id, "collection": self.collection, "record": self.record });
        view::note(&*shared, &SystemClock, tenant.id, None, seen).await?;
        let (text, json) = match (&self.collection, self.record) {
            (Some(collection), Some(record)) => {
                let why = view::why(&*shared, tenant.id, &account, collection, record).await?;
                let why = why.ok_or_else(|| {
                    StoreError::NotFound(format!("collection `{collection}` in the schema"))
                })?;
                let answer = if why.visible { "visible" } else { "not visible" };
                (format!("{answer}: {}", why.text), serde_json::to_value(&why))
            }
            _ => {
                let seen = view::of(&*shared, tenant.id, &account).await?;
                (in_words(&seen), serde_json::to_value(&seen))
            }
        };
        store.close().await;
        output.print(&text, &json.unwrap_or_default())?;
        Ok(())
    }
}

fn in_words(seen: &Seen) -> String {
    let mut lines = vec![format!(
        "{}{} ({}): {} rows, about {} bytes; {} photos, {} bytes",
        seen.login,
        if seen.disabled { ", disabled" } else { "" },
        if seen.roles.is_empty() { "no role".to_owned() } else { seen.roles.join(", ") },
        seen.rows,
        seen.bytes,
        seen.photos,
        seen.photo_bytes
    )];
    for scope in &seen.scopes {
        lines.push(format!("  {}", scope.scope));
        for held in &scope.collections {
            lines.push(format!(
                "    {}: {} rows, about {} bytes, digest {}{}",
                held.collection,
                held.rows,
                held.bytes,
                held.digest,
                match held.photos {
                    0 => String::new(),
                    n => format!("; {n} photos, {} bytes", held.photo_bytes),
                }
            ));
        }
    }
    for (name, permission) in seen.hidden_collections.iter().chain(&seen.hidden_fields) {
        lines.push(format!("  not {name}: needs `{permission}`"));
    }
    lines.join("\n")
}
