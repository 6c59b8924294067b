//! Writers of plain SQL.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::{Dice, Race};

/// What became of transactions.
#[derive(Debug, Default)]
pub struct Tally {
    pub committed: u32,
    pub rolled_back: u32,
    /// Serialization failures, deadlocks, children of deleted parents.
    pub failed: u32,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.committed += other.committed;
        self.rolled_back += other.rolled_back;
        self.failed += other.failed;
    }
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(|_| ())
}

/// Sites, half for each tenant.
pub async fn prepare(race: &Race) {
    let mut connection = PgConnection::connect(&race.url).await.expect("writer");
    for (number, site) in race.sites.iter().enumerate() {
        let tenant = race.tenants[number % 2];
        let sql = format!(
            "INSERT INTO prueba.obras (tenant_id, id, nombre) VALUES ('{tenant}', '{site}', 'x')"
        );
        run(&mut connection, sql).await.expect("site");
    }
}

/// One transaction that writes first and commits when most of the others are done.
pub async fn stay_open(race: Arc<Race>) {
    let mut connection = PgConnection::connect(&race.url).await.expect("writer");
    let whole = race.budget.load(Ordering::SeqCst);
    let mut dice = Dice(77);
    run(&mut connection, "BEGIN".to_owned()).await.expect("begin");
    run(&mut connection, insert(&race, &mut dice, 20)).await.expect("insert");
    while race.budget.load(Ordering::SeqCst) > whole / 5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run(&mut connection, insert(&race, &mut dice, 20)).await.expect("insert");
    run(&mut connection, "COMMIT".to_owned()).await.expect("commit");
}

/// Writes until the budget is used up.
pub async fn write(race: Arc<Race>, seed: u64) -> Tally {
    let mut dice = Dice(seed);
    let mut tally = Tally::default();
    let mut connection = PgConnection::connect(&race.url).await.expect("writer");
    while race.budget.load(Ordering::SeqCst) > 0 {
        match transaction(&race, &mut connection, &mut dice).await {
            Ok(true) => tally.committed += 1,
            Ok(false) => tally.rolled_back += 1,
            Err(error) => {
                let passing = error.as_database_error().and_then(|e| e.code().map(String::from));
                let expected = ["40001", "40P01", "23503", "23505"];
                let code = passing.unwrap_or_default();
                assert!(expected.contains(&code.as_str()), "{error}");
                run(&mut connection, "ROLLBACK".to_owned()).await.expect("rollback");
                tally.failed += 1;
            }
        }
    }
    tally
}

async fn transaction(
    race: &Race,
    connection: &mut PgConnection,
    dice: &mut Dice,
) -> Result<bool, sqlx::Error> {
    let level = dice.pick(&["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]);
    run(connection, format!("BEGIN ISOLATION LEVEL {level}")).await?;
    for _ in 0..=dice.roll(3) {
        let savepoint = dice.roll(4) == 0;
        if savepoint {
            run(connection, "SAVEPOINT s".to_owned()).await?;
        }
        step(race, connection, dice).await?;
        if savepoint {
            let end = dice.pick(&["ROLLBACK TO s", "RELEASE s"]);
            run(connection, (*end).to_owned()).await?;
        }
        tokio::time::sleep(Duration::from_millis(dice.roll(12))).await;
    }
    match dice.roll(20) {
        0..2 => {
            run(connection, "ROLLBACK".to_owned()).await?;
            Ok(false)
        }
        2 => {
            let name = dice.uuid();
            // Two-phase commits need room for them; where there is none, this one is lost.
            run(connection, format!("PREPARE TRANSACTION '{name}'")).await?;
            tokio::time::sleep(Duration::from_millis(dice.roll(30))).await;
            run(connection, format!("COMMIT PREPARED '{name}'")).await?;
            Ok(true)
        }
        _ => {
            run(connection, "COMMIT".to_owned()).await?;
            Ok(true)
        }
    }
}

fn insert(race: &Race, dice: &mut Dice, rows: u64) -> String {
    let number = usize::try_from(dice.roll(race.sites.len() as u64)).expect("small");
    let (tenant, site) = (race.tenants[number % 2], race.sites[number]);
    let person = if dice.roll(3) == 0 {
        "NULL".to_owned()
    } else {
        format!("'{}'::uuid", dice.pick(&race.people))
    };
    format!(
        "INSERT INTO prueba.hojas (tenant_id, id, obra_id, responsable_id, titulo) \
         SELECT '{tenant}', gen_random_uuid(), '{site}', {person}, random()::text \
         FROM generate_series(1, {rows})"
    )
}

async fn step(
    race: &Race,
    connection: &mut PgConnection,
    dice: &mut Dice,
) -> Result<(), sqlx::Error> {
    let rows = 1 + dice.roll(race.batch_rows_max);
    let from = dice.uuid();
    let some = |table: &str| {
        format!(
            "(SELECT tenant_id, id FROM prueba.{table} WHERE id > '{from}' ORDER BY id LIMIT {rows})"
        )
    };
    let spend = || race.budget.fetch_sub(i64::try_from(rows).expect("small"), Ordering::SeqCst);
    let sql = match dice.roll(12) {
        0..3 => {
            spend();
            insert(race, dice, rows)
        }
        3 | 4 => {
            spend();
            format!(
                "INSERT INTO prueba.renglones (tenant_id, id, hoja_id, concepto) \
                 SELECT tenant_id, gen_random_uuid(), id, 'x' FROM {} h",
                some("hojas")
            )
        }
        5 => {
            spend();
            return copy(race, connection, dice, rows).await;
        }
        6 => format!(
            "UPDATE prueba.hojas SET titulo = random()::text WHERE (tenant_id, id) IN {}",
            some("hojas")
        ),
        7 => format!(
            "UPDATE prueba.hojas h SET responsable_id = {}, obra_id = (SELECT o.id FROM prueba.obras o \
             WHERE o.tenant_id = h.tenant_id ORDER BY random() LIMIT 1) WHERE (tenant_id, id) IN {}",
            if dice.roll(2) == 0 {
                "NULL".to_owned()
            } else {
                format!("'{}'", dice.pick(&race.people))
            },
            some("hojas")
        ),
        8 => format!(
            "UPDATE prueba.renglones SET concepto = random()::text WHERE (tenant_id, id) IN {}",
            some("renglones")
        ),
        9 => format!("DELETE FROM prueba.renglones WHERE (tenant_id, id) IN {}", some("renglones")),
        10 => format!(
            "DELETE FROM prueba.hojas h WHERE (tenant_id, id) IN {} AND NOT EXISTS \
             (SELECT FROM prueba.renglones r WHERE r.tenant_id = h.tenant_id AND r.hoja_id = h.id)",
            some("hojas")
        ),
        _ => format!(
            "UPDATE prueba.renglones r SET hoja_id = (SELECT h.id FROM prueba.hojas h \
             WHERE h.tenant_id = r.tenant_id AND h.id > '{}' ORDER BY h.id LIMIT 1) \
             WHERE (tenant_id, id) IN {} AND EXISTS (SELECT FROM prueba.hojas h \
             WHERE h.tenant_id = r.tenant_id AND h.id > 'f0000000-0000-0000-0000-000000000000')",
            uuid::Uuid::from_u128(dice.uuid().as_u128() >> 4),
            some("renglones")
        ),
    };
    run(connection, sql).await
}

async fn copy(
    race: &Race,
    connection: &mut PgConnection,
    dice: &mut Dice,
    rows: u64,
) -> Result<(), sqlx::Error> {
    let tenant = *dice.pick(&race.tenants);
    let mut lines = String::new();
    for _ in 0..rows {
        let (id, key) = (dice.uuid(), dice.uuid());
        lines += &format!("{tenant}\t{id}\t{}\t2026-01-01\n", key.simple());
    }
    let mut copy =
        connection.copy_in_raw("COPY prueba.tipos (tenant_id, id, clave, dia) FROM STDIN").await?;
    copy.send(lines.as_bytes()).await?;
    copy.finish().await?;
    Ok(())
}
