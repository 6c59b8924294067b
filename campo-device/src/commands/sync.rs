//! `sync`: sends what waits and fetches what is new, once.
//!
//! A sync that takes longer shows a bar on standard error, if that is a terminal. Ctrl-C stops it;
//! what was done stays.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use mobile_core::sync::{Phase, Progress, SyncReport};
use mobile_core::{Core, CoreError};
use sync_protocol::problem::Problem;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::problem;
use crate::output::Output;

/// Shorter syncs need no bar.
const BAR_AFTER: Duration = Duration::from_millis(700);

/// What is said about photos, before the sync.
pub fn settings(
    core: &Core,
    metered: bool,
    photos_on_wifi: Option<bool>,
    photo_space_mb: Option<u64>,
) -> Result<(), CoreError> {
    if let Some(wait) = photos_on_wifi {
        core.set_photos_unmetered(wait)?;
    }
    if let Some(megabytes) = photo_space_mb {
        core.set_photo_space(megabytes.saturating_mul(1_000_000))?;
    }
    if metered {
        core.engine()?.set_metered(Some(true));
    }
    Ok(())
}

pub async fn run(core: &Core, output: Output) -> Result<(), Problem> {
    let cancel = CancellationToken::new();
    let show_bar = !output.is_json() && std::io::stderr().is_terminal();
    let progress = core.engine().map_err(problem)?.progress();
    let round = core.sync(&cancel);
    tokio::pin!(round);
    let bar = async {
        if show_bar {
            tokio::time::sleep(BAR_AFTER).await;
            follow(progress).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::pin!(bar);
    let report = loop {
        tokio::select! {
            report = &mut round => break report,
            _ = tokio::signal::ctrl_c(), if !cancel.is_cancelled() => cancel.cancel(),
            () = &mut bar => {}
        }
    };
    output.result(&report.map_err(problem)?, describe)
}

/// Draws the bar until it is dropped.
async fn follow(mut progress: watch::Receiver<Progress>) {
    let bar = Bar(ProgressBar::new(0));
    bar.0.enable_steady_tick(Duration::from_millis(100));
    loop {
        let now = *progress.borrow_and_update();
        bar.show(now);
        if progress.changed().await.is_err() {
            return;
        }
    }
}

/// Takes the bar off the screen when the sync is over, whichever way.
struct Bar(ProgressBar);

impl Bar {
    fn show(&self, now: Progress) {
        match now.phase {
            Phase::Pulling if now.rows + now.remaining > 0 => {
                self.style("{spinner} {msg} {bar:30} {pos}/{len} ({eta})");
                self.0.set_length(now.rows + now.remaining);
                self.0.set_position(now.rows);
                self.0.set_message("fetching rows");
            }
            Phase::Pulling => self.wait("fetching what is new"),
            Phase::Pushing => self.wait(&format!("sending edits, {} answered", now.sent)),
            Phase::Photos if now.photos_left > 0 => self.wait(&format!(
                "sending photos, {} to go, {} KB",
                now.photos_left,
                now.photo_bytes_left.div_ceil(1024)
            )),
            Phase::Photos | Phase::Idle => self.wait("finishing"),
        }
    }

    fn wait(&self, message: &str) {
        self.style("{spinner} {msg}");
        self.0.set_message(message.to_owned());
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn describe(report: &SyncReport) -> String {
    let mut text = match report.sent {
        0 => "Sent nothing".to_owned(),
        n => format!("Sent {n}"),
    };
    let outcomes = [
        (report.applied, "applied"),
        (report.superseded, "superseded by somebody else's edit"),
        (report.in_review, "in review"),
        (report.refused, "refused"),
        (report.parked, "waiting for another edit or a row in use"),
    ];
    let told: Vec<String> = outcomes
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, outcome)| format!("{count} {outcome}"))
        .collect();
    if !told.is_empty() {
        text.push_str(&format!(" ({})", told.join(", ")));
    }
    text.push_str(&format!("; {} rows came, {} left.", report.rows, report.exits));
    if report.photos > 0 {
        let kilobytes = report.photo_bytes.div_ceil(1024);
        text.push_str(&format!(" {} pictures are at the server ({kilobytes} KB).", report.photos));
    }
    if report.refused + report.parked > 0 {
        text.push_str(" `problems` says what to do.");
    }
    text
}
