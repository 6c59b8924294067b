//! `status`: shows how this phone stands.

use mobile_core::Core;
use mobile_core::core::Status;
use sync_protocol::problem::Problem;

use super::problem;
use crate::output::{Output, moment};

pub fn run(core: &Core, output: Output) -> Result<(), Problem> {
    output.result(&core.status().map_err(problem)?, describe)
}

fn describe(status: &Status) -> String {
    let mut lines = vec![("device", status.device.to_string())];
    match &status.person {
        Some(person) => {
            let session = if status.signed_in { "" } else { " – session ended, log in again" };
            let who = format!("{} of {}{session}", person.display_name, person.tenant_name);
            lines.push(("person", who));
            lines.push(("server", person.server.clone()));
        }
        None => lines.push(("person", "nobody is signed in".to_owned())),
    }
    let checkpoint = status.last_checkpoint_us.map_or_else(|| "never".to_owned(), moment);
    lines.push(("in step", checkpoint));
    let receipts: Vec<String> = status
        .receipts
        .iter()
        .map(|(state, n)| format!("{n} {}", state.replace('_', " ")))
        .collect();
    lines
        .push(("edits", if receipts.is_empty() { "none".to_owned() } else { receipts.join(", ") }));
    if let Some(why) = &status.waiting_for {
        lines.push(("waiting for", format!("{} ({})", why.text, why.code)));
    }
    if status.questions > 0 {
        lines.push(("questions", format!("{} for you; `problems` shows them", status.questions)));
    }
    if status.remaining > 0 {
        lines.push(("to fetch", format!("{} rows", status.remaining)));
    }
    if !status.incomplete_scopes.is_empty() {
        lines.push(("incomplete", status.incomplete_scopes.join(", ")));
    }
    if status.photos.files > 0 {
        let photos = &status.photos;
        let kilobytes = photos.bytes.saturating_sub(photos.sent).div_ceil(1024);
        let held = match photos.held_back {
            0 => String::new(),
            n => format!(", {n} of them held back; `photo list` says why"),
        };
        lines.push(("photos", format!("{} to send, {kilobytes} KB{held}", photos.files)));
    }
    if status.damage.found > 0 {
        let (found, repaired) = (status.damage.found, status.damage.repaired);
        lines.push((
            "damage",
            format!("found {found} times, {repaired} repaired; `verify` lists it"),
        ));
    }
    lines.push(("collections", status.collections.join(", ")));
    lines.into_iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}
