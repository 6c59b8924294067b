//! `cargo xtask fuzz`: each target for a while, guided by coverage.
//!
//! The crates of this workspace are compiled with coverage counters, by the usual toolchain; what they
//! depend on is what the tests were built with. Inputs that the kept corpus leads to are collected
//! in `target/debug/fuzzed/<target>/found`, so that the next run goes on where this one ended.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::shell::{cargo, programs, root, run};

/// The crates whose code is looked at, and how far each is optimised: the decoders are small, the
/// server would take minutes to build.
const LOOKED_AT: [(&str, u8); 4] =
    [("mobile-photo", 2), ("sync-protocol", 2), ("sync-server", 1), ("fuzz", 1)];
/// Longest that one input may take, in seconds; what takes longer is a finding.
const INPUT_S_MAX: u32 = 10;
/// Most memory of the whole program, in MiB; what takes more is a finding.
const MEMORY_MIB_MAX: u32 = 1024;

/// What to fuzz.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this target, by the name of its folder in fuzz/corpus.
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// How long for each target.
    #[arg(long, value_name = "MINUTES", default_value_t = 1)]
    minutes: u32,
    /// Only this input, once: a crash that was found.
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

/// Builds the fuzzer and runs it.
///
/// # Errors
/// At the first finding: libFuzzer has printed it, and names the file that holds the input.
pub fn run_targets(args: &Args) -> Result {
    let program = build()?;
    let targets = match &args.target {
        Some(target) => vec![target.clone()],
        None => all()?,
    };
    for target in targets {
        let corpus = root().join("fuzz/corpus").join(&target);
        if !corpus.is_dir() {
            return Err(
                format!("there is no target {target}; there are {}", all()?.join(", ")).into()
            );
        }
        match &args.input {
            Some(input) => run(fuzzer(&program, &target).arg(input))?,
            None => search(&program, &target, &corpus, args.minutes)?,
        }
    }
    Ok(())
}

/// The fuzzer's program.
fn build() -> Result<PathBuf> {
    let mut build = cargo(&["build", "--package", "fuzz", "--features", "libfuzzer"]);
    for (package, level) in LOOKED_AT {
        build.arg("--config").arg(format!("profile.dev.package.{package}.opt-level={level}"));
    }
    build.env("RUSTC_WORKSPACE_WRAPPER", root().join("fuzz/instrumented-rustc.sh"));
    run(&mut build)?;
    Ok(programs()?.join("fuzz"))
}

fn search(program: &Path, target: &str, corpus: &Path, minutes: u32) -> Result {
    let work = program.with_file_name("fuzzed").join(target);
    let found = work.join("found");
    std::fs::create_dir_all(&found)?;
    let mut fuzzer = fuzzer(program, target);
    fuzzer.arg(format!("-max_total_time={}", minutes.saturating_mul(60)));
    fuzzer.arg(format!("-artifact_prefix={}/", work.display()));
    fuzzer.args(["-print_final_stats=1", "-use_value_profile=1"]);
    // What is new goes into the first folder.
    run(fuzzer.arg(&found).arg(corpus))
}

fn fuzzer(program: &Path, target: &str) -> Command {
    let mut fuzzer = Command::new(program);
    fuzzer.env("CAMPO_FUZZ_TARGET", target).current_dir(root());
    fuzzer.arg(format!("-timeout={INPUT_S_MAX}"));
    fuzzer.arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
    fuzzer
}

/// The names of all targets.
fn all() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("fuzz/corpus"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
