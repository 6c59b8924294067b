//! The server: `sync-server serve` on a free port, ended with the story.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

use super::{Result, Stage, program, telling};

/// A running server.
pub struct Server {
    /// Its address.
    pub url: String,
    /// Where it logs.
    pub log: PathBuf,
    process: Child,
}

impl Server {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// With its own words, when it does not start.
    pub fn start(stage: &Stage) -> Result<Self> {
        telling::typed("office", "sync-server serve --listen 127.0.0.1:0");
        let mut command = Command::new(stage.programs.join("sync-server"));
        command.args(["--json", "serve", "--listen", "127.0.0.1:0"]);
        command.args(stage.database.arguments());
        command.env("CAMPO_PHOTOS", stage.database.photos(&stage.folder));
        let log = stage.folder.join("server.log");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut process = command.spawn()?;
        let out = process.stdout.take().ok_or("the server has no output")?;
        let mut server = Self { url: String::new(), log, process };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let told: Json = serde_json::from_str(&line).map_err(|_| {
            let said = std::fs::read_to_string(&server.log).unwrap_or_default();
            format!("the server did not start: {line}{said}")
        })?;
        server.url = told["listening"].as_str().ok_or("the server told no address")?.to_owned();
        telling::tell(&format!("The server listens at {}.", server.url));
        Ok(server)
    }

    /// Whether it is gone.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a command of the server's own.
///
/// # Errors
/// With what it says.
pub fn admin(stage: &Stage, arguments: &[&str]) -> Result<Json> {
    telling::typed("office", &shown(arguments));
    let mut command = Command::new(stage.programs.join("sync-server"));
    command.env("CAMPO_PHOTOS", stage.database.photos(&stage.folder));
    command.arg("--json").args(arguments).args(stage.database.arguments());
    program::answer(&mut command)
}

fn shown(arguments: &[&str]) -> String {
    let words = arguments.iter().map(|word| match word.contains(' ') {
        true => format!("'{word}'"),
        false => (*word).to_owned(),
    });
    format!("sync-server {}", words.collect::<Vec<_>>().join(" "))
}
