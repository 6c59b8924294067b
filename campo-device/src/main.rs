//! A phone without the phone: the device core behind a command line, for support, demos and tests.
//!
//! ```text
//! campo-device --data DIR [--json] COMMAND …
//! ```
//! Each command opens the folder, does one thing and ends, so two folders are two phones. Nothing
//! reaches the server but by `login`, `sync`, `watch`, `logout`, `wipe` and what is about conflicts
//! (`conflicts`, `claim`, `ask`, `answer`, `resolve`, `undo`): between them the phone is offline.
//!
//! [`cli`] is what can be typed, [`commands`] has a file for each command, [`output`] is how results
//! and problems are shown: for people, or with `--json` as one JSON document on standard output
//! (`watch`: one for each line) and nothing else. The exit status is 0, or 1 with the problem on
//! standard error.

mod cli;
mod commands;
mod output;
mod values;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use sync_protocol::problem::Problem;

use crate::output::Output;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    log_if_wanted();
    let output = Output::new(cli.json);
    match run(cli, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            output.problem(&problem);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: cli::Cli, output: Output) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Problem::new(500, "no_runtime", error.to_string()))?;
    runtime.block_on(commands::run(cli, output))
}

/// Help and version are no problems; what cannot be parsed is one.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        print!("{error}");
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let (title, detail) = text.split_once('\n').unwrap_or((&text, ""));
        let title = title.trim_start_matches("error: ").to_owned();
        Output::new(true)
            .problem(&Problem::new(400, "bad_arguments", title).detail(detail.trim().to_owned()));
    } else {
        eprint!("{error}");
    }
    ExitCode::FAILURE
}

/// Logs go to standard error when `CAMPO_LOG` asks for them (`debug`, `mobile_core=trace`).
fn log_if_wanted() {
    if let Ok(filter) = std::env::var("CAMPO_LOG") {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_writer(std::io::stderr)
            .init();
    }
}
