//! `push`: queued edits to the server, beside one `UPDATE … FROM` of the same rows.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::measure::{median, ms, ratio};
use crate::table::Table;
use crate::world::{self, World};
use crate::{Result, device, least_writes};

/// What the issue asks for, as a multiple of the limit.
const GOAL: f64 = 3.0;

/// Measures, and prints the table.
pub async fn run(row_count: usize, edits: usize, repetitions: usize) -> Result {
    let world = World::start(row_count).await?;
    let mut sql = world.connect().await?;
    let dir = tempfile::tempdir()?;
    let phone = dir.path().join("phone");
    device::in_own_process(&world.server.url(), &phone, 0, 1).await?;
    for statement in [
        "CREATE TABLE medicion.sin_captura (LIKE medicion.mediciones INCLUDING ALL)",
        "INSERT INTO medicion.sin_captura SELECT * FROM medicion.mediciones",
        "VACUUM ANALYZE medicion.sin_captura",
    ] {
        world::run(&mut sql, statement.to_owned()).await?;
    }
    least_writes::prepare(&mut sql).await?;
    let (mut bare, mut captured, mut leasts, mut pushes) = (vec![], vec![], vec![], vec![]);
    for number in 0..=repetitions {
        let plain = update(&mut sql, "medicion.sin_captura", world.tenant, 0, edits).await?;
        // Other rows than the phone's, which would meet edits of somebody else otherwise.
        let after = row_count.saturating_sub(edits);
        let with = update(&mut sql, "medicion.mediciones", world.tenant, after, edits).await?;
        let outcome = device::in_own_process(&world.server.url(), &phone, edits, 1).await?;
        if outcome.applied != edits as u64 || outcome.not_applied != 0 {
            return Err(format!(
                "{} edits were applied and {} answered otherwise",
                outcome.applied, outcome.not_applied
            )
            .into());
        }
        let written = least(&mut sql, &world, edits).await?;
        eprintln!(
            "  UPDATE {} · with capture {} · least writes {} · push {} · push and pull {}",
            ms(plain),
            ms(with),
            ms(written),
            ms(outcome.push()),
            ms(outcome.sync()),
        );
        if number > 0 {
            bare.push(plain);
            captured.push(with);
            leasts.push(written);
            pushes.push(outcome.push());
        }
    }
    world.stop().await;
    let (bare, captured, push) = (median(bare), median(captured), median(pushes));
    let least = median(leasts);
    let mut table = Table::new();
    table.figure("UPDATE … FROM, table without capture", ms(bare));
    table.figure("UPDATE … FROM, table with capture", ms(captured));
    table.figure("least writes: rows locked, rows, their entries, receipts", ms(least));
    table.figure("push: edits queued → receipts durable on the phone", ms(push));
    table.figure("push ÷ UPDATE with capture", format!("{:.2}×", ratio(push, captured)));
    table.figure("least writes ÷ UPDATE without capture", format!("{:.2}×", ratio(least, bare)));
    table.figure("push ÷ least writes", format!("{:.2}×", ratio(push, least)));
    table.goal("push ÷ UPDATE without capture", ratio(push, bare), GOAL, "×");
    table.print(&format!(
        "Push of {edits} edits of 3 fields, a transaction each (medians of {repetitions}, in turns)"
    ));
    Ok(())
}

/// What this push had to write in any case, of the same rows in tables that nothing watches.
async fn least(sql: &mut PgConnection, world: &World, count: usize) -> Result<Duration> {
    changes(sql, "medicion.minimo", world.tenant, 0, count).await?;
    least_writes::write(sql, world.tenant).await
}

/// One `UPDATE … FROM` of three fields of so many rows, with its commit.
async fn update(
    sql: &mut PgConnection,
    table: &str,
    tenant: Uuid,
    offset: usize,
    count: usize,
) -> Result<Duration> {
    changes(sql, table, tenant, offset, count).await?;
    let since = Instant::now();
    world::run(
        sql,
        format!(
            "UPDATE {table} b SET avance_pct = c.avance_pct, cantidad = c.cantidad, notas = c.notas \
             FROM cambios c WHERE b.tenant_id = '{tenant}' AND b.id = c.id"
        ),
    )
    .await?;
    Ok(since.elapsed())
}

/// Writes down in `pg_temp.cambios` what so many rows of a table are to become.
async fn changes(
    sql: &mut PgConnection,
    table: &str,
    tenant: Uuid,
    offset: usize,
    count: usize,
) -> Result {
    world::run(
        sql,
        format!(
            "DROP TABLE IF EXISTS pg_temp.cambios; CREATE TEMP TABLE cambios AS \
             SELECT id, (avance_pct + 1) % 101 AS avance_pct, \
             (cantidad + 0.125) % 9000 AS cantidad, 'corregida ' || avance_pct || ' ' || id AS notas \
             FROM {table} WHERE tenant_id = '{tenant}' ORDER BY id OFFSET {offset} LIMIT {count}"
        ),
    )
    .await?;
    world::run(sql, "ANALYZE cambios".to_owned()).await
}
