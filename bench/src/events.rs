//! `events`: a change in plain SQL, until it is in another phone's live query; and one edit that
//! concerns a thousand phones that listen.
//!
//! The phones of the second part are connections of one process of their own ([`Job`]), so that the
//! memory of this one is the server's. Each pulls once for a cursor, listens, and pulls again when it
//! hears of the edit.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mobile_core::{Config, Core, SignIn};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sync_protocol::{DeviceId, Scope, TenantId, UserId};
use sync_server::auth::access_token::{AccessTokens, Claims, OWN_ISSUER};
use sync_server::http::connections::descriptors;
use sync_server::store::Store;
use sync_server::store::accounts::Account;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::measure::{median, ms};
use crate::table::Table;
use crate::world::{self, PASSWORD, TENANT, USER, World};
use crate::{Result, memory};

/// Phones of each person.
const PHONES_EACH: usize = 5;
/// Requests at once while the phones connect.
const AT_ONCE: usize = 16;
/// How long an access token is good for, in seconds: longer than all of it.
const TOKEN_S: i64 = 3_600;
/// A change in plain SQL is in a live query within a second.
const LIVE_MS_MAX: f64 = 1_000.0;
/// Most pulls that begin within one second of a tenant-wide edit.
const PULLS_A_SECOND_MAX: f64 = 200.0;

/// Measures, and prints the table.
pub async fn run(rows: usize, listeners: usize, repetitions: usize) -> Result {
    let _ = descriptors::raise_limit();
    let world = World::start_with(rows, |config| {
        config.http.connections_per_address_max = 2 * listeners + 100;
        config.http.connections_max = 2 * listeners + 100;
    })
    .await?;
    let mut table = Table::new();
    live(&world, repetitions, &mut table).await?;
    crowd(&world, listeners, &mut table).await?;
    table.print(&format!("Events over loopback, {rows} rows, {listeners} listeners"));
    world.stop().await;
    Ok(())
}

/// From the commit of a plain UPDATE to the live query that shows it.
async fn live(world: &World, repetitions: usize, table: &mut Table) -> Result {
    let dir = tempfile::tempdir()?;
    let core = Core::open(Config::new(dir.path()))?;
    core.login(SignIn {
        server: world.server.url(),
        tenant: TENANT.to_owned(),
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        device_name: None,
    })
    .await?;
    let engine = core.engine()?;
    let cancel = CancellationToken::new();
    let running = tokio::spawn({
        let (engine, cancel) = (engine.clone(), cancel.clone());
        async move { engine.run(&cancel).await }
    });
    engine.listening().wait_for(|live| *live).await?;
    let select = "SELECT nombre FROM obras";
    let mut query = core.watch(select)?;
    let mut sql = world.connect().await?;
    let mut times = Vec::new();
    for n in 0..repetitions.max(1) * 4 {
        // Not in step with the looks, and after the second for which a device is left in peace.
        let pause = 1_100 + 37 * u64::try_from(n).unwrap_or(0) % 250;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let name = format!("Torre {n}");
        let update = format!("UPDATE medicion.obras SET nombre = '{name}'");
        world::run(&mut sql, update).await?;
        let committed = std::time::Instant::now();
        while core.query(select, &[])?.rows.first().is_none_or(|row| row[0] != json!(name)) {
            if !query.changed().await {
                return Err("the phone's database was closed".into());
            }
        }
        times.push(committed.elapsed());
    }
    cancel.cancel();
    running.await?;
    let longest = times.iter().max().copied().unwrap_or_default();
    table.figure("plain SQL to another phone's live query, median", ms(median(times)));
    table.goal("the same, longest", longest.as_secs_f64() * 1e3, LIVE_MS_MAX, " ms");
    Ok(())
}

/// One edit that concerns everybody.
async fn crowd(world: &World, listeners: usize, table: &mut Table) -> Result {
    let store = world.open_store().await?;
    let dir = tempfile::tempdir()?;
    let tokens = dir.path().join("tokens");
    let shared = store.shared();
    tokio::fs::write(&tokens, people(&*shared, world, listeners).await?.join("\n")).await?;
    let mut phones = tokio::process::Command::new(std::env::current_exe()?)
        .arg("listeners")
        .arg("--server")
        .arg(world.server.url())
        .arg("--tokens")
        .arg(&tokens)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = phones.stdout.take().ok_or("no output")?;
    let mut output = BufReader::new(output);
    let mut line = String::new();
    // They have pulled, which warms up what a server needs anyway, and are not connected.
    output.read_line(&mut line).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = memory::resident_kib()?;
    std::fs::write(dir.path().join("tokens.go"), "")?;
    line.clear();
    output.read_line(&mut line).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = memory::resident_kib()?;
    let mut sql = world.connect().await?;
    let edited_us = now_us();
    world::run(&mut sql, "UPDATE medicion.obras SET nombre = 'Torre Mirador'".to_owned()).await?;
    let mut rest = String::new();
    output.read_to_string(&mut rest).await?;
    phones.wait().await?;
    let told: Vec<Told> = serde_json::from_str(&rest)?;
    let after_edit = |at: u64| Duration::from_micros(at.saturating_sub(edited_us));
    let heard: Vec<Duration> = told.iter().map(|told| after_edit(told.heard_us)).collect();
    let pulled: Vec<Duration> = told.iter().map(|told| after_edit(told.pulled_us)).collect();
    let first = heard.iter().min().copied().unwrap_or_default();
    let last = heard.iter().max().copied().unwrap_or_default();
    let mut a_second = std::collections::BTreeMap::<u64, usize>::new();
    for heard in &heard {
        *a_second.entry(heard.as_secs()).or_default() += 1;
    }
    let most = a_second.values().max().copied().unwrap_or(0);
    let kib = after.saturating_sub(before) as f64 / listeners as f64;
    table.figure("listeners that were told", heard.len().to_string());
    table.figure("the first, after the edit", ms(first));
    table.figure("half of them", ms(median(heard)));
    table.figure("the last", ms(last));
    table.goal("pulls begun within one second, most", most as f64, PULLS_A_SECOND_MAX, "");
    table.figure("half of them have pulled", ms(median(pulled.clone())));
    table.figure("the last has pulled", ms(pulled.into_iter().max().unwrap_or_default()));
    let busy: usize = told.iter().map(|told| told.busy).sum();
    table.figure("pulls that were told to come back", busy.to_string());
    table.figure("server memory for each listener", format!("{kib:.1} KiB"));
    store.close().await;
    Ok(())
}

/// People with phones, who hold the project: an access token for each phone.
async fn people(store: &dyn Store, world: &World, phones: usize) -> Result<Vec<String>> {
    let tokens = AccessTokens::new(&store.signing_key().await?);
    let tenant = TenantId(world.tenant);
    let scope: Scope = format!("project:{}", world.project).parse()?;
    let now_s = i64::try_from(now_us() / 1_000_000)?;
    let mut issued = Vec::with_capacity(phones);
    while issued.len() < phones {
        let user = UserId(Uuid::now_v7());
        let account = Account {
            id: user,
            login: user.to_string(),
            name: "Peón".to_owned(),
            password_hash: "!".to_owned(),
            roles: vec!["foreman".to_owned()],
            disabled: false,
        };
        store.create_user(tenant, &account).await?;
        store.grant(tenant, user, &scope).await?;
        for _ in 0..PHONES_EACH.min(phones - issued.len()) {
            let claims = Claims {
                iss: OWN_ISSUER.to_owned(),
                sub: user,
                tid: tenant,
                roles: Vec::new(),
                permissions: Vec::new(),
                plan: None,
                exp: now_s + TOKEN_S,
                iat: now_s,
                nbf: None,
                did: Some(DeviceId(Uuid::now_v7())),
                name: None,
            };
            issued.push(tokens.issue(&claims).map_err(|problem| problem.to_string())?);
        }
    }
    Ok(issued)
}

/// The phones' process: prints a line when all have pulled, another when all listen, and then
/// what became of them.
#[derive(Debug, clap::Args)]
pub struct Job {
    /// The server.
    #[arg(long)]
    server: String,
    /// A file with an access token a line; they listen when there is a file `….go` beside it.
    #[arg(long)]
    tokens: PathBuf,
}

/// What became of a phone.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    /// When it heard of the edit, in microseconds since 1970.
    heard_us: u64,
    /// When it had pulled.
    pulled_us: u64,
    /// How often its pull was told to come back.
    busy: usize,
}

struct Phone {
    client: reqwest::Client,
    root: String,
    token: String,
    stream: Uuid,
    cursor: Option<String>,
}

impl Job {
    /// Connects, waits, pulls, and tells.
    pub async fn run(self) -> Result {
        let _ = descriptors::raise_limit();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut pulling = JoinSet::new();
        for token in std::fs::read_to_string(&self.tokens)?.lines() {
            let client = reqwest::Client::builder().pool_max_idle_per_host(0).build()?;
            let mut phone = Phone {
                client,
                root: format!("{}/mobile/api/v1", self.server),
                token: token.to_owned(),
                stream: Uuid::new_v4(),
                cursor: None,
            };
            let turns = turns.clone();
            pulling.spawn(async move {
                let _turn = turns.acquire_owned().await?;
                phone.pull().await?;
                Result::Ok(phone)
            });
        }
        let mut phones = Vec::new();
        while let Some(phone) = pulling.join_next().await {
            phones.push(phone??);
        }
        println!("pulled");
        let go = self.tokens.with_extension("go");
        while !go.exists() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (opened, mut all_open) = tokio::sync::mpsc::unbounded_channel();
        let mut listening = JoinSet::new();
        let count = phones.len();
        for phone in phones {
            let (turns, opened) = (turns.clone(), opened.clone());
            listening.spawn(async move { phone.listen(turns, opened).await });
        }
        for _ in 0..count {
            all_open.recv().await;
        }
        println!("listening");
        let mut told = Vec::new();
        while let Some(one) = listening.join_next().await {
            told.push(one??);
        }
        println!("{}", serde_json::to_string(&told)?);
        Ok(())
    }
}

impl Phone {
    async fn listen(
        mut self,
        turns: Arc<Semaphore>,
        opened: tokio::sync::mpsc::UnboundedSender<()>,
    ) -> Result<Told> {
        let turn = turns.acquire_owned().await?;
        let url = format!("{}/sync/events", self.root);
        let mut answer = self.client.get(url).bearer_auth(&self.token).send().await?;
        let mut text = String::new();
        while !text.contains("event: opened") {
            let chunk = answer.chunk().await?.ok_or_else(|| format!("no stream: {text}"))?;
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        drop(turn);
        opened.send(())?;
        while !text.contains("event: moved") {
            let chunk = answer.chunk().await?.ok_or_else(|| format!("it ended: {text}"))?;
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        let heard_us = now_us();
        let busy = self.pull().await?;
        Ok(Told { heard_us, pulled_us: now_us(), busy })
    }

    /// Pulls to the checkpoint; answers how often it was told to come back.
    async fn pull(&mut self) -> Result<usize> {
        let mut busy = 0;
        loop {
            let body = json!({ "stream": self.stream, "cursor": self.cursor });
            let url = format!("{}/sync/pull", self.root);
            let request = self.client.post(url).bearer_auth(&self.token).json(&body);
            let answer = request.send().await?;
            if answer.status() == 503 {
                busy += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            let page: Json = answer.error_for_status()?.json().await?;
            self.cursor = page["cursor"].as_str().map(str::to_owned);
            if page["checkpoint"] == true {
                return Ok(busy);
            }
        }
    }
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
