//! The server and its database, which may be killed.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use system_tests::postgres::{Cluster, SUPERUSER};

use crate::phone;

/// The company's short name.
pub const TENANT: &str = "robles";
/// Everybody's password.
pub const PASSWORD: &str = "campo-demo";
const DATABASE: &str = "crash";
/// How long PostgreSQL may take to be there again.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(60);

/// On which database the server works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Files.
    Sqlite,
    /// A private cluster.
    Postgres,
}

/// A server on a fixed address.
pub struct Office {
    address: String,
    database: Vec<String>,
    photos: PathBuf,
    server: Option<Child>,
    files: Option<PathBuf>,
    cluster: Option<Cluster>,
}

impl Office {
    /// Starts everything, and makes the company.
    pub fn open(engine: Engine, folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let (database, files, cluster) = match engine {
            Engine::Sqlite => {
                let files = folder.join("server");
                (vec!["--data".to_owned(), files.display().to_string()], Some(files), None)
            }
            Engine::Postgres => {
                let cluster = Cluster::start(&["max_connections=100"]).expect("PostgreSQL");
                cluster.create_database(DATABASE).expect("a database");
                let owner = cluster.url(DATABASE, SUPERUSER);
                run(Command::new(programs().join("sync-server")).args([
                    "migrate",
                    "--database",
                    &owner,
                ]));
                let url = cluster.url(DATABASE, "campo_server");
                (vec!["--database".to_owned(), url], None, Some(cluster))
            }
        };
        let (address, photos) = (format!("127.0.0.1:{port}"), folder.join("photos"));
        let mut office = Self { address, database, photos, server: None, files, cluster };
        office.admin(&["tenant", "create", TENANT, "--name", "Robles"]);
        office.start_server();
        office
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn admin(&self, arguments: &[&str]) {
        self.asks(arguments);
    }

    /// Asks the server's command line; what it prints.
    pub fn asks(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(programs().join("sync-server"));
        command.env("CAMPO_PHOTOS", &self.photos);
        run(command.args(arguments).args(&self.database))
    }

    /// Makes an account.
    pub fn hires(&self, login: &str, role: &str) {
        let who = ["--tenant", TENANT, "--user", login, "--name", login];
        let what = ["--role", role, "--password", PASSWORD];
        self.admin(&[&["user", "create"], &who[..], &what[..]].concat());
    }

    /// Lets somebody see a warehouse.
    pub fn grants(&self, login: &str, warehouse: &str) {
        let scope = format!("warehouse:{warehouse}");
        self.admin(&["user", "grant", "--tenant", TENANT, "--user", login, "--scope", &scope]);
    }

    /// Starts the server, and waits until it listens.
    pub fn start_server(&mut self) {
        let mut server = Command::new(programs().join("sync-server"))
            .args(["--json", "serve", "--listen", &self.address])
            .args(&self.database)
            .env("CAMPO_PHOTOS", &self.photos)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sync-server");
        let mut line = String::new();
        BufReader::new(server.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        assert!(line.contains("listening"), "the server did not start: {line}");
        self.server = Some(server);
    }

    /// SIGKILL.
    pub fn kill_server(&mut self) {
        let mut server = self.server.take().expect("a server");
        server.kill().expect("a kill");
        server.wait().expect("a process");
    }

    /// Whether there is a PostgreSQL to crash.
    pub fn has_postgres(&self) -> bool {
        self.cluster.is_some()
    }

    /// Kills a process of PostgreSQL, which then ends all others at once and recovers, as after an
    /// immediate shutdown.
    pub fn crash_postgres(&self) {
        let cluster = self.cluster.as_ref().expect("PostgreSQL");
        let ask = |sql| cluster.psql(DATABASE, SUPERUSER, sql);
        let victim = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'";
        let pid = ask(victim).expect("PostgreSQL answers");
        run(Command::new("kill").args(["-KILL", pid.trim()]));
        let since = Instant::now();
        // It is back when there is another walwriter.
        while ask(victim).map_or(true, |now| now.trim().is_empty() || now == pid) {
            assert!(since.elapsed() < RECOVERY_TIME_MAX, "PostgreSQL does not come back");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its files are sound, says SQLite; PostgreSQL's are read whole.
    pub fn is_sound(&self) {
        match (&self.files, &self.cluster) {
            (Some(folder), _) => {
                for path in phone::files(folder) {
                    if std::fs::read(&path).expect("a file").starts_with(b"SQLite format 3\0") {
                        phone::check(&path);
                    }
                }
            }
            (None, Some(cluster)) => {
                cluster
                    .psql(DATABASE, SUPERUSER, "CREATE EXTENSION IF NOT EXISTS amcheck")
                    .expect("amcheck");
                let sql = "SELECT bt_index_check(i.indexrelid, true) FROM pg_index i \
                           JOIN pg_class c ON c.oid = i.indexrelid \
                           JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree' \
                           WHERE c.relpersistence = 'p'";
                cluster.psql(DATABASE, SUPERUSER, sql).expect("indexes fit their tables");
            }
            (None, None) => {}
        }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("a program");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The directory of `sync-server` and `campo-device`.
pub fn programs() -> PathBuf {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(system_tests::programs::built).clone()
}
