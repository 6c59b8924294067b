//! Running the real programs, which answer with one JSON document.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use super::Result;

/// Runs a program to its end and returns its document.
///
/// # Errors
/// With what the program said, when it fails or prints something else.
pub fn answer(command: &mut Command) -> Result<Json> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let name = Path::new(command.get_program()).file_name().unwrap_or_default().display();
        return Err(format!("{name} ended with {}: {}", output.status, said.trim()).into());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&output.stdout);
        format!("{command:?}\n  printed no JSON ({error}): {said}").into()
    })
}
