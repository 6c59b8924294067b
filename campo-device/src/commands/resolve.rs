//! `resolve`: decides a conflict, as it was seen or as it is now.

use mobile_core::Core;
use serde_json::Value as Json;
use sync_protocol::ConflictId;
use sync_protocol::problem::Problem;
use sync_protocol::wire::review::Keep;

use super::{conflicts, problem};
use crate::output::Output;

/// Which conflict, and what stays.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The conflict.
    id: ConflictId,
    #[command(flatten)]
    choice: Choice,
    /// The conflict's revision as it was seen: if it has changed since, nothing is decided. Without
    /// it, the conflict is decided as it is now.
    #[arg(long)]
    revision: Option<i64>,
    /// Why; kept in the audit trail.
    #[arg(long, default_value = "")]
    reason: String,
}

/// Exactly one of the two.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Choice {
    /// `server`, or the receipt of the edit that stays.
    #[arg(long, value_parser = keep)]
    keep: Option<Keep>,
    /// Another value, as JSON.
    #[arg(long, value_parser = crate::cli::json)]
    value: Option<Json>,
}

fn keep(text: &str) -> Result<Keep, String> {
    match text {
        "server" => Ok(Keep::Server),
        receipt => receipt
            .parse()
            .map(Keep::Candidate)
            .map_err(|_| "`server` or the receipt of a candidate is needed".to_owned()),
    }
}

pub async fn run(core: &Core, args: Args, output: Output) -> Result<(), Problem> {
    // `--value null` means the empty value; clap has made sure that one of the two is there.
    let keep = match (args.choice.keep, args.choice.value) {
        (Some(keep), _) => keep,
        (None, value) => Keep::Value(value.unwrap_or(Json::Null)),
    };
    let revision = match args.revision {
        Some(revision) => revision,
        None => core.conflict(args.id).await.map_err(problem)?.revision,
    };
    let conflict = core.resolve(args.id, revision, keep, &args.reason).await.map_err(problem)?;
    output.result(&conflict, conflicts::describe)
}
