//! How the story is told, and how a step checks what it says.

use serde_json::Value as Json;

use super::Result;

/// Begins a chapter.
pub fn chapter(title: &str) {
    println!("\n\x1b[1m── {title} ──\x1b[0m");
}

/// Tells a step.
pub fn tell(text: &str) {
    println!("\n{text}");
}

/// Shows what somebody types.
pub fn typed(who: &str, command: &str) {
    println!("  \x1b[2m{who:>6} $ {command}\x1b[0m");
}

/// Checks a claim and tells it.
///
/// # Errors
/// Says what was expected and what was found.
pub fn check(claim: &str, found: &Json, expected: &Json) -> Result {
    if found == expected {
        println!("    ✓ {claim}");
        return Ok(());
    }
    Err(format!("the story says: {claim}\n  expected {expected}\n  found    {found}").into())
}
