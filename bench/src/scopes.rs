//! `scopes`: what grants cost a pull that finds nothing, and a scope that is gained.

use std::time::Duration;

use crate::measure::{median, ms, ratio};
use crate::table::Table;
use crate::world::{World, run as sql_run};
use crate::{Result, device};

/// Rows of the scope that is gained.
const ROWS: usize = 50_000;
/// Grants of the two people compared.
const FEW: usize = 10;
const MANY: usize = 1_000;
/// Syncs in one repetition.
const SYNCS: usize = 50;
/// Long enough that the next pull has a new witness, so that nothing is sent twice.
const SETTLE: Duration = Duration::from_secs(1);

/// Measures, and prints the table.
pub async fn run(repetitions: usize) -> Result {
    let world = World::start(ROWS).await?;
    let mut sql = world.connect().await?;
    let dir = tempfile::tempdir()?;
    let phone = dir.path().join("phone");
    let url = world.server.url();
    let (mut first, mut gained) = (Vec::new(), Vec::new());
    for number in 0..=repetitions {
        let fresh = dir.path().join(format!("fresh-{number}"));
        let outcome = device::in_own_process(&url, &fresh, 0, 1).await?;
        let phone = if number == 0 { &phone } else { &fresh };
        if number == 0 {
            std::fs::rename(&fresh, phone)?;
            continue;
        }
        first.push(outcome.sync());
        let project = "scope LIKE 'project:%'";
        sql_run(&mut sql, format!("UPDATE sync.grants SET gone = true WHERE {project}")).await?;
        tokio::time::sleep(SETTLE).await;
        device::in_own_process(&url, phone, 0, 1).await?;
        sql_run(&mut sql, format!("UPDATE sync.grants SET gone = false WHERE {project}")).await?;
        let outcome = device::in_own_process(&url, phone, 0, 1).await?;
        if outcome.rows != ROWS as u64 + 1 {
            return Err(format!("{} rows came, not {}", outcome.rows, ROWS + 1).into());
        }
        eprintln!("  scope gained: {}", ms(outcome.sync()));
        gained.push(outcome.sync());
        std::fs::remove_dir_all(phone)?;
    }
    let mut idle = Vec::new();
    for grants in [FEW, MANY] {
        sql_run(
            &mut sql,
            format!(
                "INSERT INTO sync.grants (tenant_id, user_id, scope, stamp)
                 SELECT tenant_id, id, 'project:' || gen_random_uuid(), pg_current_xact_id()
                 FROM sync.users, generate_series((SELECT count(*) FROM sync.grants) + 1, {grants})"
            ),
        )
        .await?;
        tokio::time::sleep(SETTLE).await;
        device::in_own_process(&url, &phone, 0, 2).await?;
        let mut times = Vec::new();
        for _ in 0..repetitions {
            let outcome = device::in_own_process(&url, &phone, 0, SYNCS).await?;
            eprintln!("  {grants} grants: {}", ms(outcome.sync()));
            times.push(outcome.sync());
        }
        idle.push(median(times));
    }
    world.stop().await;
    let (first, gained) = (median(first), median(gained));
    let mut table = Table::new();
    table.figure("first sync of the scope", ms(first));
    table.figure("the scope gained by a phone that had lost it", ms(gained));
    table.figure("    ÷ first sync", format!("{:.2}×", ratio(gained, first)));
    table.figure("sync that finds nothing, 10 grants", ms(idle[0]));
    table.figure("sync that finds nothing, 1,000 grants", ms(idle[1]));
    table.figure("    1,000 ÷ 10", format!("{:.2}×", ratio(idle[1], idle[0])));
    table.print(&format!("A scope of {ROWS} rows, and grants (medians of {repetitions})"));
    Ok(())
}
