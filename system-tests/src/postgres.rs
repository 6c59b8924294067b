//! A private PostgreSQL: its own directory, a free port, gone with the process that started it.
//!
//! `initdb` in a temporary directory, then `postgres` under a shell that reads from a pipe which
//! this process holds open. When this process ends, in whatever way, the pipe closes, and the shell
//! stops the server and removes the directory. Nothing but the standard library is used, so that
//! any crate's tests can take this file in.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The superuser of a private cluster. Everybody may connect as anybody, from this machine only.
pub const SUPERUSER: &str = "postgres";

/// A running server.
#[derive(Debug)]
pub struct Cluster {
    /// Port on 127.0.0.1.
    pub port: u16,
    bin: PathBuf,
    shell: Child,
}

impl Cluster {
    /// Starts one. `settings` go to the server as `-c name=value`.
    ///
    /// # Errors
    /// When PostgreSQL is not installed (`CAMPO_PG_BIN` names its programs' directory), or does not
    /// start; the server's log is part of the message.
    pub fn start(settings: &[&str]) -> Result<Self> {
        let bin = programs()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let home = std::env::temp_dir().join(format!("campo-pg-{}-{port}", std::process::id()));
        fs::create_dir(&home)?;
        // PostgreSQL does not run as root.
        let root = fs::metadata("/proc/self").is_ok_and(|m| {
            use std::os::unix::fs::MetadataExt;
            m.uid() == 0
        });
        if root {
            run(Command::new("chown").arg(SUPERUSER).arg(&home))?;
        }
        let as_postgres = |program: &Path| {
            if root {
                let mut command = Command::new("runuser");
                command.args(["-u", SUPERUSER, "--"]).arg(program);
                command
            } else {
                Command::new(program)
            }
        };
        let data = home.join("data");
        let mut initdb = as_postgres(&bin.join("initdb"));
        initdb.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]);
        run(initdb.arg("--username").arg(SUPERUSER).arg("-D").arg(&data))?;
        let mut shell = as_postgres(Path::new("/bin/sh"));
        shell.arg("-c").arg(
            "home=$1; shift; \"$@\" >\"$home/log\" 2>&1 </dev/null & pid=$!; \
             cat >/dev/null; kill -QUIT $pid; wait $pid; cd /; rm -rf \"$home\"",
        );
        shell.arg("sh").arg(&home).arg(bin.join("postgres"));
        shell.arg("-D").arg(&data).arg("-k").arg(&home).arg("-p").arg(port.to_string());
        shell.args(["-c", "listen_addresses=127.0.0.1"]);
        for setting in settings {
            shell.arg("-c").arg(setting);
        }
        // A group of its own: Ctrl-C ends this process, and with it the server, in this order.
        shell.process_group(0);
        let shell = shell.stdin(Stdio::piped()).current_dir("/").spawn()?;
        let cluster = Self { port, bin, shell };
        let since = Instant::now();
        while cluster.psql("postgres", SUPERUSER, "SELECT 1").is_err() {
            if since.elapsed() > START_TIMEOUT {
                let log = fs::read_to_string(home.join("log")).unwrap_or_default();
                return Err(Error::new(ErrorKind::TimedOut, format!("PostgreSQL: {log}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(cluster)
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// With PostgreSQL's message.
    pub fn create_database(&self, name: &str) -> Result<()> {
        self.psql("postgres", SUPERUSER, &format!("CREATE DATABASE \"{name}\""))?;
        Ok(())
    }

    /// The URL of a database for a role.
    #[must_use]
    pub fn url(&self, database: &str, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL with psql, as somebody at a keyboard would, and answers what it prints.
    ///
    /// # Errors
    /// With PostgreSQL's message.
    pub fn psql(&self, database: &str, role: &str, sql: &str) -> Result<String> {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        run(psql.arg(self.url(database, role)))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// The directory of PostgreSQL's programs: the newest that is installed.
fn programs() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CAMPO_PG_BIN") {
        return Ok(PathBuf::from(named));
    }
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort();
    if let Some((_, bin)) = found.pop() {
        return Ok(bin);
    }
    let bin = run(Command::new("pg_config").arg("--bindir")).map_err(|_| {
        Error::new(ErrorKind::NotFound, "install PostgreSQL 15 or newer, or set CAMPO_PG_BIN")
    })?;
    Ok(PathBuf::from(bin.trim()))
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::other(format!("{command:?}: {message}")))
}
