//! `idle-pull`: a sync that finds nothing new, in a small and in a large company.

use std::time::Duration;

use crate::measure::{median, ms, ratio};
use crate::table::Table;
use crate::world::World;
use crate::{Result, device};

/// Rows of the two.
const SMALL: usize = 10_000;
const LARGE: usize = 1_000_000;
/// Rows that a bulk load brings at once.
const STEP: usize = 100_000;
/// Syncs in one repetition.
const SYNCS: usize = 50;
/// The same cost means: within the noise of this machine.
const GOAL: f64 = 1.2;
/// Long enough that the next pull has a new witness, so that nothing is sent twice.
const SETTLE: Duration = Duration::from_secs(1);

/// Measures, and prints the table.
pub async fn run(repetitions: usize) -> Result {
    let small = World::start(SMALL).await?;
    let large = World::start(SMALL).await?;
    let mut sql = large.connect().await?;
    for from in (SMALL..LARGE).step_by(STEP) {
        large.fill(&mut sql, from, (from + STEP).min(LARGE)).await?;
    }
    let dir = tempfile::tempdir()?;
    let worlds = [(&small, "small"), (&large, "large")];
    for (world, name) in worlds {
        tokio::time::sleep(SETTLE).await;
        device::in_own_process(&world.server.url(), &dir.path().join(name), 0, 1).await?;
    }
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..repetitions {
        for ((world, name), times) in worlds.iter().zip(&mut times) {
            let phone = dir.path().join(name);
            let outcome = device::in_own_process(&world.server.url(), &phone, 0, SYNCS).await?;
            eprintln!("  {name}: {} · {} rows", ms(outcome.sync()), outcome.rows);
            times.push(outcome.sync());
        }
    }
    let [in_small, in_large] = times.map(median);
    let mut table = Table::new();
    table.figure("sync that finds nothing, 10,000 rows", ms(in_small));
    table.figure("sync that finds nothing, 1,000,000 rows", ms(in_large));
    table.goal("large ÷ small", ratio(in_large, in_small), GOAL, "×");
    table.print(&format!(
        "A sync with nothing new, push and pull over loopback (medians of {repetitions} × {SYNCS})"
    ));
    small.stop().await;
    large.stop().await;
    Ok(())
}
