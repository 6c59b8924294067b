//! `cargo xtask sim`: the deterministic simulator.

use crate::Result;
use crate::shell::{cargo, run};

/// What to simulate.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// --seed N to replay; --runs N --minutes M [--first N] to search; --mutations to hunt planted
    /// bugs.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    arguments: Vec<String>,
}

/// Builds with debug assertions, which planted bugs need, and simulates.
///
/// # Errors
/// When a seed fails, or a planted bug is not found.
pub fn run_it(args: &Args) -> Result {
    run(cargo(&["run", "--quiet", "--package", "sim", "--"]).args(&args.arguments))
}
