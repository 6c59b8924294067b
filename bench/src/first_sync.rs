//! `first-sync`: all rows of a project to a new device, durable, beside the sum of reading them
//! from PostgreSQL and writing them to SQLite.

use crate::measure::{median, ms, ratio};
use crate::table::Table;
use crate::world::World;
use crate::{Result, device, limit};

/// What the issue asks for, as a multiple of the limit.
const GOAL: f64 = 1.2;
/// What the issue asks for, in MiB.
const MEMORY_GOAL_MIB: f64 = 32.0;

/// Measures, and prints the table.
pub async fn run(row_count: usize, repetitions: usize) -> Result {
    let world = World::start(row_count).await?;
    let mut sql = world.connect().await?;
    let rows = limit::rows(&world).await?;
    let dir = tempfile::tempdir()?;
    let (mut copies, mut inserts, mut syncs, mut memory) = (vec![], vec![], vec![], vec![]);
    let mut bytes = 0;
    let mut cpu = vec![];
    for number in 0..=repetitions {
        let (copied, length) = limit::copy(&mut sql, world.tenant).await?;
        let inserted = limit::insert(&rows, &dir.path().join(format!("limit-{number}.db")))?;
        let phone = dir.path().join(format!("phone-{number}"));
        let outcome = device::in_own_process(&world.server.url(), &phone, 0, 1).await?;
        if outcome.rows != row_count as u64 + 1 {
            return Err(format!("{} rows came, not {}", outcome.rows, row_count + 1).into());
        }
        std::fs::remove_dir_all(&phone)?;
        eprintln!(
            "  copy {} · insert {} · sync {} (phone's CPU {} ms) · {:.1} MiB",
            ms(copied),
            ms(inserted),
            ms(outcome.sync()),
            outcome.cpu_us / 1000,
            outcome.memory_mib(),
        );
        // The first one warms up.
        if number > 0 {
            bytes = length;
            copies.push(copied);
            inserts.push(inserted);
            syncs.push(outcome.sync());
            cpu.push(std::time::Duration::from_micros(outcome.cpu_us));
            memory.push(outcome.memory_mib());
        }
    }
    world.stop().await;
    let (copy, insert, sync) = (median(copies), median(inserts), median(syncs));
    let mut table = Table::new();
    table.figure("(a) COPY to STDOUT, binary, thrown away", ms(copy));
    table.figure("    its size", format!("{:.1} MB", bytes as f64 / 1e6));
    table.figure("(b) prepared INSERTs into SQLite, one transaction", ms(insert));
    table.figure("first sync, end to end", ms(sync));
    table.figure("    the phone's CPU time", ms(median(cpu)));
    table.goal("first sync ÷ (a + b)", ratio(sync, copy + insert), GOAL, "×");
    memory.sort_by(f64::total_cmp);
    let most = memory.last().copied().unwrap_or_default();
    table.goal("the phone's peak memory above idle", most, MEMORY_GOAL_MIB, " MiB");
    table.print(&format!(
        "First sync of {row_count} rows of 12 columns (medians of {repetitions}, in turns)"
    ));
    Ok(())
}
