//! `conflicts`: shows conflicts, from the server: both versions, who made them and when.

use mobile_core::Core;
use sync_protocol::problem::Problem;
use sync_protocol::wire::review::{Authorship, Conflict, Keep, Severity};

use super::problem;
use crate::output::{Output, duration, moment, plain};

/// Which ones.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `open`, `claimed`, `resolved`, `informational`; several with commas.
    #[arg(long, default_value = "open,claimed")]
    status: String,
    /// Only this collection.
    #[arg(long)]
    collection: Option<String>,
}

pub async fn run(core: &Core, args: &Args, output: Output) -> Result<(), Problem> {
    let mut filter = format!("status={}", encoded(&args.status));
    if let Some(collection) = &args.collection {
        filter.push_str(&format!("&collection={}", encoded(collection)));
    }
    let mut all = Vec::new();
    let mut query = filter.clone();
    loop {
        let page = core.conflicts(&query).await.map_err(problem)?;
        all.extend(page.conflicts);
        let Some(next) = page.next else { break };
        query = format!("{filter}&after={}", encoded(&next));
    }
    output.result(&all, |all| match all.len() {
        0 => "No conflicts.".to_owned(),
        _ => all.iter().map(describe).collect::<Vec<_>>().join("\n"),
    })
}

/// A conflict as a supervisor reads it.
pub fn describe(conflict: &Conflict) -> String {
    let field = conflict.field.as_deref().map(|f| format!(".{f}")).unwrap_or_default();
    let kind = match conflict.severity {
        Severity::Collision => "to be decided",
        Severity::Merged => "merged, for information",
    };
    let status = format!("{:?}", conflict.status).to_lowercase();
    let mut text = format!("{}  {}{field}  {status}, {kind}\n", conflict.id, conflict.collection);
    text.push_str(&format!("  record   {}\n", conflict.record));
    if let Some(base) = &conflict.base {
        text.push_str(&format!("  before   {}\n", plain(base)));
    }
    let by = conflict.current_by.as_ref().map(author).unwrap_or_default();
    text.push_str(&format!("  server   {}{by}\n", plain(&conflict.current)));
    for candidate in &conflict.candidates {
        let value = plain(&candidate.value);
        text.push_str(&format!("  edit     {value}{}\n", author(&candidate.by)));
        text.push_str(&format!("           --keep {}\n", candidate.receipt));
    }
    for note in &conflict.notes {
        text.push_str(&format!("  note     {} ({})\n", note.text, moment(note.at_us)));
    }
    if let Some(resolution) = &conflict.resolution {
        let kept = match &resolution.keep {
            Keep::Server => "the server's value".to_owned(),
            Keep::Candidate(receipt) => format!("the edit {receipt}"),
            Keep::Value(value) => plain(value),
        };
        let when = moment(resolution.at_us);
        text.push_str(&format!("  decided  {kept}: {} ({when})\n", resolution.reason));
    }
    text
}

fn author(by: &Authorship) -> String {
    let mut text = format!("  by {}", by.user_name.as_deref().unwrap_or("the office (SQL)"));
    if let Some(device) = &by.device_name {
        text.push_str(&format!(" on {device}"));
    }
    text.push_str(&format!(", {}", moment(by.edited_at_us)));
    if by.uncertain {
        text.push_str(" (uncertain)");
    }
    if let Some(offline) = by.offline_us {
        text.push_str(&format!(", reached the server {} later", duration(offline)));
    }
    text
}

/// For the query part of an address.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b',' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_query_means_is_escaped() {
        assert_eq!(encoded("open,claimed"), "open,claimed");
        assert_eq!(encoded("a&b=ñ"), "a%26b%3D%C3%B1");
    }
}
