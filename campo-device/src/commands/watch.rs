//! `watch`: keeps syncing and tells what changes, until Ctrl-C. It hears of what others change by the
//! server's events; its pause between syncs is for when there are none.
//!
//! With `--json` each line is a document of its own (JSON lines): `{"event":"synced", …}` after each
//! round with the counts of receipts and what went wrong, `{"event":"changed","tables":[…]}` after each
//! commit that changed tables, and with a SELECT `{"event":"result", …}` with its rows whenever they
//! may have changed.

use std::collections::BTreeMap;
use std::time::Duration;

use mobile_core::Core;
use mobile_core::query::QueryResult;
use mobile_core::sync::Phase;
use serde::Serialize;
use sync_protocol::problem::Problem;
use tokio_util::sync::CancellationToken;

use super::problem;
use super::query::table;
use crate::output::Output;

/// What to watch.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A SELECT to show again whenever a table that it reads has changed.
    sql: Option<String>,
    /// Pause between syncs, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
}

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    /// A round ended.
    Synced { receipts: BTreeMap<String, i64>, failure: Option<String> },
    /// A commit changed these tables.
    Changed { tables: Vec<String> },
    /// The SELECT's rows.
    Result(QueryResult),
}

pub async fn run(core: &Core, args: Args, output: Output) -> Result<(), Problem> {
    let engine = core.engine().map_err(problem)?;
    let cancel = CancellationToken::new();
    let mut progress = engine.progress();
    let mut changes = engine.store().subscribe();
    let mut seen = changes.borrow_and_update().clone();
    let mut live = args.sql.as_deref().map(|sql| core.watch(sql)).transpose().map_err(problem)?;
    if let Some(sql) = &args.sql {
        show(&Event::Result(core.query(sql, &[]).map_err(problem)?), output)?;
    }
    let mut timer = tokio::time::interval(Duration::from_secs(args.every));
    timer.tick().await;
    let rounds = engine.run(&cancel);
    tokio::pin!(rounds);
    let mut was = Phase::Idle;
    loop {
        let event = tokio::select! {
            () = &mut rounds => return Ok(()),
            _ = tokio::signal::ctrl_c() => {
                cancel.cancel();
                rounds.await;
                return Ok(());
            }
            _ = timer.tick() => {
                engine.kick();
                continue;
            }
            Ok(()) = progress.changed() => {
                let phase = progress.borrow_and_update().phase;
                let ended = was != Phase::Idle && phase == Phase::Idle;
                was = phase;
                if !ended {
                    continue;
                }
                // The outcome is noted just after the phase ends.
                tokio::task::yield_now().await;
                let status = core.status().map_err(problem)?;
                let failure = status.last_failure.map(|failure| failure.text);
                Event::Synced { receipts: status.receipts, failure }
            }
            true = changed(&mut live) => {
                let sql = args.sql.as_deref().unwrap_or_default();
                Event::Result(core.query(sql, &[]).map_err(problem)?)
            }
            Ok(()) = changes.changed(), if live.is_none() => {
                let now = changes.borrow_and_update().clone();
                let newer = |table: &&String| now.tables.get(*table) > seen.tables.get(*table);
                let tables: Vec<String> = now.tables.keys().filter(newer).cloned().collect();
                seen = now;
                if tables.is_empty() {
                    continue;
                }
                Event::Changed { tables }
            }
        };
        show(&event, output)?;
    }
}

async fn changed(live: &mut Option<mobile_core::query::LiveQuery>) -> bool {
    match live {
        Some(live) => live.changed().await,
        None => std::future::pending().await,
    }
}

fn show(event: &Event, output: Output) -> Result<(), Problem> {
    output.result(event, |event| match event {
        Event::Synced { failure: Some(failure), .. } => format!("Sync failed: {failure}"),
        Event::Synced { receipts, failure: None } => {
            let counts: Vec<String> =
                receipts.iter().map(|(state, count)| format!("{count} {state}")).collect();
            let counts = if counts.is_empty() { "no edits".to_owned() } else { counts.join(", ") };
            format!("Synced ({counts}).")
        }
        Event::Changed { tables } => format!("Changed: {}", tables.join(", ")),
        Event::Result(result) => table(result).show("No rows."),
    })
}
