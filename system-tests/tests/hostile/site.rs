//! The server program on a database, with two companies: one that works, and one that attacks.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value as Json;
use system_tests::postgres::{Cluster, SUPERUSER};

/// The company whose people only want to work.
pub const QUIET: &str = "robles";
/// The company whose account is in bad hands.
pub const HOSTILE: &str = "lobos";
/// Everybody's password.
pub const PASSWORD: &str = "campo-demo";
const DATABASE: &str = "hostile";

/// On which database the server works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Files.
    Sqlite,
    /// A private cluster.
    Postgres,
}

/// A running server.
pub struct Site {
    /// Where it listens.
    pub address: SocketAddr,
    database: Vec<String>,
    server: Child,
    cluster: Option<Cluster>,
    folder: tempfile::TempDir,
}

impl Site {
    /// Starts everything. `settings` go to `serve`.
    pub fn open(engine: Engine, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (database, cluster) = match engine {
            Engine::Sqlite => {
                let files = folder.path().join("server");
                (vec!["--data".to_owned(), files.display().to_string()], None)
            }
            Engine::Postgres => {
                let cluster =
                    Cluster::start(&["fsync=off", "max_connections=60"]).expect("PostgreSQL");
                cluster.create_database(DATABASE).expect("a database");
                let owner = cluster.url(DATABASE, SUPERUSER);
                told(Command::new(program()).args(["migrate", "--database", &owner]));
                let url = cluster.url(DATABASE, "campo_server");
                (vec!["--database".to_owned(), url], Some(cluster))
            }
        };
        let (server, address) = start(&database, settings, folder.path());
        let site = Self { address, database, server, cluster, folder };
        site.admin(&["tenant", "create", QUIET]);
        site.admin(&["tenant", "create", HOSTILE]);
        site
    }

    /// Where phones find it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A folder for a phone.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs an administrator's command; what it prints.
    pub fn admin(&self, arguments: &[&str]) -> Json {
        let mut command = Command::new(program());
        let printed = told(command.arg("--json").args(arguments).args(&self.database));
        serde_json::from_slice(&printed).expect("one document")
    }

    /// Makes an account.
    pub fn hires(&self, tenant: &str, login: &str, role: &str) {
        let who = ["--tenant", tenant, "--user", login, "--role", role];
        self.admin(&[&["user", "create", "--password", PASSWORD], &who[..]].concat());
    }

    /// Lets somebody see a warehouse.
    pub fn grants(&self, tenant: &str, login: &str, warehouse: &str) {
        let scope = format!("warehouse:{warehouse}");
        self.admin(&["user", "grant", "--tenant", tenant, "--user", login, "--scope", &scope]);
    }

    /// Asks PostgreSQL as its superuser; none on SQLite.
    pub fn sql(&self, question: &str) -> Option<String> {
        let cluster = self.cluster.as_ref()?;
        let answer = cluster.psql(DATABASE, SUPERUSER, question).expect("PostgreSQL answers");
        Some(answer.trim().to_owned())
    }

    /// Memory that the server has in RAM, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.server.id());
        let status = std::fs::read_to_string(path).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }

    /// Panics unless the server is still the same process; with what it logged.
    pub fn is_up(&mut self) {
        let ended = self.server.try_wait().expect("a process");
        assert!(ended.is_none(), "the server ended ({ended:?}):\n{}", self.log());
        let log = self.log();
        let panicked = log.lines().find(|line| line.contains("panicked"));
        assert!(panicked.is_none(), "{panicked:?} in the server's log");
        let failed = log.lines().find(|line| line.contains("\"internal\""));
        assert!(failed.is_none(), "{failed:?} in the server's log");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("the server's log")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn start(database: &[String], settings: &[&str], folder: &Path) -> (Child, SocketAddr) {
    let log = std::fs::File::create(folder.join("log")).expect("a log");
    let mut server = Command::new(program())
        .args(["--json", "serve", "--listen", "127.0.0.1:0"])
        .args(database)
        .args(settings)
        .env("CAMPO_LOG", "warn")
        .env("CAMPO_PHOTOS", folder.join("photos"))
        // As docs/hostile.md advises for a server that must not grow.
        .env("MALLOC_ARENA_MAX", "2")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("sync-server");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
    let told: Json = serde_json::from_str(&line).expect("the server starts");
    let url = told["listening"].as_str().expect("an address");
    let address = url.trim_start_matches("http://").parse().expect("an address");
    (server, address)
}

fn told(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().expect("a program");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn program() -> PathBuf {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(system_tests::programs::built).join("sync-server")
}
