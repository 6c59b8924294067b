//! `cargo xtask lint`: format, lints, licences.

use crate::Result;
use crate::shell::{cargo, is_there, root, run};

/// Runs them all.
///
/// # Errors
/// Names the first that is not satisfied.
pub fn run_all() -> Result {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    if !is_there("cargo-deny") {
        eprintln!(
            "\ncargo-deny is not installed: licences and advisories (deny.toml) not checked."
        );
        return Ok(());
    }
    run(&mut cargo(&["deny", "--offline", "check", "licenses", "bans", "sources"]))?;
    // The database of advisories comes from the network; an older copy does where there is one.
    let copies = std::env::home_dir().map(|home| home.join(".cargo/advisory-dbs"));
    if copies.is_some_and(|copies| copies.is_dir()) {
        run(&mut cargo(&["deny", "--offline", "check", "advisories"]))?;
    } else {
        eprintln!(
            "\nNo copy of the advisory database: `cargo deny fetch` in {}.",
            root().display()
        );
    }
    Ok(())
}
