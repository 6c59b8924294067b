//! Two public tus clients, which the system's tests let upload photos: tus-js-client from npm and tuspy from PyPI.
//! Fetched on first use into the target folder; what cannot be had is not asked, and that is said.

use std::path::PathBuf;
use std::process::Command;

use crate::Result;
use crate::shell::{is_there, programs, run};

/// Versions that are known to work. The test is about the server, not about the newest client.
const NPM: &str = "tus-js-client@4.3.1";
const PYPI: &str = "tuspy==1.1.0";

/// The folder with `node_modules` and `python`, as far as they could be had.
pub fn ensure() -> Option<PathBuf> {
    let folder = programs().ok()?.with_file_name("tus-clients");
    std::fs::create_dir_all(&folder).ok()?;
    for (package, fetched) in [(NPM, npm(&folder)), (PYPI, pypi(&folder))] {
        if let Err(error) = fetched {
            eprintln!("\n{package} does not upload: {error}");
        }
    }
    Some(folder)
}

fn npm(folder: &std::path::Path) -> Result {
    if folder.join("node_modules/tus-js-client").is_dir() {
        return Ok(());
    }
    if !is_there("npm") {
        return Err("npm is not installed".into());
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(folder).arg(NPM);
    run(&mut npm)
}

fn pypi(folder: &std::path::Path) -> Result {
    let python = folder.join("python");
    if python.join("tusclient").is_dir() {
        return Ok(());
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip.arg("--root-user-action=ignore").arg("--target").arg(python).arg(PYPI);
    run(&mut pip)
}
