//! `receipt ID`: what became of a transaction, for support.

use clap::Args;
use serde_json::json;
use sync_protocol::ReceiptId;

use super::Failure;
use super::account;
use super::output::Output;
use super::target::Target;
use crate::store::{StoreError, StoredReceipt};

/// What became of a transaction.
#[derive(Debug, Args)]
pub(super) struct Receipt {
    /// The transaction's id.
    id: ReceiptId,
    /// The company's short name or id.
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    target: Target,
}

impl Receipt {
    pub(super) async fn run(self, output: Output) -> Result<(), Failure> {
        let store = self.target.open().await?;
        let shared = store.shared();
        let tenant = account::tenant(&*shared, &self.tenant).await?;
        let mut tx = shared.read(tenant.id).await?;
        let stored = tx.receipt(self.id).await?;
        drop(tx);
        store.close().await;
        let stored = stored.ok_or_else(|| StoreError::NotFound(format!("receipt {}", self.id)))?;
        let json = json!({
            "receipt": stored.receipt, "by": stored.by, "stream": stored.stream,
            "device": stored.device, "user": stored.user, "replaces": stored.replaces,
        });
        output.print(&in_words(&stored), &json)?;
        Ok(())
    }
}

fn in_words(stored: &StoredReceipt) -> String {
    let receipt = &stored.receipt;
    let state = serde_json::to_value(receipt.state).unwrap_or_default();
    let who = stored.by.user_name.clone().unwrap_or_else(|| stored.user.to_string());
    let device = stored.by.device_name.clone().unwrap_or_else(|| stored.device.to_string());
    let mut lines =
        vec![format!("{}: {} (by {who} on {device})", receipt.id, state.as_str().unwrap_or("?"))];
    if let Some(problem) = &receipt.problem {
        lines.push(format!("  {problem}"));
    }
    for outcome in &receipt.mutations {
        let version = outcome.version.map_or_else(String::new, |v| format!(" is at version {v}"));
        lines.push(format!("  {}/{}{version}", outcome.collection, outcome.record));
        for (field, outcome) in &outcome.fields {
            let outcome = serde_json::to_string(outcome).unwrap_or_default();
            lines.push(format!("    {field}: {outcome}"));
        }
    }
    lines.join("\n")
}
