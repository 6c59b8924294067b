//! A phone: a folder, and `campo-device` for whatever is done with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use super::{Result, Stage, company, program, telling};

/// Somebody's phone.
pub struct Device {
    /// Whose it is, as they log in.
    pub owner: &'static str,
    program: PathBuf,
    folder: PathBuf,
}

impl Device {
    /// A new phone.
    pub fn new(stage: &Stage, owner: &'static str) -> Self {
        Self {
            owner,
            program: stage.programs.join("campo-device"),
            folder: stage.folder.join(owner),
        }
    }

    /// Does something, told as its owner types it.
    ///
    /// # Errors
    /// With the problem that the phone reports.
    pub fn does(&self, arguments: &[&str]) -> Result<Json> {
        telling::typed(self.owner, &shown(arguments));
        self.quietly(arguments)
    }

    /// Does something that the story does not tell.
    ///
    /// # Errors
    /// With the problem that the phone reports.
    pub fn quietly(&self, arguments: &[&str]) -> Result<Json> {
        let mut command = Command::new(&self.program);
        command.arg("--data").arg(&self.folder).arg("--json").args(arguments);
        program::answer(command.env_remove("CAMPO_LOG"))
    }

    /// Logs its owner in.
    ///
    /// # Errors
    /// With the problem that the phone reports.
    pub fn logs_in(&self, server: &str, device_name: &str) -> Result {
        self.does(&[
            "login",
            "--server",
            server,
            "--tenant",
            company::TENANT,
            "--user",
            self.owner,
            "--password",
            company::PASSWORD,
            "--device-name",
            device_name,
        ])?;
        Ok(())
    }

    /// Inserts or updates a record and returns its id.
    ///
    /// # Errors
    /// With the problem that the phone reports.
    pub fn puts(&self, collection: &str, fields: &Json) -> Result<String> {
        let answer = self.does(&["put", collection, &fields.to_string()])?;
        let id = answer["id"].as_str().ok_or_else(|| format!("put answered {answer}"))?;
        Ok(id.to_owned())
    }

    /// A field of a record.
    ///
    /// # Errors
    /// With the problem that the phone reports.
    pub fn sees(&self, collection: &str, id: &str, field: &str) -> Result<Json> {
        Ok(self.quietly(&["get", collection, id])?[field].take())
    }

    /// How many receipts a list has.
    ///
    /// # Errors
    /// With the problem that the phone reports.
    pub fn counts(&self, list: &str) -> Result<Json> {
        Ok(self.quietly(&[list])?.as_array().map_or(0, Vec::len).into())
    }

    /// The program, for people.
    pub fn program_shown(&self) -> String {
        relative(&self.program)
    }

    /// The folder, for people.
    pub fn folder_shown(&self) -> String {
        relative(&self.folder)
    }
}

/// Shorter where it is below the current directory.
fn relative(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

fn shown(arguments: &[&str]) -> String {
    let words = arguments.iter().map(|word| match word.contains([' ', '"', '{']) {
        true => format!("'{}'", word.replace('\'', "'\\''")),
        false => (*word).to_owned(),
    });
    format!("campo-device {}", words.collect::<Vec<_>>().join(" "))
}
