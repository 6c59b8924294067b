//! `cargo xtask sim`: replays a seed, searches, or hunts planted bugs.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use sim::coverage::Coverage;
use sim::mutations::{SEEDS_MAX, hunt};
use sim::search::{Found, Wanted, search};
use sim::{plan, run, shrink};
use sync_protocol::planted::Bug;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask sim")]
struct Cli {
    /// Replay this seed and tell its story.
    #[arg(long, conflicts_with_all = ["runs", "mutations"])]
    seed: Option<u64>,
    /// Search this many seeds.
    #[arg(long, default_value_t = 200)]
    runs: u64,
    /// From this seed on; drawn from the clock where it is missing.
    #[arg(long)]
    first: Option<u64>,
    /// Search for this long at most.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Runs at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Do not shorten what fails.
    #[arg(long)]
    no_shrink: bool,
    /// Plant each bug in turn and search until it is found; print the table.
    #[arg(long)]
    mutations: bool,
    /// Only planted bugs whose names contain this.
    #[arg(long, requires = "mutations")]
    only: Option<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(seed) = cli.seed {
        return replay(seed);
    }
    if cli.mutations {
        return mutations(cli.first.unwrap_or(1), cli.only.as_deref());
    }
    let first = cli.first.unwrap_or_else(from_the_clock);
    let begin = Instant::now();
    let found = search(Wanted {
        first,
        runs: cli.runs,
        time_max: Duration::from_secs_f64(cli.minutes * 60.0),
        jobs: cli.jobs,
        stop_at_first: false,
    });
    report(first, &found, begin.elapsed());
    for (seed, step, violation) in &found.failed {
        println!("\nseed {seed}, step {step}: {}\n  {}", violation.invariant, violation.found);
    }
    let Some((seed, ..)) = found.failed.first() else { return ExitCode::SUCCESS };
    if !cli.no_shrink {
        let (short, runs) = shrink::shrink(&plan::draw(*seed));
        println!("\nThe shortest of seed {seed} (found with {runs} runs):\n");
        let _ = run::run(&short, true);
    }
    ExitCode::FAILURE
}

/// A first seed for fresh runs.
fn from_the_clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_secs()) * 1_000
}

fn replay(seed: u64) -> ExitCode {
    let outcome = run::run(&plan::draw(seed), true);
    println!("trace {}", outcome.trace_hash);
    match outcome.violation {
        None => ExitCode::SUCCESS,
        Some((step, violation)) => {
            println!("step {step}: {}\n  {}", violation.invariant, violation.found);
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "rounded for people")]
fn report(first: u64, found: &Found, took: Duration) {
    let seconds = took.as_secs_f64();
    println!(
        "{} runs from seed {first}: {} syncs, {} requests, {} edits, {} looks at phones, {} failed; \
         {seconds:.0} s, {:.0} syncs/s",
        found.runs,
        found.syncs,
        found.requests,
        found.edits,
        found.looks,
        found.failed.len(),
        found.syncs as f64 / seconds
    );
    let missing = found.coverage.missing();
    if !missing.is_empty() {
        println!("never occurred: {}", missing.join(", "));
    }
    let pairs = found.coverage.missing_pairs();
    println!(
        "pairs in one run: {} of {}",
        Coverage::pairs_max() - pairs.len(),
        Coverage::pairs_max()
    );
    for (a, b) in pairs.iter().take(10) {
        println!("  never together: {a} + {b}");
    }
}

fn mutations(first: u64, only: Option<&str>) -> ExitCode {
    let mut missed = 0;
    println!("| bug | what is wrong | found after (seeds) | by the invariant |\n|---|---|---|---|");
    for bug in Bug::ALL {
        let name = format!("{bug:?}");
        if only.is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let caught = hunt(*bug, first, SEEDS_MAX);
        let by = match &caught.by {
            Some((_, violation)) => violation.invariant,
            None => {
                missed += 1;
                "**not found**"
            }
        };
        println!("| `{name}` | {} | {} | {by} |", bug.what(), caught.runs);
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
