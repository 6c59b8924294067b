//! Running programs: each is printed first, so that it can be run by hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, interrupt};

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where cargo puts programs: beside this one.
///
/// # Errors
/// When the system does not say where this program is.
pub fn programs() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    this.parent().map(Path::to_owned).ok_or_else(|| "this program has no directory".into())
}

/// Cargo, in the checkout.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).current_dir(root());
    cargo
}

/// Prints a command and runs it to its end.
///
/// # Errors
/// When it cannot be started, fails, or Ctrl-C was pressed.
pub fn run(command: &mut Command) -> Result {
    let shown = shown(command);
    eprintln!("\n\x1b[1m$ {shown}\x1b[0m");
    let status = command.status().map_err(|error| format!("{shown}: {error}"))?;
    if interrupt::happened() {
        return Err("interrupted".into());
    }
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed ({status})").into()) }
}

/// Whether a program can be run.
pub fn is_there(program: &str) -> bool {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&directories).any(|directory| directory.join(program).is_file())
}

/// Whether this process may install packages.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// As one would type it.
fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let set = command.get_envs().filter_map(|(variable, value)| {
        Some(format!("{}={}", variable.display(), value?.display()))
    });
    let words =
        std::iter::once(name).chain(command.get_args()).map(|word| word.display().to_string());
    set.chain(words).map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

/// In quotes where a shell needs them.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_one_would_type_them() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["test", "--", "it's me"]).env("CI", "true");
        assert_eq!(shown(&command), "CI=true cargo test -- 'it'\\''s me'");
    }
}
