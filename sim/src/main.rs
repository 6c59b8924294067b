//! `cargo xtask sim`: replays a seed, searches, or hunts planted bugs.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use sim::bar;
use sim::bar::plan::Faults;
use sim::coverage::Coverage;
use sim::mutations::{SEEDS_MAX, hunt};
use sim::nth::disk::Failure;
use sim::nth::{self, What};
use sim::plan::{LeftOut, Setup};
use sim::search::{Found, Wanted, search};
use sim::server::Database;
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
    /// Which database the server has. PostgreSQL is a private cluster, gone afterwards; its runs do not
    /// repeat to the last line.
    #[arg(long, value_enum, default_value = "sqlite", conflicts_with_all = ["mutations", "bar", "every_nth"])]
    database: Database,
    /// Leave phones' files undamaged.
    #[arg(long)]
    sound: bool,
    /// Let nothing befall a machine: no clock of the server that jumps, no wiped phone, no failing store.
    #[arg(long)]
    calm: bool,
    /// Search for a seed that shows this (an operation, a fault, a merge) and holds, and print it.
    #[arg(long, value_name = "NAME", conflicts_with = "mutations")]
    shows: Option<String>,
    /// Do not shorten what fails.
    #[arg(long)]
    no_shrink: bool,
    /// Measure the peers' bar instead: runs whose faults are only these; with --seed, replay one.
    #[arg(long, value_enum, value_name = "FAULTS", conflicts_with = "mutations")]
    bar: Option<Faults>,
    /// Let every nth step of the standard scenario fail instead, for all n: from --first on, each
    /// --stride th; with --seed N, replay the Nth.
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["mutations", "bar"])]
    every_nth: Option<Nth>,
    /// See --every-nth.
    #[arg(long, default_value_t = 1, requires = "every_nth")]
    stride: u64,
    /// Plant each bug in turn and search until it is found; print the table.
    #[arg(long)]
    mutations: bool,
    /// Only planted bugs whose names contain this.
    #[arg(long, requires = "mutations")]
    only: Option<String>,
}

/// What fails.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Nth {
    /// One access of a phone to its disk.
    DiskOnce,
    /// All accesses from one on, until the app is started again.
    DiskBroken,
    /// One write that finds no space.
    DiskFull,
    /// The line, after a byte of a request or answer.
    Line,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(faults) = cli.bar {
        return match cli.seed {
            Some(seed) => replay_bar(seed, faults),
            None => measure(&cli, faults),
        };
    }
    if let Some(nth) = cli.every_nth {
        return every_nth(&cli, nth);
    }
    if let Some(name) = &cli.shows {
        return shows(&cli, name);
    }
    if let Some(seed) = cli.seed {
        return replay(&cli, seed);
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
        database: cli.database,
        left_out: cli.left_out(),
    });
    report(first, &found, begin.elapsed());
    for (seed, step, violation) in &found.failed {
        println!("\nseed {seed}, step {step}: {}\n  {}", violation.invariant, violation.found);
    }
    let Some((seed, ..)) = found.failed.first() else { return ExitCode::SUCCESS };
    if !cli.no_shrink {
        let plan = Setup { database: cli.database, ..plan::draw(*seed) };
        let plan = plan.without(cli.left_out());
        let (short, runs) = shrink::shrink(&plan);
        println!("\nThe shortest of seed {seed} (found with {runs} runs):\n");
        let _ = run::run(&short, true);
    }
    ExitCode::FAILURE
}

impl Cli {
    fn left_out(&self) -> LeftOut {
        LeftOut { damage: self.sound, incidents: self.calm }
    }
}

/// A first seed for fresh runs.
fn from_the_clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_secs()) * 1_000
}

fn replay(cli: &Cli, seed: u64) -> ExitCode {
    let plan = Setup { database: cli.database, ..plan::draw(seed) };
    let plan = plan.without(cli.left_out());
    let outcome = run::run(&plan, true);
    println!("trace {}", outcome.trace_hash);
    match outcome.violation {
        None => ExitCode::SUCCESS,
        Some((step, violation)) => {
            println!("step {step}: {}\n  {}", violation.invariant, violation.found);
            ExitCode::FAILURE
        }
    }
}

fn shows(cli: &Cli, name: &str) -> ExitCode {
    let first = cli.first.unwrap_or(1);
    let found = (first..first.saturating_add(cli.runs)).find(|seed| {
        let outcome = run::run(&plan::draw(*seed), false);
        outcome.violation.is_none() && outcome.seen.contains(name)
    });
    match found {
        Some(seed) => println!("seed {seed}"),
        None => println!("no seed from {first} on shows {name}"),
    }
    if found.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn every_nth(cli: &Cli, nth: Nth) -> ExitCode {
    let what = match nth {
        Nth::DiskOnce => What::Disk(Failure::Once),
        Nth::DiskBroken => What::Disk(Failure::Broken),
        Nth::DiskFull => What::Disk(Failure::Full),
        Nth::Line => What::Line,
    };
    if let Some(nth) = cli.seed {
        let outcome = nth::run(what, Some(nth), true);
        let Some(violation) = outcome.violation else { return ExitCode::SUCCESS };
        println!("{}\n  {}", violation.invariant, violation.found);
        return ExitCode::FAILURE;
    }
    let begin = Instant::now();
    let time_max = Duration::from_secs_f64(cli.minutes * 60.0);
    let found = nth::search::search(what, cli.first.unwrap_or(1), cli.stride, time_max);
    println!(
        "{nth:?}: {} steps in the scenario, {} runs, {} syncs, {} failed; {:.0} s",
        found.steps,
        found.runs,
        found.syncs,
        found.failed.len(),
        begin.elapsed().as_secs_f64()
    );
    for (nth, violation) in &found.failed {
        println!("\nn = {nth}: {}\n  {}", violation.invariant, violation.found);
    }
    if found.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn replay_bar(seed: u64, faults: Faults) -> ExitCode {
    let outcome = bar::run(seed, faults, true);
    println!("trace {}", outcome.trace_hash);
    let Some(violation) = outcome.violation else { return ExitCode::SUCCESS };
    println!("{}\n  {}", violation.invariant, violation.found);
    ExitCode::FAILURE
}

#[allow(clippy::cast_precision_loss, reason = "rounded for people")]
fn measure(cli: &Cli, faults: Faults) -> ExitCode {
    let first = cli.first.unwrap_or_else(from_the_clock);
    let begin = Instant::now();
    let time_max = Duration::from_secs_f64(cli.minutes * 60.0);
    let found = bar::search::search(faults, first, cli.runs, cli.jobs, time_max);
    println!(
        "{faults:?}: {} runs from seed {first}: {} faults, {} syncs, {} requests, {} edits; what waited was \
         at the server after {:.1} s at most; {} failed; {:.0} s",
        found.runs,
        found.faults,
        found.syncs,
        found.requests,
        found.edits,
        found.slowest_us as f64 / 1e6,
        found.failed.len(),
        begin.elapsed().as_secs_f64()
    );
    for (seed, violation) in &found.failed {
        println!("\nseed {seed}: {}\n  {}", violation.invariant, violation.found);
    }
    if found.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[allow(clippy::cast_precision_loss, reason = "rounded for people")]
fn report(first: u64, found: &Found, took: Duration) {
    let seconds = took.as_secs_f64();
    println!(
        "{} runs from seed {first}: {} syncs, {} requests, {} edits, {} looks at phones, {} sets \
         of rows compared by digests, {} damages mended, {} pictures sent, {} failed; \
         {seconds:.0} s, {:.0} syncs/s",
        found.runs,
        found.syncs,
        found.requests,
        found.edits,
        found.looks,
        found.digests,
        found.damages,
        found.pictures,
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
    let mut holding = BTreeSet::new();
    println!("| bug | what is wrong | found after (seeds) | by the invariant |\n|---|---|---|---|");
    for bug in Bug::ALL {
        let name = format!("{bug:?}");
        if only.is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let caught = hunt(*bug, first, SEEDS_MAX, &mut holding);
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
