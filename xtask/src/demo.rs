//! `cargo xtask demo`: the story, with a real server and real devices.
//!
//! Each step checks what it says, so the demo is a test as well: it fails when the story does not
//! come out. Its data is in `.demo/<process>/` and goes with the demo.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::shell::{cargo, programs, root, run};
use crate::story::{self, Stage, database::Database};
use crate::{Result, interrupt, postgres};

/// How to play it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the server keeps its data. PostgreSQL is a private one.
    #[arg(long, value_enum, default_value_t = Choice::Sqlite)]
    database: Choice,
    /// End with the story instead of leaving the server running.
    #[arg(long)]
    exit: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Choice {
    /// One file for each company, nothing to install.
    Sqlite,
    /// As a larger company has it, with SQL among the writers.
    Postgres,
}

/// Builds, plays, and leaves the server running.
///
/// # Errors
/// When the story does not come out.
pub fn run_story(args: &Args) -> Result {
    run(&mut cargo(&["build", "--package", "sync-server", "--package", "campo-device"]))?;
    let cluster = match args.database {
        Choice::Sqlite => None,
        Choice::Postgres => Some(postgres::start()?),
    };
    let folder = Folder::new()?;
    let database = match &cluster {
        None => Database::sqlite(folder.path().join("server")),
        Some(cluster) => Database::postgres(&postgres::superuser_url(cluster), "demo")?,
    };
    let stage = Stage { programs: programs()?, folder: folder.path().to_owned(), database };
    let mut running = story::play(&stage)?;
    if args.exit {
        return Ok(());
    }
    story::invite(&stage, &running);
    interrupt::wait_or(|| running.server.has_ended());
    if interrupt::happened() {
        println!("\nGoodbye: the server stops and the demo's data goes.");
        return Ok(());
    }
    Err("the server ended by itself".into())
}

/// The demo's data, removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        let all = root().canonicalize()?.join(".demo");
        fs::create_dir_all(&all)?;
        // Left by demos that were killed.
        for entry in fs::read_dir(&all)?.flatten() {
            let process = PathBuf::from("/proc").join(entry.file_name());
            if !process.exists() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let folder = all.join(std::process::id().to_string());
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The next demo removes what this one could not.
        let _ = fs::remove_dir_all(&self.0);
    }
}
