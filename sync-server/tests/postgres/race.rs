//! The race: plain SQL from many writers at all isolation levels, while readers follow the cursor.
//!
//! Writers insert (also by COPY), change, move, re-parent and delete, several statements to a
//! transaction, with savepoints, two-phase commits, rollbacks and sleeps between write and commit;
//! one transaction stays open for most of the race. Readers follow with small pages, cut at random.
//! At every checkpoint a reader's copy must be what the tables hold in that snapshot, and the
//! bookkeeping must add up in the end. All the while the scope log is folded, long before its time.
//!
//! Beside them one reader follows a sequence column, as is often done. It must end wrong: that is
//! the proof that this race can tell.
//!
//! Every second reader goes through PgBouncer in transaction mode.
//!
//! Small by default; `CAMPO_RACE_ROWS`, `CAMPO_RACE_WRITERS` and `CAMPO_RACE_SEED` make it large.

mod reader;
mod sequence;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use sync_server::store::postgres::PostgresStore;
use sync_server::store::{Accounts, Retention, Store as _};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::cluster::SUPERUSER;
use crate::consistency::contradictions;
use crate::housekeeping::age_witness;
use crate::pgbouncer::Pooler;
use crate::setting::{Setting, cluster};

/// What all take part in.
pub struct Race {
    pub url: String,
    pub tenants: [Uuid; 2],
    pub sites: Vec<Uuid>,
    pub people: Vec<Uuid>,
    /// Rows that are still to be inserted.
    pub budget: AtomicI64,
    /// Most rows that one statement changes.
    pub batch_rows_max: u64,
    pub over: AtomicBool,
}

/// A small generator.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.roll(from.len() as u64)).expect("small")]
    }

    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.roll(u64::MAX) << 11, self.roll(u64::MAX))
    }
}

fn setting_of(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect(name))
}

/// Folds the log as soon as a line is committed.
async fn fold(race: Arc<Race>, store: PostgresStore) -> u64 {
    let mut folded = 0;
    while !race.over.load(Ordering::SeqCst) {
        age_witness(&race.url).await;
        let retention = Retention { rows_max: 100, thorough: false, ..Retention::at(0) };
        // A deadlock, say: the next one goes on.
        folded += store.tidy(retention).await.map_or(0, |tidied| tidied.log_lines);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    folded
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_of_the_cursor_end_with_the_tables_and_a_sequence_reader_does_not() {
    let rows = setting_of("CAMPO_RACE_ROWS", 6_000);
    let writers = setting_of("CAMPO_RACE_WRITERS", 12);
    let seed = setting_of("CAMPO_RACE_SEED", 0x9e37_79b9);
    let setting = Setting::new().await;
    let other = setting.store.create_tenant("otra", "Otra").await.expect("tenant");
    let race = Arc::new(Race {
        url: cluster().url(&setting.database, SUPERUSER),
        tenants: [setting.tenant.0, other.0],
        sites: (0..12).map(|_| Uuid::new_v4()).collect(),
        people: (0..4).map(|_| Uuid::new_v4()).collect(),
        budget: AtomicI64::new(i64::try_from(rows).expect("rows")),
        batch_rows_max: (rows / 1_000).clamp(20, 500),
        over: AtomicBool::new(false),
    });
    writer::prepare(&race).await;
    sequence::prepare(&race.url).await;

    let pooler = Pooler::start(cluster().port).expect("PgBouncer");
    let mut readers = JoinSet::new();
    for number in 0..4 {
        let store = if number % 2 == 1 {
            let url = pooler.url(&setting.database, "campo_server");
            PostgresStore::connect(&url, setting.schema.clone()).await.expect("PgBouncer")
        } else {
            setting.store.clone()
        };
        readers.spawn(reader::follow(race.clone(), store, setting.tenant, number, seed + number));
    }
    let naive = tokio::spawn(sequence::follow(race.clone()));
    let long = tokio::spawn(writer::stay_open(race.clone()));
    let folder = tokio::spawn(fold(race.clone(), setting.store.clone()));
    let mut tasks = JoinSet::new();
    for number in 0..writers {
        tasks.spawn(writer::write(race.clone(), seed.wrapping_mul(number + 1) | 1));
    }
    let mut committed = writer::Tally::default();
    while let Some(tally) = tasks.join_next().await {
        committed.add(&tally.expect("writer"));
    }
    long.await.expect("the long transaction");
    tokio::time::sleep(Duration::from_millis(50)).await;
    race.over.store(true, Ordering::SeqCst);

    let mut rounds = reader::Rounds::default();
    while let Some(reader) = readers.join_next().await {
        rounds.add(&reader.expect("a reader ends with exactly the tables' content"));
    }
    let folded = folder.await.expect("housekeeping");
    assert!(folded > 0, "nothing was folded meanwhile");
    let naive = naive.await.expect("sequence reader");
    println!("writers: {committed:?}\nreaders: {rounds:?}\nsequence reader: {naive:?}");
    let mut sql = setting.superuser().await;
    assert_eq!(contradictions(&mut sql, &setting.schema).await, Vec::<String>::new());
    assert!(rounds.checkpoints > 8 && rounds.cuts > 0, "{rounds:?}");
    assert!(committed.committed > 50, "{committed:?}");
    let wrong = naive.missing + naive.stale;
    assert!(
        wrong > 0,
        "of {} rows none was lost: a race that a sequence survives proves nothing",
        naive.of
    );
}
