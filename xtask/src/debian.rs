//! What tasks need beside Rust, as Debian's packages.

use std::process::Command;

use crate::Result;
use crate::shell::{self, is_there, run};

/// Installs packages where that is allowed; otherwise says the command, and `otherwise` what else would do.
///
/// # Errors
/// When it is not allowed, or fails.
pub fn install(packages: &[&str], otherwise: &str) -> Result {
    let command = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    if !shell::is_root() || !is_there("apt-get") {
        return Err(format!(
            "{} is missing. Install it, for example with:\n    sudo {command}\n({otherwise})",
            packages.join(" and ")
        )
        .into());
    }
    run(Command::new("apt-get").args(["update", "-q"]))?;
    run(Command::new("apt-get")
        .args(["install", "-y", "-q", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}
