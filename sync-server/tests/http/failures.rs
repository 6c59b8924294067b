//! What goes wrong inside the server, and what is too much for it.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use sync_protocol::StreamId;
use sync_protocol::wire::pull::COLUMNAR_MEDIA_TYPE;
use sync_server::store::WriteTx;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use crate::World;
use crate::company::{Company, Phone, id, insert, transaction};
use crate::world::CLOCK_PANIC;

/// As many as a store has connections, and more.
const MORE_THAN_CONNECTIONS: usize = 25;

pub async fn a_panic_is_answered_without_details_and_the_server_goes_on(world: World) {
    world.clock.break_once();
    let answer = world.get("/healthz", None).await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
    let text = format!("{}{:?}", answer.text(), answer.headers);
    assert!(!text.contains(CLOCK_PANIC) && !text.contains("world.rs"), "{text}");
    world.get("/healthz", None).await.ok();
}

/// Holds what a push of this phone needs, so that it waits.
async fn hold(world: &World, company: &Company, phone: &Phone) -> Box<dyn WriteTx> {
    let stream: StreamId = phone.stream.parse().expect("a stream");
    let mut tx = world.store.shared().write(company.tenant, stream).await.expect("a transaction");
    tx.lock_stream(stream).await.expect("locked");
    tx
}

pub async fn a_request_that_takes_too_long_changes_nothing(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    // A login takes its time; only the push is given little.
    let limit = Duration::from_millis(300);
    let world = world.restarted(|config| config.http.request_time_max = limit).await;
    let edit = transaction(json!([insert("proyectos", &id(), json!({ "nombre": "Torre" }))]));
    let body = phone.push_body(&[edit]);
    let held = hold(&world, &company, &phone).await;
    let answer = world.post("sync/push", Some(&phone.token), &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "timeout"));
    assert_eq!(
        (answer.json()["retryable"].as_bool(), answer.header("retry-after")),
        (Some(true), "1")
    );
    drop(held);
    let world =
        world.restarted(|config| config.http = sync_server::http::HttpSettings::default()).await;
    let pulled = world.post("sync/pull", Some(&phone.token), &json!({ "stream": id() })).await.ok();
    assert_eq!(pulled.json()["tables"], json!([]), "it changed something");
    let answer = world.post("sync/push", Some(&phone.token), &body).await.ok();
    assert_eq!(answer.json()["receipts"][0]["state"], "applied");
}

pub async fn more_requests_than_turns_are_told_to_come_back(world: World) {
    let world = world.restarted(|config| config.http.requests_max = 1).await;
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let edit = transaction(json!([insert("proyectos", &id(), json!({ "nombre": "Torre" }))]));
    let body = phone.push_body(&[edit]);
    let held = hold(&world, &company, &phone).await;
    let push = async {
        // The other requests of this test may have the only turn when it comes.
        loop {
            let answer = world.post("sync/push", Some(&phone.token), &body).await;
            if answer.status != 503 {
                break answer;
            }
        }
    };
    let meanwhile = async {
        // Somebody else gets no turn when the push has it, which waits for what is held.
        let busy = loop {
            let answer = world.get("/healthz", None).await;
            if answer.status != 200 {
                break answer;
            }
            tokio::task::yield_now().await;
        };
        drop(held);
        busy
    };
    let (pushed, busy) = tokio::join!(push, meanwhile);
    assert_eq!((busy.status, busy.code().as_str()), (503, "busy"));
    assert_eq!((busy.json()["retryable"].as_bool(), busy.header("retry-after")), (Some(true), "1"));
    assert_eq!(pushed.ok().json()["receipts"][0]["state"], "applied");
    world.get("/healthz", None).await.ok();
}

/// Puts more on the server than the machine keeps on the way to a phone that does not read.
async fn fill(world: &World, phone: &Phone) {
    let project = id();
    phone.apply(world, json!([insert("proyectos", &project, json!({ "nombre": "Torre" }))])).await;
    for _ in 0..2 {
        let report = |_| {
            // Nothing that could be compressed.
            let noise: String = (0..1_800).map(|_| Uuid::new_v4().simple().to_string()).collect();
            let set = json!({ "proyecto_id": project, "fecha": "2026-11-24", "notas": noise });
            transaction(json!([insert("avances", &id(), set)]))
        };
        let all: Vec<_> = (0..150).map(report).collect();
        let receipts = phone.push(world, &all).await;
        assert!(receipts.iter().all(|r| r["state"] == "applied"), "{}", receipts[0]);
    }
}

pub async fn a_broken_off_stream_gives_back_its_turn_and_connection(world: World) {
    let world = world
        .restarted(|config| {
            config.http.pulls_max = 1;
            config.http.turn_wait_max = Duration::ZERO;
        })
        .await;
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    fill(&world, &phone).await;
    let body = json!({ "stream": id(), "page_rows_max": 1 }).to_string();
    let open = async || {
        let request = world.client.request(Method::POST, world.url("sync/pull"));
        let request = request.bearer_auth(&phone.token).header("accept", COLUMNAR_MEDIA_TYPE);
        let request = request.header("content-type", "application/json").body(body.clone());
        request.send().await.expect("an answer")
    };
    for _ in 0..MORE_THAN_CONNECTIONS {
        let stream = open().await;
        assert_eq!(stream.status(), 200, "{}", stream.text().await.unwrap_or_default());
        let other = world.post("sync/pull", Some(&phone.token), &json!({ "stream": id() })).await;
        assert_eq!((other.status, other.code().as_str()), (503, "busy"));
        assert_eq!(other.header("retry-after"), "1");
        // The phone is gone; the server notices when it sends on.
        drop(stream);
        while world.post("sync/pull", Some(&phone.token), &json!({ "stream": id() })).await.status
            == 503
        {
            tokio::task::yield_now().await;
        }
    }
    world.post("sync/pull", Some(&phone.token), &json!({ "stream": id() })).await.ok();
}

pub async fn a_body_without_length_is_limited_as_well(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let mut connection =
        tokio::net::TcpStream::connect(world.server.address).await.expect("connected");
    let head = format!(
        "POST /mobile/api/v1/sync/compare HTTP/1.1\r\nHost: campo\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        phone.token
    );
    connection.write_all(head.as_bytes()).await.expect("written");
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    // The server may answer and close before it was all sent; an endless body would end like this.
    for _ in 0..64 {
        if connection.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = [0; 4096];
    let length = connection.read(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\"body_too_large\""), "{answer}");
}
