//! The project's own commands, the one entrance for tasks: `cargo xtask demo | test | lint | bench | sim | fuzz |
//! api-check`.
//!
//! Each prints what it runs, so that every step can be run by hand.

mod api_check;
mod bench;
mod debian;
mod demo;
mod fuzz;
mod interrupt;
mod lint;
mod moto;
mod photos;
mod postgres;
mod shell;
mod sim;
mod story;
mod test;
mod tus_clients;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a task returns: tasks end at the first thing that goes wrong, and say what it was.
type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Play the story of two phones against a real server, and leave the server running.
    Demo(demo::Args),
    /// Run all tests, with a private PostgreSQL that is gone afterwards.
    Test(test::Args),
    /// Check format, lints and licences.
    Lint,
    /// Measure what Campo costs beside limits of the same run.
    Bench(bench::Args),
    /// Simulate phones, server and network from a seed, and search for seeds that fail.
    Sim(sim::Args),
    /// Throw changed inputs at everything that reads what comes from outside.
    Fuzz(fuzz::Args),
    /// Check a running server against its OpenAPI document with schemathesis, on both databases.
    ApiCheck(api_check::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = interrupt::listen().map_err(Into::into).and_then(|()| match cli.task {
        Task::Demo(args) => demo::run_story(&args),
        Task::Test(args) => test::run_all(&args),
        Task::Lint => lint::run_all(),
        Task::Bench(args) => bench::run_all(&args),
        Task::Sim(args) => sim::run_it(&args),
        Task::Fuzz(args) => fuzz::run_targets(&args),
        Task::ApiCheck(args) => api_check::run_checks(&args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}
