//! A file for each command: what it takes, what it does, how it is shown.

mod answer;
mod ask;
pub mod claim;
pub mod conflicts;
mod delete;
mod discard;
mod get;
mod list;
pub mod login;
mod logout;
mod pending;
mod problems;
mod put;
mod query;
mod receipts;
pub mod resolve;
mod retry;
mod status;
mod sync;
pub mod undo;
pub mod watch;

use mobile_core::{Config, Core, CoreError};
use sync_protocol::problem::Problem;

use crate::cli::{Cli, Command};
use crate::output::Output;

/// Opens the phone and does what was asked.
pub async fn run(cli: Cli, output: Output) -> Result<(), Problem> {
    let core = Core::open(Config::new(cli.data)).map_err(problem)?;
    match cli.command {
        Command::Login(args) => login::run(&core, args, output).await,
        Command::Logout => logout::run(&core, output).await,
        Command::Put { collection, fields } => put::run(&core, &collection, &fields, output),
        Command::Get { collection, id } => get::run(&core, &collection, id, output),
        Command::List { collection } => list::run(&core, &collection, output),
        Command::Query { sql, parameters } => query::run(&core, &sql, &parameters, output),
        Command::Delete { collection, id } => delete::run(&core, &collection, id, output),
        Command::Sync => sync::run(&core, output).await,
        Command::Watch(args) => watch::run(&core, args, output).await,
        Command::Status => status::run(&core, output),
        Command::Receipts { id } => receipts::run(&core, id, output),
        Command::Pending => pending::run(&core, output),
        Command::Problems => problems::run(&core, output),
        Command::Retry { id, correction } => retry::run(&core, id, correction.as_ref(), output),
        Command::Discard { id } => discard::run(&core, id, output),
        Command::Conflicts(args) => conflicts::run(&core, args, output).await,
        Command::Claim(args) => claim::run(&core, args, output).await,
        Command::Ask { id, text } => ask::run(&core, id, &text, output).await,
        Command::Answer { id, text } => answer::run(&core, id, &text, output).await,
        Command::Resolve(args) => resolve::run(&core, args, output).await,
        Command::Undo(args) => undo::run(&core, args, output).await,
    }
}

/// The core's errors are problem documents here.
fn problem(error: CoreError) -> Problem {
    error.to_problem()
}
