//! The two programs, built from this checkout.

use std::path::PathBuf;
use std::process::Command;

/// The directory of `sync-server` and `campo-device`.
///
/// `cargo xtask test` builds them and says where they are (`CAMPO_TEST_PROGRAMS`); without it they are
/// built here, so that no test runs against old ones.
///
/// # Panics
/// When they do not build.
#[must_use]
pub fn built() -> PathBuf {
    if let Some(built) = std::env::var_os("CAMPO_TEST_PROGRAMS") {
        return built.into();
    }
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "sync-server", "--package", "campo-device"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the programs do not build");
    // The test that asks is in <target>/debug/deps.
    let test = std::env::current_exe().unwrap_or_default();
    test.ancestors().nth(2).map(PathBuf::from).unwrap_or_default()
}
