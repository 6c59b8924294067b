//! `cargo xtask sim`: the deterministic simulator.

use crate::Result;
use crate::shell::{cargo, run};

/// What to simulate.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// --seed N to replay; --runs N --minutes M [--first N] to search; --bar partitions|kills to measure
    /// the peers' bar; --every-nth WHAT to let each step fail; --database postgres; --mutations to hunt
    /// planted bugs.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    arguments: Vec<String>,
}

/// The project's own crates in the simulator. They are optimised for it; what they depend on stays as
/// tests have built it.
const CRATES: [&str; 4] = ["sync-protocol", "sync-server", "mobile-core", "sim"];

/// Builds with debug assertions, which planted bugs need, and simulates.
///
/// # Errors
/// When a seed fails, or a planted bug is not found.
pub fn run_it(args: &Args) -> Result {
    let mut simulate = cargo(&["run", "--quiet", "--package", "sim"]);
    for name in CRATES {
        simulate.arg("--config").arg(format!("profile.dev.package.{name}.opt-level=2"));
    }
    run(simulate.arg("--").args(&args.arguments))
}
