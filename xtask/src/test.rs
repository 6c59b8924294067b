//! `cargo xtask test`: everything, with a private PostgreSQL that is gone afterwards.
//!
//! Tests find the cluster by `CAMPO_TEST_POSTGRES_URL` (its superuser) and make databases of their own
//! in it. The two programs that the story's tests run are built first; `CAMPO_TEST_PROGRAMS` says
//! where they are.

use clap::ValueEnum;

use crate::shell::{cargo, programs, run};
use crate::{Result, moto, photos, postgres, tus_clients};

/// What to test.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only one group.
    #[arg(long, value_name = "GROUP")]
    only: Option<Group>,
    /// Names of tests to run, as `cargo test` takes them.
    #[arg(last = true)]
    filter: Vec<String>,
}

/// A group of tests: a package.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Group {
    /// `sync-protocol`: schema, values, merge rules.
    Protocol,
    /// `mobile-core`: the device library.
    Core,
    /// `mobile-photo`: preparing photos; exiftool is asked too.
    Photo,
    /// `campo-device`: the command line.
    Device,
    /// `sync-server` on SQLite and PostgreSQL.
    Server,
    /// `system-tests`: both ends together.
    System,
    /// `sim`: the simulator's fixed and fresh seeds, and the planted bugs.
    Sim,
    /// `fuzz`: the corpus of inputs from outside, and seeded changes of it.
    Fuzz,
    /// `xtask` itself.
    Xtask,
}

impl Group {
    fn package(self) -> &'static str {
        match self {
            Self::Protocol => "sync-protocol",
            Self::Core => "mobile-core",
            Self::Photo => "mobile-photo",
            Self::Device => "campo-device",
            Self::Server => "sync-server",
            Self::System => "system-tests",
            Self::Sim => "sim",
            Self::Fuzz => "fuzz",
            Self::Xtask => "xtask",
        }
    }

    fn needs_postgres(self) -> bool {
        matches!(self, Self::Server | Self::System)
    }

    fn needs_programs(self) -> bool {
        matches!(self, Self::System)
    }
}

/// Runs them.
///
/// # Errors
/// When something is missing or a test fails.
pub fn run_all(args: &Args) -> Result {
    let cluster = match args.only {
        Some(group) if !group.needs_postgres() => None,
        _ => Some(postgres::start()?),
    };
    if args.only.is_none_or(|group| matches!(group, Group::Photo)) {
        photos::ensure_exiftool();
    }
    // The story's tests run the two programs. Building the whole workspace for tests builds them
    // too, with the same features of dependencies; on their own those would be built once more.
    match args.only {
        None => run(&mut cargo(&["test", "--workspace", "--no-run"]))?,
        Some(group) if group.needs_programs() => {
            run(&mut cargo(&["build", "--package", "sync-server", "--package", "campo-device"]))?;
        }
        Some(_) => {}
    }
    let mut test = match args.only {
        // The points at which `photo_faults` kills the server; with all packages the simulator brings them.
        Some(Group::Server) => {
            cargo(&["test", "--package", "sync-server", "--features", "fault-points"])
        }
        Some(group) => cargo(&["test", "--package", group.package()]),
        None => cargo(&["test", "--workspace"]),
    };
    // All failures in one run, not only those of the first package.
    test.arg("--no-fail-fast").arg("--").args(&args.filter);
    test.env("CAMPO_TEST_PROGRAMS", programs()?);
    if args.only.is_none_or(|group| matches!(group, Group::System))
        && let Some(folder) = tus_clients::ensure()
    {
        test.env("CAMPO_TEST_TUS_CLIENTS", folder);
    }
    let moto = match args.only {
        None | Some(Group::Server) => moto::Moto::start(),
        Some(_) => None,
    };
    if let Some(moto) = &moto {
        test.envs(moto.environment());
    }
    if let Some(cluster) = &cluster {
        test.env("CAMPO_TEST_POSTGRES_URL", postgres::superuser_url(cluster));
    }
    run(&mut test)
}
