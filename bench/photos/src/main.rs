//! Photos: Campo's way beside others, from the same file to the same sizes, in turns and in processes of their own.
//! `docs/photos.md` explains what is measured and how.

mod pipeline;
mod quality;
mod run;
#[path = "../../../mobile-photo/tests/photos/scene.rs"]
mod scene;
#[path = "../../src/table.rs"]
mod table;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a step returns: a benchmark ends at the first thing that goes wrong.
type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Photos beside other ways.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench photos")]
struct Cli {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// All of it.
    All(run::Args),
    /// One way, some times over: a process that the other part starts.
    #[command(hide = true)]
    One {
        /// Which.
        pipeline: pipeline::Pipeline,
        /// The photo.
        input: PathBuf,
        /// Where its result goes.
        output: PathBuf,
        /// How often.
        times: usize,
        /// Most bytes of Campo's photo.
        #[arg(long, default_value_t = 300 * 1024)]
        bytes: usize,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().part {
        Part::All(args) => run::all(&args),
        Part::One { pipeline, input, output, times, bytes } => {
            pipeline.measure(&input, &output, times, bytes)
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
