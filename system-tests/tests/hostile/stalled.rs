//! Readers that stall: they ask for a large company's rows, and never read an answer.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::attacker::{Attacker, Session, den, head, insert, send, transaction, until_closed};
use crate::bystander::{Bystander, Worked};
use crate::many;
use crate::site::{Engine, HOSTILE, Site};
use crate::stage::Stage;

/// In two halves.
const READERS: usize = 400;
/// As whom, and from where.
const USERS: usize = 6;
const ADDRESSES: usize = 4;
/// Rows of the company, and characters in each: together more than the machine keeps for a connection.
const ROWS: usize = 4_000;
const NOTE_CHARS: usize = 960;
/// A pull from the beginning is answered by several pages, or one large document.
const FRAME_ROWS_MAX: usize = 1_000;
/// What the server may have in memory besides what it had before, in bytes.
const GROWTH_MAX: u64 = 150 * 1024 * 1024;
/// What the second half of the readers may add to that, in bytes.
const SECOND_GROWTH_MAX: u64 = 30 * 1024 * 1024;
/// How long the server gets for everything that it has to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// Transactions of the server that wait for somebody who does not read.
const OPEN_SNAPSHOTS: &str = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'campo_server' \
    AND state = 'idle in transaction' AND state_change < now() - interval '500 ms'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stall_cost_bounded_memory_on_sqlite() {
    readers_stall(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stall_cost_bounded_memory_on_postgres() {
    readers_stall(Engine::Postgres).await;
}

async fn readers_stall(engine: Engine) {
    let site = Site::open(engine, &["--answer-stall-s-max", "4"]);
    let bystander = Bystander::settle_in(&site).await;
    let mut stage = Stage::set(site).await;
    let sessions = crowd(&stage).await;
    fill(&stage).await;
    let mut worked = Worked::default();
    let at_work = bystander.starts();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = stage.site.resident_bytes();

    let mut readers = Vec::new();
    let first = stall(&stage, &sessions, &mut readers).await;
    let second = stall(&stage, &sessions, &mut readers).await;
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "{engine:?}: {} MiB idle, {} MiB with {} readers, {} MiB with {READERS}",
        mib(idle),
        mib(first),
        READERS / 2,
        mib(second)
    );
    assert!(second.saturating_sub(idle) < GROWTH_MAX, "the server grew beyond its bound");
    assert!(second.saturating_sub(first) < SECOND_GROWTH_MAX, "each reader costs memory");

    // They still do not read, and the server lets go of them: the company's other pulls are served, and
    // no snapshot stays open.
    let since = Instant::now();
    loop {
        let body = json!({ "stream": Uuid::now_v7(), "page_rows_max": 1 });
        let served = stage.attacker.post("sync/pull", Some(&stage.wolf.token), &body).await;
        let open = stage.site.sql(OPEN_SNAPSHOTS).unwrap_or_else(|| "0".to_owned());
        if served.status == 200 && open == "0" {
            break;
        }
        assert!(served.is_busy() || served.status == 200, "{served:?}");
        assert!(since.elapsed() < PATIENCE, "{open} snapshots stay open; {served:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for mut reader in readers {
        let (_, ended) = until_closed(&mut reader, PATIENCE).await;
        assert!(ended, "the server keeps a connection that nobody reads");
    }
    let during = at_work.ends(&mut worked).await;
    assert_eq!(during.failures, [""; 0], "the others were sent away");
    stage.site.is_up();
    bystander.has_lost_nothing(&stage.site, &worked).await;
}

/// Half of the readers; the most that the server had in memory while they stalled.
async fn stall(stage: &Stage, sessions: &[Session], readers: &mut Vec<TcpStream>) -> u64 {
    for number in 0..READERS / 2 {
        let from = den(u8::try_from(number % ADDRESSES).expect("few"));
        let attacker = Attacker::at(stage.site.address, from);
        let mut connection = attacker.connect_narrow().await.expect("a connection");
        let session = &sessions[number % sessions.len()];
        let mut body = json!({ "stream": session.stream });
        let mut accept = "Accept: application/json";
        if number % 2 == 0 {
            body["page_rows_max"] = json!(FRAME_ROWS_MAX);
            accept = "Accept: application/vnd.campo.pull-pages";
        }
        let body = body.to_string();
        let length = format!("Content-Length: {}", body.len());
        let lines = ["Content-Type: application/json", accept, &length];
        let head = head("POST", "sync/pull", Some(&session.token), &lines);
        // One document might fit into what the machine keeps for the connection; all of them do not. Each
        // may wait for its turn as long as the server lets it.
        let asked = many(3, 8);
        send(&mut connection, format!("{head}{body}").repeat(asked).as_bytes()).await;
        readers.push(connection);
    }
    let mut most = 0;
    for _ in 0..30 {
        most = most.max(stage.site.resident_bytes());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    most
}

/// People of the company; each has a phone that will not read.
async fn crowd(stage: &Stage) -> Vec<Session> {
    let mut sessions = Vec::new();
    for number in 0..USERS {
        let login = format!("wolf-{number}");
        stage.site.hires(HOSTILE, &login, "supervisor");
        stage.site.grants(HOSTILE, &login, &stage.warehouse.to_string());
        sessions.push(stage.attacker.logs_in(HOSTILE, &login).await);
    }
    sessions
}

/// Makes the company large.
async fn fill(stage: &Stage) {
    for _ in 0..ROWS / 500 {
        let row = |_| {
            let note: String =
                (0..NOTE_CHARS / 32).map(|_| Uuid::new_v4().simple().to_string()).collect();
            let set = json!({ "almacen_id": stage.warehouse, "articulo_id": stage.article,
                "tipo": "salida", "cantidad": "1.000", "notas": note });
            insert("movimientos", Uuid::now_v7(), set)
        };
        let rows: Vec<_> = (0..500).map(row).collect();
        let receipts = stage.attacker.pushes(&stage.wolf, &[transaction(&rows)]).await;
        assert_eq!(receipts[0]["state"], "applied");
    }
}
