//! `conflicts`: shows conflicts, from the server: both versions, who made them and when.

use mobile_core::Core;
use mobile_core::core::ConflictFilter;
use sync_protocol::Scope;
use sync_protocol::problem::Problem;
use sync_protocol::value::parse_timestamp;
use sync_protocol::wire::review::{Authorship, Conflict, ConflictStatus, Keep, Severity};

use super::problem;
use crate::output::{Output, duration, line, moment, plain};

/// Which ones.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `open`, `claimed`, `resolved`, `informational`; several with commas.
    #[arg(long, default_value = "open,claimed", value_delimiter = ',', value_parser = word::<ConflictStatus>)]
    status: Vec<ConflictStatus>,
    /// `collision` (to be decided) or `merged` (for information).
    #[arg(long, value_parser = word::<Severity>)]
    severity: Option<Severity>,
    /// Only this collection.
    #[arg(long)]
    collection: Option<String>,
    /// Only rows of this scope, `project:<id>`.
    #[arg(long)]
    scope: Option<Scope>,
    /// Opened not before this time, `2026-11-24T08:00:00-06:00`.
    #[arg(long, value_name = "TIME", value_parser = moment_us)]
    opened_after: Option<i64>,
    /// Opened before this time.
    #[arg(long, value_name = "TIME", value_parser = moment_us)]
    opened_before: Option<i64>,
    /// One page of at most so many, 1 to 200; without it all are shown.
    #[arg(long)]
    limit: Option<usize>,
    /// Where the page begins: the end of the page before (`next`).
    #[arg(long, requires = "limit")]
    after: Option<String>,
}

fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

fn moment_us(text: &str) -> Result<i64, String> {
    parse_timestamp(text).ok_or_else(|| "a time such as 2026-11-24T08:00:00-06:00".to_owned())
}

pub async fn run(core: &Core, args: Args, output: Output) -> Result<(), Problem> {
    let one_page = args.limit.is_some();
    let mut filter = ConflictFilter {
        status: args.status,
        severity: args.severity,
        collection: args.collection,
        scope: args.scope,
        opened_after_us: args.opened_after,
        opened_before_us: args.opened_before,
        after: args.after,
        limit: args.limit,
    };
    if one_page {
        let page = core.conflicts(&filter).await.map_err(problem)?;
        return output.result(&page, |page| {
            let more = page.next.as_ref().map(|next| format!("\nMore: --after {next}"));
            format!("{}{}", describe_all(&page.conflicts), more.unwrap_or_default())
        });
    }
    let mut all = Vec::new();
    loop {
        let page = core.conflicts(&filter).await.map_err(problem)?;
        all.extend(page.conflicts);
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
    }
    output.result(&all, |all| describe_all(all))
}

fn describe_all(conflicts: &[Conflict]) -> String {
    match conflicts.len() {
        0 => "No conflicts.".to_owned(),
        _ => conflicts.iter().map(describe).collect::<Vec<_>>().join("\n"),
    }
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
    let current = match conflict.scopes.as_slice() {
        [] => plain(&conflict.current),
        scopes => {
            let scopes: Vec<String> = scopes.iter().map(Scope::to_string).collect();
            format!("has no such record; it would belong to {}", line(&scopes.join(", ")))
        }
    };
    text.push_str(&format!("  server   {current}{by}\n"));
    for candidate in &conflict.candidates {
        let value = plain(&candidate.value);
        let why = candidate.reason.map_or("", |_| " (its author does not see the record any more)");
        text.push_str(&format!("  edit     {value}{}{why}\n", author(&candidate.by)));
        text.push_str(&format!("           --keep {}\n", candidate.receipt));
    }
    for note in &conflict.notes {
        text.push_str(&format!("  note     {} ({})\n", line(&note.text), moment(note.at_us)));
    }
    if let Some(resolution) = &conflict.resolution {
        let kept = match &resolution.keep {
            Keep::Server => "the server's value".to_owned(),
            Keep::Candidate(receipt) => format!("the edit {receipt}"),
            Keep::Value(value) => plain(value),
        };
        let when = moment(resolution.at_us);
        text.push_str(&format!("  decided  {kept}: {} ({when})\n", line(&resolution.reason)));
    }
    text
}

fn author(by: &Authorship) -> String {
    let mut text = format!("  by {}", line(by.user_name.as_deref().unwrap_or("the office (SQL)")));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_words_and_times() {
        assert_eq!(word::<Severity>("merged"), Ok(Severity::Merged));
        assert!(word::<ConflictStatus>("closed").is_err());
        assert_eq!(moment_us("1970-01-01T00:00:01Z"), Ok(1_000_000));
        assert!(moment_us("yesterday").is_err());
    }
}
