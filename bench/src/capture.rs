//! `capture`: what the triggers cost a writer, beside the same table without them; and how long a
//! bulk load makes another writer of the company wait.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::measure::{median, ms, ratio, us_each};
use crate::table::Table;
use crate::world::{self, World};
use crate::{Result, rows};

/// What the issue aims at.
const STALL_GOAL_MS: f64 = 20.0;
/// Rows that are there before; the other writer works on them.
const PRESENT: usize = 10_000;
/// Single-row transactions in a repetition.
const SINGLES: usize = 300;
const WITH: &str = "medicion.mediciones";
const WITHOUT: &str = "medicion.sin_captura";

/// Figures of one table.
#[derive(Default)]
struct Figures {
    bulk: Vec<Duration>,
    single: Vec<Duration>,
    longest_wait: Vec<Duration>,
}

/// Measures, and prints the table.
pub async fn run(row_count: usize, repetitions: usize) -> Result {
    let world = World::start(PRESENT).await?;
    let mut sql = world.connect().await?;
    for statement in [
        format!("CREATE TABLE {WITHOUT} (LIKE {WITH} INCLUDING ALL)"),
        format!(
            "ALTER TABLE {WITHOUT} ADD FOREIGN KEY (tenant_id, obra_id) REFERENCES medicion.obras (tenant_id, id)"
        ),
        format!("INSERT INTO {WITHOUT} SELECT * FROM {WITH}"),
        "VACUUM ANALYZE".to_owned(),
    ] {
        world::run(&mut sql, statement).await?;
    }
    let (mut without, mut with) = (Figures::default(), Figures::default());
    let mut next = PRESENT;
    for number in 0..=repetitions {
        for (table, figures) in [(WITHOUT, &mut without), (WITH, &mut with)] {
            let rows = next..next + row_count;
            let waits = other_writer(&world, table).await?;
            let since = Instant::now();
            world::run(
                &mut sql,
                rows::insert(table, world.tenant, world.project, rows.start, rows.end),
            )
            .await?;
            let bulk = since.elapsed();
            let longest = waits.longest().await?;
            world::run(&mut sql, "CHECKPOINT".to_owned()).await?;
            let single = singles(&mut sql, table, world.tenant).await?;
            eprintln!(
                "  {table}: bulk {} · single {} · longest wait {}",
                ms(bulk),
                us_each(single, SINGLES),
                ms(longest)
            );
            if number > 0 {
                figures.bulk.push(bulk);
                figures.single.push(single);
                figures.longest_wait.push(longest);
            }
        }
        next += row_count;
    }
    world.stop().await;
    print(&without, &with, row_count, repetitions);
    Ok(())
}

fn print(without: &Figures, with: &Figures, row_count: usize, repetitions: usize) {
    let mut table = Table::new();
    let (bare, captured) = (median(without.bulk.clone()), median(with.bulk.clone()));
    table.figure("bulk, a row, without capture", us_each(bare, row_count));
    table.figure("bulk, a row, with capture", us_each(captured, row_count));
    table.figure("bulk, with ÷ without", format!("{:.2}×", ratio(captured, bare)));
    let (bare, captured) = (median(without.single.clone()), median(with.single.clone()));
    table.figure("single-row transaction, without capture", us_each(bare, SINGLES));
    table.figure("single-row transaction, with capture", us_each(captured, SINGLES));
    table
        .figure("single-row transaction, with ÷ without", format!("{:.2}×", ratio(captured, bare)));
    let longest =
        |figures: &Figures| figures.longest_wait.iter().max().copied().unwrap_or_default();
    let (bare, captured) =
        (median(without.longest_wait.clone()), median(with.longest_wait.clone()));
    table.figure("longest wait of another writer, without capture: median", ms(bare));
    table.figure("longest wait of another writer, without capture: worst", ms(longest(without)));
    table.figure("longest wait of another writer, with capture: worst", ms(longest(with)));
    let wait_ms = captured.as_secs_f64() * 1e3;
    table.goal(
        "longest wait of another writer, with capture: median",
        wait_ms,
        STALL_GOAL_MS,
        " ms",
    );
    table.print(&format!(
        "Capture: one INSERT of {row_count} rows, single-row UPDATEs, and another writer of the \
         company meanwhile ({repetitions} repetitions, in turns)"
    ));
}

/// Single-row transactions one after another, on rows that are there.
async fn singles(sql: &mut PgConnection, table: &str, tenant: Uuid) -> Result<Duration> {
    let ids = present_ids(sql, table, tenant).await?;
    let since = Instant::now();
    for id in ids.iter().take(SINGLES) {
        update_one(sql, table, tenant, *id).await?;
    }
    Ok(since.elapsed())
}

async fn present_ids(sql: &mut PgConnection, table: &str, tenant: Uuid) -> Result<Vec<Uuid>> {
    let statement =
        format!("SELECT id FROM {table} WHERE tenant_id = $1 ORDER BY id LIMIT {PRESENT}");
    let found = sqlx::query(AssertSqlSafe(statement)).bind(tenant).fetch_all(sql).await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn update_one(sql: &mut PgConnection, table: &str, tenant: Uuid, id: Uuid) -> Result {
    let statement = format!(
        "UPDATE {table} SET avance_pct = (avance_pct + 1) % 101 WHERE tenant_id = $1 AND id = $2"
    );
    sqlx::query(AssertSqlSafe(statement)).bind(tenant).bind(id).execute(sql).await?;
    Ok(())
}

/// A writer that changes single rows, one after another, and notes how long each took.
struct OtherWriter {
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<Duration>>,
}

async fn other_writer(world: &World, table: &'static str) -> Result<OtherWriter> {
    let mut sql = world.connect().await?;
    let tenant = world.tenant;
    let ids = present_ids(&mut sql, table, tenant).await?;
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        for id in ids.iter().cycle() {
            let since = Instant::now();
            update_one(&mut sql, table, tenant, *id).await?;
            longest = longest.max(since.elapsed());
            if stopped.try_recv().is_ok() {
                break;
            }
        }
        Ok(longest)
    });
    Ok(OtherWriter { stop, task })
}

impl OtherWriter {
    async fn longest(self) -> Result<Duration> {
        // It may have failed; then its own error counts.
        let _ = self.stop.send(());
        self.task.await?
    }
}
