//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use serde_json::{Map, Value as Json};
use sync_protocol::{ConflictId, ReceiptId, RecordId};

use crate::commands::{check_in, claim, conflicts, login, logout, photo, resolve, undo, watch};
use crate::values::{json_or_text, object};

/// A phone without the phone.
#[derive(Debug, Parser)]
#[command(name = "campo-device", version, about = "A phone without the phone: Campo's device core")]
pub struct Cli {
    /// Folder of the phone's data; made when it is missing.
    #[arg(long, env = "CAMPO_DEVICE_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// Print one JSON document on standard output and nothing else (`watch`: one for each line).
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What a phone can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign somebody in and make them the active person.
    Login(login::Args),
    /// End the session and wipe the person's data, once all of it is at the server.
    Logout(logout::Args),
    /// Insert a record, or update it when JSON names an `id` that exists; prints the id.
    Put {
        /// The collection.
        collection: String,
        /// Fields, `{"nombre": "Torre Norte"}`.
        #[arg(value_parser = object)]
        fields: Map<String, Json>,
    },
    /// Make a record with photos and a position, in one act; prints the record's id.
    CheckIn(check_in::Args),
    /// Add, show, fetch or hurry photos.
    Photo {
        /// What to do.
        #[command(subcommand)]
        command: photo::Command,
    },
    /// Show one record.
    Get {
        /// The collection.
        collection: String,
        /// The record.
        id: RecordId,
    },
    /// Show all records of a collection.
    List {
        /// The collection.
        collection: String,
    },
    /// Run a SELECT on this phone's tables.
    Query {
        /// One statement that reads.
        sql: String,
        /// Values for `?1`, `?2`, … as JSON; what is no JSON is taken as text.
        #[arg(long = "param", value_name = "JSON", value_parser = json_or_text)]
        parameters: Vec<Json>,
    },
    /// Delete a record.
    Delete {
        /// The collection.
        collection: String,
        /// The record.
        id: RecordId,
    },
    /// Send what waits and fetch what is new, once.
    Sync {
        /// The network costs by the byte: full pictures wait if `--photos-on-wifi` was said.
        #[arg(long)]
        metered: bool,
        /// From now on full pictures wait for a network that costs nothing (`false`: they do not).
        #[arg(long, value_name = "BOOL")]
        photos_on_wifi: Option<bool>,
        /// How many MB of photos this phone keeps, from now on; those that the server has go first.
        #[arg(long, value_name = "MB")]
        photo_space: Option<u64>,
    },
    /// Keep syncing and tell what changes, until Ctrl-C.
    Watch(watch::Args),
    /// Show how this phone stands.
    Status,
    /// Compare everything on this phone with the server, and repair what is damaged.
    Verify,
    /// Show what became of each edit.
    Receipts {
        /// Only this one, with all that is known about it.
        id: Option<ReceiptId>,
    },
    /// Show edits whose outcome is not in the tables yet, and why they wait.
    Pending,
    /// Show edits that somebody has to look at: refused, or waiting for a refused one.
    Problems,
    /// Send a refused edit again, corrected.
    Retry {
        /// The refused edit's receipt.
        id: ReceiptId,
        /// Fields to correct, `{"horas": "8.00"}`.
        #[arg(value_parser = object)]
        correction: Option<Map<String, Json>>,
    },
    /// Take back an edit: at once, or with the next sync if the server may have it already.
    Discard {
        /// Its receipt.
        id: ReceiptId,
    },
    /// Write what only this phone has into a new file that support can read.
    Export {
        /// The file.
        file: PathBuf,
    },
    /// Rename a damaged database, so that its person can begin anew; nothing is deleted.
    SetAside,
    /// Wipe everybody's data from this phone, once all of it is at the server or exported.
    Wipe,
    /// Show conflicts, from the server.
    Conflicts(conflicts::Args),
    /// Take a conflict, so that nobody else works on it, or give it back.
    Claim(claim::Args),
    /// Ask the authors of a conflict's edits something.
    Ask {
        /// The conflict.
        id: ConflictId,
        /// The question.
        text: String,
    },
    /// Answer a question about an edit of yours (`problems` shows it).
    Answer {
        /// The conflict.
        id: ConflictId,
        /// The answer.
        text: String,
    },
    /// Decide a conflict, or several alike.
    Resolve(resolve::Args),
    /// Open a decided conflict again, with the value that was in force before.
    Undo(undo::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
