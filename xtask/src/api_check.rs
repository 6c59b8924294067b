//! `cargo xtask api-check`: the running server against its own OpenAPI document, on both databases.
//!
//! schemathesis (a Python program) makes requests from the document, good and bad ones, and checks
//! that each answer is documented: status, content type, headers and every member; that what fits
//! the document is taken and what does not is refused; and that nothing is answered with a failure.
//! It finds the company of the demo's story on the evening before the review, so that there is a
//! conflict to decide. Its version is pinned, and so is its seed.

use std::path::PathBuf;
use std::process::Command;

use clap::ValueEnum;

use crate::demo::Folder;
use crate::shell::{cargo, programs, root, run};
use crate::story::{self, Stage, company, database::Database, server};
use crate::{Result, postgres};

/// The supervisor's phone for these requests.
const DEVICE: &str = "019ab3c4-d5e6-7000-8000-00000000a11c";

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only on this database; on both where none is named.
    #[arg(long, value_enum)]
    database: Option<Choice>,
    /// Most requests that are drawn for each operation.
    #[arg(long, default_value_t = 25)]
    examples: u32,
    /// What the requests are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Say so and succeed where schemathesis cannot be installed.
    #[arg(long)]
    or_skip: bool,
    /// Take the programs that are there, as `cargo xtask test` has built them. Building them by themselves
    /// takes minutes: with other features of dependencies everything is built once more.
    #[arg(long)]
    built: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    Sqlite,
    Postgres,
}

/// Installs schemathesis if need be, starts servers, and checks.
///
/// # Errors
/// At what schemathesis finds, which it has printed with a command that shows it again.
pub fn run_checks(args: &Args) -> Result {
    let schemathesis = match installed() {
        Ok(program) => program,
        Err(error) if args.or_skip => {
            eprintln!("\n{}", "!".repeat(78));
            eprintln!("!! SKIPPED: the API was NOT checked against its OpenAPI document.");
            eprintln!("!! {error}");
            eprintln!("{}", "!".repeat(78));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if !args.built {
        run(&mut cargo(&["build", "--package", "sync-server", "--package", "campo-device"]))?;
    }
    for choice in [Choice::Sqlite, Choice::Postgres] {
        if args.database.is_none_or(|only| only == choice) {
            check(args, choice, &schemathesis)?;
        }
    }
    Ok(())
}

fn check(args: &Args, choice: Choice, schemathesis: &PathBuf) -> Result {
    let cluster = match choice {
        Choice::Sqlite => None,
        Choice::Postgres => Some(postgres::start()?),
    };
    let folder = Folder::new()?;
    let database = match &cluster {
        None => Database::sqlite(folder.path().join("server")),
        Some(cluster) => Database::postgres(&postgres::superuser_url(cluster), "api_check")?,
    };
    let stage = Stage { programs: programs()?, folder: folder.path().to_owned(), database };
    let (running, _company) = story::play_until_review(&stage)?;
    let mut issue = vec!["token", "issue", "--tenant", company::TENANT, "--user", "laura"];
    issue.extend(["--device", DEVICE, "--minutes", "60"]);
    let issued = server::admin(&stage, &issue)?;
    let token = issued["access_token"].as_str().ok_or("no token was issued")?;
    let mut command = Command::new(schemathesis);
    command.current_dir(folder.path()).env("CAMPO_API_TOKEN", token);
    command.env("SCHEMATHESIS_HOOKS", root().join("xtask/api-check/pieces.py"));
    command.arg("--config-file").arg(root().join("xtask/api-check/schemathesis.toml"));
    command.arg("run").arg(format!("{}/mobile/api/v1/openapi.json", running.server.url));
    command.args(["--checks", "all", "--continue-on-failure", "--workers", "1"]);
    command.arg(format!("--seed={}", args.seed));
    command.arg(format!("--max-examples={}", args.examples));
    run(&mut command)
}

/// The program, in an environment of its own beside what cargo builds.
fn installed() -> Result<PathBuf> {
    let wanted = root().join("xtask/api-check/requirements.txt");
    let environment = programs()?.join("schemathesis");
    let program = environment.join("bin/schemathesis");
    // What was installed is kept with the list that it was installed from.
    let kept = environment.join("requirements.txt");
    let same =
        std::fs::read(&kept).is_ok_and(|kept| std::fs::read(&wanted).is_ok_and(|w| w == kept));
    if same && program.is_file() {
        return Ok(program);
    }
    let by_hand = format!(
        "schemathesis could not be installed. By hand:\n    python3 -m venv {0}\n    \
         {0}/bin/pip install -r {1}",
        environment.display(),
        wanted.display()
    );
    let failed = |error: Box<dyn std::error::Error>| format!("{by_hand}\n({error})");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))
        .map_err(failed)?;
    let mut install = Command::new(environment.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run(install.arg(&wanted)).map_err(failed)?;
    std::fs::copy(&wanted, &kept)?;
    Ok(program)
}
