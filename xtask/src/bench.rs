//! `cargo xtask bench`: what Campo costs beside a limit that is measured in the same run.

use crate::shell::{cargo, run};
use crate::{Result, photos, postgres};

/// All of them, in order.
const ALL: [&str; 6] = ["first-sync", "push", "capture", "idle-pull", "scopes", "events"];

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One of first-sync, push, capture, idle-pull, scopes, events, and its options (--rows, --repetitions); all
    /// of them where none is named. `hostile` tells how much slower a company gets while another one
    /// attacks (docs/hostile.md), `photos` what it costs to prepare a photo (docs/photos.md).
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "BENCHMARK")]
    arguments: Vec<String>,
}

/// Builds with optimisation, measures, and prints tables. A missed goal is printed, not an error.
///
/// # Errors
/// When something is missing or a benchmark cannot be run to its end.
pub fn run_all(args: &Args) -> Result {
    if args.arguments.first().is_some_and(|first| first == "photos") {
        return photos::bench(&args.arguments[1..]);
    }
    postgres::ensure_installed()?;
    if args.arguments.first().is_some_and(|first| first == "hostile") {
        return hostile();
    }
    let named = args.arguments.first().is_some_and(|first| !first.starts_with('-'));
    let one_by_one = |name: &str| {
        let mut command = cargo(&["run", "--quiet", "--release", "--package", "bench", "--", name]);
        run(command.args(&args.arguments))
    };
    if named {
        let mut command = cargo(&["run", "--quiet", "--release", "--package", "bench", "--"]);
        return run(command.args(&args.arguments));
    }
    ALL.iter().try_for_each(|name| one_by_one(name))
}

/// Figures of `system-tests/tests/hostile`, against programs that were built with optimisation.
fn hostile() -> Result {
    let programs = ["--package", "sync-server", "--package", "campo-device"];
    run(cargo(&["build", "--release"]).args(programs))?;
    let test = ["test", "--release", "--package", "system-tests", "--test", "hostile"];
    let mut test = cargo(&test);
    test.args(["--", "--ignored", "--nocapture", "figures"]);
    let debug = crate::shell::programs()?;
    run(test.env("CAMPO_TEST_PROGRAMS", debug.with_file_name("release")))
}
