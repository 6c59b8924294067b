//! Running the program.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

/// A data directory of its own, and the program on it.
pub struct Place {
    folder: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with these arguments, on this place's data, and nothing from the environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sync-server"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CAMPO_")) {
            command.env_remove(name);
        }
        command.args(arguments).env("CAMPO_DATA", self.path("data"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, "")
    }

    pub fn run_with(&self, arguments: &[&str], stdin: &str) -> Ended {
        let mut child = self.command(arguments).spawn().expect("started");
        let mut input = child.stdin.take().expect("stdin");
        // Who needs no input may have ended already.
        let _ = input.write_all(stdin.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("ended");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ended {
            success: output.status.success(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// A command that has to succeed, with `--json`: its document.
    pub fn json(&self, arguments: &[&str]) -> Json {
        let ended = self.run(&[&["--json"], arguments].concat());
        assert!(ended.success, "{arguments:?}: {ended:?}");
        assert_eq!(ended.stdout.lines().count(), 1, "not one document: {ended:?}");
        serde_json::from_str(&ended.stdout).expect("JSON")
    }

    /// A command that has to fail, with `--json`: the problem document.
    pub fn problem(&self, arguments: &[&str]) -> Json {
        let ended = self.run(&[&["--json"], arguments].concat());
        assert!(!ended.success, "{arguments:?}: {ended:?}");
        let last = ended.stderr.lines().last().expect("a line on stderr");
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
