//! A phone: a folder, and `campo-device`, which may be killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value as Json;

use crate::office::{PASSWORD, TENANT, programs};

/// Somebody's phone.
pub struct Phone {
    /// Whose it is.
    pub owner: &'static str,
    folder: PathBuf,
}

/// A command that was begun.
pub struct Begun(Child);

impl Begun {
    /// Waits until it has ended, well or not.
    pub fn ends(mut self) {
        self.0.wait().expect("a process");
    }
}

impl Phone {
    /// A new phone.
    pub fn new(folder: &Path, owner: &'static str) -> Self {
        Self { owner, folder: folder.join(owner) }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(programs().join("campo-device"));
        command.arg("--data").arg(&self.folder).arg("--json").args(arguments);
        command.env_remove("CAMPO_LOG").stdin(Stdio::null());
        command
    }

    /// Does something that may fail; with its problem if it does.
    pub fn tries(&self, arguments: &[&str]) -> Result<Json, String> {
        let output = self.command(arguments).output().expect("campo-device");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(serde_json::from_slice(&output.stdout).expect("one document"))
    }

    /// Does something that must not fail.
    pub fn does(&self, arguments: &[&str]) -> Json {
        self.tries(arguments)
            .unwrap_or_else(|problem| panic!("{} {arguments:?}: {problem}", self.owner))
    }

    /// Begins something.
    pub fn begin(&self, arguments: &[&str]) -> Begun {
        let mut command = self.command(arguments);
        Begun(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("campo-device"))
    }

    /// Does something and is killed after a while; whether the kill came in time.
    pub fn does_until(&self, after: Duration, arguments: &[&str]) -> bool {
        let Begun(mut child) = self.begin(arguments);
        std::thread::sleep(after);
        let running = child.try_wait().expect("a process").is_none();
        // SIGKILL: nothing of the program gets to know of it.
        child.kill().expect("a kill");
        child.wait().expect("a process");
        running
    }

    /// Puts a record and is killed after a while.
    pub fn put_until(&self, after: Duration, (collection, fields): &(&str, Json)) -> bool {
        self.does_until(after, &["put", collection, &fields.to_string()])
    }

    /// Puts a record; its id.
    pub fn puts(&self, (collection, fields): &(&str, Json)) -> String {
        let put = self.does(&["put", collection, &fields.to_string()]);
        put["id"].as_str().expect("an id").to_owned()
    }

    /// Signs its owner in.
    pub fn logs_in(&self, server: &str) {
        self.logs_in_as(self.owner, server);
    }

    /// Signs somebody in.
    pub fn logs_in_as(&self, login: &str, server: &str) {
        let who = ["--tenant", TENANT, "--user", login, "--password", PASSWORD];
        self.does(&[&["login", "--server", server], &who[..]].concat());
    }

    /// Its databases are sound, says SQLite.
    pub fn is_sound(&self) {
        let mut checked = 0;
        for path in files(&self.folder) {
            if std::fs::read(&path).expect("a file").starts_with(b"SQLite format 3\0") {
                check(&path);
                checked += 1;
            }
        }
        assert!(checked > 0, "{} has no database", self.owner);
    }
}

/// Every file under a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// `PRAGMA integrity_check` says `ok`.
pub fn check(path: &Path) {
    let db = rusqlite::Connection::open(path).expect("a database");
    let told: String =
        db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("integrity_check");
    assert_eq!(told, "ok", "{}", path.display());
}
