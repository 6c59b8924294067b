//! What tasks about photos need: exiftool for the tests; a C compiler's tools and npm's sharp for the benchmark.
//! Each of these is left out where it cannot be had, and that is said.

use std::path::PathBuf;
use std::process::Command;

use crate::shell::{cargo, is_there, programs, run};
use crate::{Result, debian};

/// Installs exiftool, which the tests of `mobile-photo` ask for its opinion. Without it they pass.
pub fn ensure_exiftool() {
    if is_there("exiftool") {
        return;
    }
    let otherwise = "the tests that ask it say so and pass";
    if let Err(error) = debian::install(&["libimage-exiftool-perl"], otherwise) {
        eprintln!("\nexiftool is not asked: {error}");
    }
}

/// Compares the ways to prepare a photo.
///
/// # Errors
/// When the benchmark cannot be built or run to its end. Missed goals are printed.
pub fn bench(arguments: &[String]) -> Result {
    let build = ["build", "--release", "--package", "bench-photos"];
    run(&mut cargo(&build))?;
    let program = released()?;
    let mut options: Vec<String> = Vec::new();
    if let Some(pure) = with_the_c_decoder(&program) {
        options.push(format!("--pure={}", pure.display()));
    }
    if let Some(sharp) = sharp() {
        options.push(format!("--sharp={}", sharp.display()));
    }
    run(Command::new(program).arg("all").args(options).args(arguments))
}

fn released() -> Result<PathBuf> {
    Ok(programs()?.with_file_name("release").join("bench-photos"))
}

/// Builds the program once more with the C decoder, and returns where the one without it was put.
fn with_the_c_decoder(program: &PathBuf) -> Option<PathBuf> {
    let missing: Vec<&str> = ["cmake", "nasm"].into_iter().filter(|tool| !is_there(tool)).collect();
    let installed = missing.is_empty() || debian::install(&missing, "for the C decoder").is_ok();
    let pure = program.with_file_name("bench-photos-pure");
    let copied = std::fs::copy(program, &pure);
    let build = ["build", "--release", "--package", "bench-photos", "--features", "turbojpeg"];
    let built = installed && copied.is_ok() && run(&mut cargo(&build)).is_ok();
    if !built {
        eprintln!(
            "\nThe C decoder could not be built (it needs cmake, nasm and a C compiler): no figures of it."
        );
    }
    built.then_some(pure)
}

/// The folder of npm's sharp, which is fetched on first use.
fn sharp() -> Option<PathBuf> {
    let folder = programs().ok()?.with_file_name("npm");
    let sharp = folder.join("node_modules/sharp");
    if !sharp.is_dir() && is_there("npm") {
        std::fs::create_dir_all(&folder).ok()?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).arg("sharp");
        run(&mut npm).ok()?;
    }
    (sharp.is_dir() && is_there("node")).then_some(sharp)
}
