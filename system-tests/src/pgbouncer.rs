//! A private PgBouncer in transaction mode before a private PostgreSQL, gone with the process that
//! started it, by the same means as [`super::postgres`].
//!
//! Its pool is small, so that clients share connections of the server, as they do in production.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections to PostgreSQL for each database and user, unless a test says otherwise.
const POOL_SIZE: u32 = 3;
/// Whom a private cluster knows.
const USERS: [&str; 2] = ["postgres", "campo_server"];

/// A running pooler.
#[derive(Debug)]
pub struct Pooler {
    /// Port on 127.0.0.1.
    pub port: u16,
    shell: Child,
}

impl Pooler {
    /// Starts one before the PostgreSQL that listens on this port of 127.0.0.1.
    ///
    /// # Errors
    /// When PgBouncer is not installed or does not start; its log is part of the message.
    pub fn start(postgres_port: u16) -> Result<Self> {
        Self::of_size(postgres_port, POOL_SIZE)
    }

    /// As [`Self::start`], with so many connections to PostgreSQL for each database and user.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn of_size(postgres_port: u16, connections: u32) -> Result<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"]
            .into_iter()
            .find(|path| Path::new(path).is_file())
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "install PgBouncer"))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let home = std::env::temp_dir().join(format!("campo-pool-{}-{port}", std::process::id()));
        fs::create_dir(&home)?;
        let users: String = USERS.iter().map(|user| format!("\"{user}\" \"\"\n")).collect();
        fs::write(home.join("users"), users)?;
        let home_text = home.display();
        fs::write(
            home.join("ini"),
            format!(
                "[databases]\n* = host=127.0.0.1 port={postgres_port}\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
                 auth_type = trust\nauth_file = {home_text}/users\npool_mode = transaction\n\
                 default_pool_size = {connections}\nmax_client_conn = 500\n\
                 ignore_startup_parameters = extra_float_digits\n"
            ),
        )?;
        let mut command = Command::new("/bin/sh");
        // It does not run as root.
        let root = fs::metadata("/proc/self").is_ok_and(|m| {
            use std::os::unix::fs::MetadataExt;
            m.uid() == 0
        });
        command.arg("-c").arg(
            "home=$1; shift; \"$@\" >\"$home/log\" 2>&1 </dev/null & pid=$!; \
             cat >/dev/null; kill -TERM $pid; wait $pid; cd /; rm -rf \"$home\"",
        );
        command.arg("sh").arg(&home).arg(program);
        if root {
            command.args(["-u", "postgres"]);
        }
        command.arg(home.join("ini")).process_group(0);
        let shell = command.stdin(Stdio::piped()).current_dir("/").spawn()?;
        let pooler = Self { port, shell };
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if since.elapsed() > START_TIMEOUT {
                let log = fs::read_to_string(home.join("log")).unwrap_or_default();
                return Err(Error::new(ErrorKind::TimedOut, format!("PgBouncer: {log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(pooler)
    }

    /// The URL of a database for a role. Statements are not kept: the next transaction may run on
    /// another connection of the server, which does not know them.
    #[must_use]
    pub fn url(&self, database: &str, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}?statement-cache-capacity=0", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
