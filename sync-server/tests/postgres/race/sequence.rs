//! The usual way, which skips: each change takes the next number of a sequence, and the reader asks
//! for greater numbers than the last one that it saw.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

use super::Race;

/// What the reader of the sequence ended without.
#[derive(Debug)]
pub struct Lost {
    pub missing: usize,
    pub stale: usize,
    pub of: usize,
}

/// A number for each change of a sheet.
pub async fn prepare(url: &str) {
    let mut connection = PgConnection::connect(url).await.expect("connection");
    sqlx::raw_sql(
        "CREATE SEQUENCE public.changes; \
         CREATE TABLE public.numbered (id uuid PRIMARY KEY, number bigint NOT NULL, titulo text); \
         CREATE INDEX ON public.numbered (number); \
         CREATE FUNCTION public.number() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           INSERT INTO public.numbered VALUES (NEW.id, nextval('public.changes'), NEW.titulo) \
           ON CONFLICT (id) DO UPDATE SET number = EXCLUDED.number, titulo = EXCLUDED.titulo; \
           RETURN NULL; END $$; \
         CREATE TRIGGER number AFTER INSERT OR UPDATE ON prueba.hojas \
           FOR EACH ROW EXECUTE FUNCTION public.number()",
    )
    .execute(&mut connection)
    .await
    .expect("sequence");
}

/// Follows until the race is over and counts what is missing or old.
pub async fn follow(race: Arc<Race>) -> Lost {
    let mut connection = PgConnection::connect(&race.url).await.expect("connection");
    let mut copy: BTreeMap<Uuid, Option<String>> = BTreeMap::new();
    let mut last = 0i64;
    loop {
        let over = race.over.load(Ordering::SeqCst);
        let rows = sqlx::query(
            "SELECT id, number, titulo FROM public.numbered WHERE number > $1 ORDER BY number",
        )
        .bind(last)
        .fetch_all(&mut connection)
        .await
        .expect("changes");
        for row in &rows {
            copy.insert(row.get(0), row.get(2));
            last = row.get(1);
        }
        if over {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let truth = sqlx::query("SELECT id, titulo FROM public.numbered")
        .fetch_all(&mut connection)
        .await
        .expect("truth");
    let missing = truth.iter().filter(|row| !copy.contains_key(&row.get::<Uuid, _>(0))).count();
    let stale = truth
        .iter()
        .filter(|row| {
            copy.get(&row.get::<Uuid, _>(0))
                .is_some_and(|has| *has != row.get::<Option<String>, _>(1))
        })
        .count();
    Lost { missing, stale, of: truth.len() }
}
