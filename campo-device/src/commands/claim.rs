//! `claim`: takes a conflict, so that nobody else works on it, or gives it back.

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
    /// Take it from whoever has it.
    #[arg(long, conflicts_with = "release")]
    take_over: bool,
    /// Give it back.
    #[arg(long)]
    release: bool,
}

pub async fn run(core: &Core, args: Args, output: Output) -> Result<(), Problem> {
    let conflict = if args.release {
        core.release(args.id).await
    } else {
        core.claim(args.id, args.take_over).await
    };
    output.result(&conflict.map_err(problem)?, conflicts::describe)
}
