//! The command line of `sync-server`.
//!
//! Each command prints for people, or with `--json` one JSON document on stdout and nothing else.
//! It exits with 0, or with 1 and what was wrong on stderr. The commands open the database
//! themselves; on SQLite they may run while a server works with the same files.

mod account;
mod backup;
mod device;
mod failure;
mod migrate;
mod output;
mod photo;
mod photo_target;
mod receipt;
mod schema;
mod serve;
mod target;
mod tenant;
mod token;
mod user;
mod view;

use clap::{Parser, Subcommand};

pub use failure::Failure;
use output::Output;

/// Campo's sync server.
#[derive(Debug, Parser)]
#[command(name = "sync-server", version, about, propagate_version = true)]
pub struct Cli {
    /// One JSON document on stdout instead of text for people.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::Serve),
    /// Bring the database up to date with the schema (on PostgreSQL with the owner's URL).
    Migrate(migrate::Migrate),
    /// Companies.
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// People and what they are granted.
    #[command(subcommand)]
    User(user::User),
    /// Phones.
    #[command(subcommand)]
    Device(device::Device),
    /// Access tokens for programs and tests.
    #[command(subcommand)]
    Token(token::Token),
    /// Photos.
    #[command(subcommand)]
    Photo(photo::Photo),
    /// What somebody's phone holds, and why it does or does not hold a record.
    View(view::View),
    /// What became of a transaction.
    Receipt(receipt::Receipt),
    /// Copy all data to a directory, while the server works.
    Backup(backup::Backup),
    /// Collection schemas.
    #[command(subcommand)]
    Schema(schema::Schema),
}

/// Runs the command that the arguments name.
///
/// # Errors
/// What was wrong, for stderr.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    let output = Output { json: cli.json };
    match cli.command {
        Command::Serve(command) => command.run(output).await,
        Command::Migrate(command) => command.run(output).await,
        Command::Tenant(command) => command.run(output).await,
        Command::User(command) => command.run(output).await,
        Command::Device(command) => command.run(output).await,
        Command::Token(command) => command.run(output).await,
        Command::Photo(command) => command.run(output).await,
        Command::View(command) => command.run(output).await,
        Command::Receipt(command) => command.run(output).await,
        Command::Backup(command) => command.run(output).await,
        Command::Schema(command) => command.run(output).await,
    }
}

impl Cli {
    /// Whether output is for machines.
    #[must_use]
    pub fn json(&self) -> bool {
        self.json
    }

    /// Whether it runs until it is told to stop.
    #[must_use]
    pub fn is_server(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }
}
