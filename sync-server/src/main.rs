//! The `sync-server` command.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use sync_server::cli::{self, Cli};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json();
    start_log(&cli);
    let result = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::run(cli)),
        Err(error) => Err(error.into()),
    };
    let Err(failure) = result else { return ExitCode::SUCCESS };
    let text = if json {
        serde_json::to_string(&failure.problem()).unwrap_or_default()
    } else {
        format!("sync-server: {failure}")
    };
    // A closed stderr changes nothing about the failure.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}

/// Logs go to stderr; `CAMPO_LOG` chooses what, as `RUST_LOG` elsewhere. By default a server tells
/// what it does, and a command only what is wrong.
fn start_log(cli: &Cli) {
    let default = if cli.is_server() { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("CAMPO_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if cli.json() { log.json().with_span_list(false).init() } else { log.init() }
}
