//! Benchmarks: each measures a limit and Campo in the same run, in turns, and prints the ratio of
//! their medians. `docs/benchmarks.md` explains what is measured and how.
//!
//! [`world`] starts a private PostgreSQL and a server in this process; [`device`] is the phone, a
//! process of its own, so that its memory is its own; [`rows`] says what the data looks like. Each
//! benchmark has a file.

mod capture;
mod device;
mod events;
mod first_sync;
mod idle_pull;
mod least_writes;
mod limit;
mod measure;
mod memory;
mod push;
mod rows;
mod scopes;
mod table;
mod world;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a step returns: a benchmark ends at the first thing that goes wrong.
type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Benchmarks beside their limits.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
    /// How often each thing is measured; the median counts.
    #[arg(long, global = true, default_value_t = 5)]
    repetitions: usize,
    /// Rows in the table.
    #[arg(long, global = true, default_value_t = 100_000)]
    rows: usize,
}

/// Each phone of `events` pulls all of them first, and what is measured is not that.
const EVENTS_ROWS_MAX: usize = 100;

#[derive(Debug, Subcommand)]
enum Bench {
    /// All rows to a new device, beside COPY and prepared INSERTs.
    FirstSync,
    /// Queued edits to the server, beside one UPDATE … FROM.
    Push {
        /// How many edits wait.
        #[arg(long, default_value_t = 10_000)]
        edits: usize,
    },
    /// What the capture triggers cost a writer, beside the same table without them.
    Capture,
    /// A pull that finds nothing new, in a small and in a large company.
    IdlePull,
    /// What others change, until phones hear of it.
    Events {
        /// How many phones listen.
        #[arg(long, default_value_t = 1_000)]
        listeners: usize,
    },
    /// The process of the phones that listen.
    #[command(hide = true)]
    Listeners(events::Job),
    /// A scope that is gained, and pulls that find nothing with few and many grants.
    Scopes,
    /// The phone's process, started by the others.
    #[command(hide = true)]
    Device(device::Job),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result {
    // As many threads as the phone's own command line and as the machine has cores.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match cli.bench {
            Bench::FirstSync => first_sync::run(cli.rows, cli.repetitions).await,
            Bench::Push { edits } => push::run(cli.rows, edits, cli.repetitions).await,
            Bench::Capture => capture::run(cli.rows, cli.repetitions).await,
            Bench::IdlePull => idle_pull::run(cli.repetitions).await,
            Bench::Events { listeners } => {
                events::run(cli.rows.min(EVENTS_ROWS_MAX), listeners, cli.repetitions).await
            }
            Bench::Listeners(job) => job.run().await,
            Bench::Scopes => scopes::run(cli.repetitions).await,
            Bench::Device(job) => job.run().await,
        }
    })
}
