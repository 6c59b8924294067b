//! A file for each command: what it takes, what it does, how it is shown.

mod answer;
mod ask;
pub mod check_in;
pub mod claim;
pub mod conflicts;
mod delete;
mod discard;
mod export;
mod get;
mod list;
pub mod login;
pub mod logout;
mod pending;
pub mod photo;
mod problems;
mod put;
mod query;
mod receipts;
pub mod resolve;
mod retry;
mod set_aside;
mod status;
mod sync;
pub mod undo;
mod verify;
pub mod watch;
mod wipe;

use mobile_core::{Config, Core, CoreError};
use sync_protocol::problem::Problem;

use crate::cli::{Cli, Command};
use crate::output::Output;

/// Opens the phone and does what was asked.
pub async fn run(cli: Cli, output: Output) -> Result<(), Problem> {
    let config = Config::new(cli.data);
    let open = |config| Core::open(config).map_err(problem);
    match cli.command {
        Command::Login(args) => login::run(&open(config)?, args, output).await,
        Command::Logout(args) => logout::run(&open(config)?, &args, output).await,
        Command::Export { file } => export::run(&config, &file, output),
        Command::SetAside => set_aside::run(&config, output),
        Command::Wipe => wipe::run(&open(config)?, output).await,
        Command::Put { collection, fields } => {
            put::run(&open(config)?, &collection, &fields, output)
        }
        Command::Get { collection, id } => get::run(&open(config)?, &collection, id, output),
        Command::List { collection } => list::run(&open(config)?, &collection, output),
        Command::Query { sql, parameters } => query::run(&open(config)?, &sql, &parameters, output),
        Command::Delete { collection, id } => delete::run(&open(config)?, &collection, id, output),
        Command::Sync { metered, photos_on_wifi, photo_space } => {
            let core = open(config)?;
            sync::settings(&core, metered, photos_on_wifi, photo_space).map_err(problem)?;
            sync::run(&core, output).await
        }
        Command::CheckIn(args) => check_in::run(&open(config)?, &args, output),
        Command::Photo { command } => photo::run(&open(config)?, command, output).await,
        Command::Watch(args) => watch::run(&open(config)?, args, output).await,
        Command::Status => status::run(&open(config)?, output),
        Command::Verify => verify::run(&open(config)?, output).await,
        Command::Receipts { id } => receipts::run(&open(config)?, id, output),
        Command::Pending => pending::run(&open(config)?, output),
        Command::Problems => problems::run(&open(config)?, output),
        Command::Retry { id, correction } => {
            retry::run(&open(config)?, id, correction.as_ref(), output)
        }
        Command::Discard { id } => discard::run(&open(config)?, id, output),
        Command::Conflicts(args) => conflicts::run(&open(config)?, args, output).await,
        Command::Claim(args) => claim::run(&open(config)?, args, output).await,
        Command::Ask { id, text } => ask::run(&open(config)?, id, &text, output).await,
        Command::Answer { id, text } => answer::run(&open(config)?, id, &text, output).await,
        Command::Resolve(args) => resolve::run(&open(config)?, args, output).await,
        Command::Undo(args) => undo::run(&open(config)?, args, output).await,
    }
}

/// The core's errors are problem documents here.
fn problem(error: CoreError) -> Problem {
    error.to_problem()
}
