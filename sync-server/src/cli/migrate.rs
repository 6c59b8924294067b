//! `migrate`: tables, policies and triggers for the schema.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::Failure;
use super::output::Output;
use super::target::Target;
use crate::{database, schema_files};

/// Bring the database up to date with the schema.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// With --database the URL of the tables' owner.
    #[command(flatten)]
    target: Target,
}

impl Migrate {
    pub(super) async fn run(self, output: Output) -> Result<(), Failure> {
        let schema = Arc::new(schema_files::load(self.target.schemas.as_deref())?);
        let done = database::migrate(&self.target.database(), schema).await?;
        let text = if done.is_empty() {
            "the database fits the schema".to_owned()
        } else {
            format!("{}\nthe database fits the schema", done.join("\n"))
        };
        output.print(&text, &json!({ "done": done }))?;
        Ok(())
    }
}
