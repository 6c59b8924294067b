//! Somebody who speaks HTTP, or something like it, from an address of their own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use uuid::Uuid;

use crate::site::PASSWORD;

/// Where attacks come from; the people who work are on 127.0.0.1. Linux has all of 127.0.0.0/8.
pub const fn den(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 6, number + 1))
}

/// Where the API begins.
pub const PREFIX: &str = "/mobile/api/v1";
/// How long an attacker waits for an answer. The server must be done long before.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// How long an attacker keeps an idle connection.
const IDLE_MAX: Duration = Duration::from_millis(500);

/// A client at an address.
#[derive(Clone)]
pub struct Attacker {
    /// The server's.
    pub server: SocketAddr,
    from: IpAddr,
    client: reqwest::Client,
}

/// Somebody who has logged in.
#[derive(Clone)]
pub struct Session {
    /// The access token.
    pub token: String,
    /// The refresh token.
    pub refresh: String,
    /// The device that it is for.
    pub device: Uuid,
    /// A stream of edits.
    pub stream: Uuid,
    /// The person.
    pub user: Uuid,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body; null where it is not JSON.
    pub json: Json,
}

impl Answer {
    /// The code of the problem; empty where there is none.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    /// Whether the server asks to come back later: no attack may count on being served.
    pub fn is_busy(&self) -> bool {
        self.status == 503 || self.status == 429
    }
}

impl Attacker {
    /// From the first of their addresses.
    pub fn new(server: SocketAddr) -> Self {
        Self::at(server, den(0))
    }

    /// From another address.
    pub fn at(server: SocketAddr, from: IpAddr) -> Self {
        let client = reqwest::Client::builder()
            .local_address(from)
            .timeout(ANSWER_TIME_MAX)
            // Shorter than the impatient server keeps an idle connection: one that it closes just when
            // a request goes out is no answer, and no fault of the server's.
            .pool_idle_timeout(IDLE_MAX)
            .build()
            .expect("a client");
        Self { server, from, client }
    }

    /// A connection that speaks whatever it likes.
    pub async fn connect(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        socket.connect(self.server).await
    }

    /// A connection whose owner takes little: the machine keeps as few bytes for it as it can.
    pub async fn connect_narrow(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        socket.bind((self.from, 0).into())?;
        socket.connect(self.server).await
    }

    /// Posts a document.
    pub async fn post(&self, path: &str, token: Option<&str>, body: &Json) -> Answer {
        let body = body.to_string().into_bytes();
        self.post_bytes(path, token, body, &[("content-type", "application/json")]).await
    }

    /// Posts bytes. An answer that does not come is a failure of the test, not of the attack.
    pub async fn post_bytes(
        &self,
        path: &str,
        token: Option<&str>,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.client.post(self.url(path)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let sent = request.send().await;
        let answer = sent.unwrap_or_else(|error| panic!("no answer to POST {path}: {error:?}"));
        read(answer).await
    }

    /// Gets a document.
    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let mut request = self.client.get(self.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let sent = request.send().await;
        read(sent.unwrap_or_else(|error| panic!("no answer to GET {path}: {error:?}"))).await
    }

    fn url(&self, path: &str) -> String {
        match path.starts_with('/') {
            true => format!("http://{}{path}", self.server),
            false => format!("http://{}{PREFIX}/{path}", self.server),
        }
    }

    /// Tries to log in on a new device.
    pub async fn tries_login(&self, tenant: &str, user: &str, password: &str) -> Answer {
        let device = Uuid::now_v7();
        let body =
            json!({ "tenant": tenant, "user": user, "password": password, "device": device });
        self.post("auth/login", None, &body).await
    }

    /// Logs in on a new device.
    pub async fn logs_in(&self, tenant: &str, user: &str) -> Session {
        let device = Uuid::now_v7();
        let body =
            json!({ "tenant": tenant, "user": user, "password": PASSWORD, "device": device });
        loop {
            let answer = self.post("auth/login", None, &body).await;
            if answer.is_busy() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            assert_eq!(answer.status, 200, "{answer:?}");
            let text = |name: &str| answer.json[name].as_str().expect("a text").to_owned();
            return Session {
                token: text("access_token"),
                refresh: text("refresh_token"),
                device,
                stream: Uuid::now_v7(),
                user: text("user").parse().expect("an id"),
            };
        }
    }

    /// Pushes transactions; the whole answer.
    pub async fn push(&self, session: &Session, transactions: &[Json]) -> Answer {
        let body = json!({ "stream": session.stream, "transactions": transactions });
        self.post("sync/push", Some(&session.token), &body).await
    }

    /// Pushes until the server has time; the receipts.
    pub async fn pushes(&self, session: &Session, transactions: &[Json]) -> Vec<Json> {
        loop {
            let answer = self.push(session, transactions).await;
            if answer.is_busy() {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            assert_eq!(answer.status, 200, "{answer:?}");
            return answer.json["receipts"].as_array().expect("receipts").clone();
        }
    }
}

async fn read(answer: reqwest::Response) -> Answer {
    let status = answer.status();
    let body = answer.bytes().await.expect("the answer comes whole");
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{}", String::from_utf8_lossy(&body));
    Answer { status: status.as_u16(), json: serde_json::from_slice(&body).unwrap_or_default() }
}

/// A transaction of these mutations, made now.
pub fn transaction(mutations: &[Json]) -> Json {
    let now_us = now_us();
    json!({ "id": Uuid::now_v7(), "edited": { "at_us": now_us }, "wall_clock_us": now_us,
        "mutations": mutations })
}

/// An insertion.
pub fn insert(collection: &str, record: Uuid, set: Json) -> Json {
    json!({ "collection": collection, "record": record, "kind": "insert", "set": set })
}

/// The machine's clock.
pub fn now_us() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    i64::try_from(since.as_micros()).expect("before the year 294000")
}

/// The head of a request that is typed by hand.
pub fn head(method: &str, path: &str, token: Option<&str>, more: &[&str]) -> String {
    let mut head = format!("{method} {PREFIX}/{path} HTTP/1.1\r\nHost: campo\r\n");
    if let Some(token) = token {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    for line in more {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head + "\r\n"
}

/// Sends bytes as far as they are taken; whether all were.
pub async fn send(connection: &mut TcpStream, bytes: &[u8]) -> bool {
    connection.write_all(bytes).await.is_ok()
}

/// Reads until the server ends the connection, at most for so long; what came, and whether it ended.
pub async fn until_closed(connection: &mut TcpStream, at_most: Duration) -> (String, bool) {
    let mut all = Vec::new();
    let mut part = vec![0; 64 * 1024];
    let reading = async {
        // A reset is an end as well.
        while let Ok(length @ 1..) = connection.read(&mut part).await {
            if all.len() < 1_000_000 {
                all.extend_from_slice(&part[..length]);
            }
        }
    };
    let ended = tokio::time::timeout(at_most, reading).await.is_ok();
    (String::from_utf8_lossy(&all).into_owned(), ended)
}
