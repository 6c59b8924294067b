//! A private PostgreSQL for a task: installed if need be, gone with the task.

use system_tests::postgres::{Cluster, SUPERUSER};

use crate::shell::is_there;
use crate::{Result, debian, interrupt};

/// Debian's packages: the server, and the pooler that some tests read through.
const PACKAGES: [&str; 2] = ["postgresql", "pgbouncer"];
/// Nothing here has to outlive the machine's power, and tests open many connections.
const SETTINGS: [&str; 3] = ["fsync=off", "max_connections=300", "max_prepared_transactions=20"];

/// Starts a cluster of its own on a free port.
///
/// # Errors
/// When PostgreSQL is missing and cannot be installed, or does not start.
pub fn start() -> Result<Cluster> {
    ensure_installed()?;
    eprintln!("\nStarting a private PostgreSQL …");
    let cluster = Cluster::start(&SETTINGS).map_err(|error| {
        if interrupt::happened() { "interrupted".into() } else { format!("PostgreSQL: {error}") }
    })?;
    eprintln!("PostgreSQL listens on 127.0.0.1:{} for this task only.", cluster.port);
    Ok(cluster)
}

/// The URL of the cluster's superuser.
pub fn superuser_url(cluster: &Cluster) -> String {
    cluster.url("postgres", SUPERUSER)
}

/// Installs PostgreSQL where it is missing and that is allowed; otherwise says the command.
pub fn ensure_installed() -> Result {
    let server = std::env::var_os("CAMPO_PG_BIN").is_some()
        || is_there("initdb")
        || std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut found| found.next().is_some());
    let pooler = is_there("pgbouncer") || std::path::Path::new("/usr/sbin/pgbouncer").is_file();
    if server && pooler {
        return Ok(());
    }
    let missing: Vec<&str> = PACKAGES
        .into_iter()
        .zip([server, pooler])
        .filter_map(|(package, there)| (!there).then_some(package))
        .collect();
    debian::install(
        &missing,
        "CAMPO_PG_BIN names the directory of initdb and postgres where they are elsewhere",
    )
}
