//! `undo`: opens a decided conflict again, with the value that was in force before.

use mobile_core::Core;
use sync_protocol::ConflictId;
use sync_protocol::problem::Problem;

use super::{conflicts, problem};
use crate::output::Output;

/// Which one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The conflict.
    id: ConflictId,
    /// Its revision as it was seen: if it has changed since, nothing is undone. Without it, the present
    /// one.
    #[arg(long)]
    revision: Option<i64>,
    /// Why; kept in the audit trail.
    #[arg(long)]
    reason: String,
}

pub async fn run(core: &Core, args: Args, output: Output) -> Result<(), Problem> {
    let revision = match args.revision {
        Some(revision) => revision,
        None => core.conflict(args.id).await.map_err(problem)?.revision,
    };
    let conflict = core.undo(args.id, revision, &args.reason).await.map_err(problem)?;
    output.result(&conflict, conflicts::describe)
}
