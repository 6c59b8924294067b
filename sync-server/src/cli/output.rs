//! Printing: text for people, or one JSON document for machines.

use std::io::{self, Write};

use serde_json::Value as Json;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// JSON instead of text.
    pub json: bool,
}

impl Output {
    /// Prints the result of a command.
    pub(super) fn print(self, text: &str, json: &Json) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{json}")?
        } else {
            writeln!(out, "{text}")?
        }
        // At once also into a pipe: whoever started a server waits for its address.
        out.flush()
    }
}
