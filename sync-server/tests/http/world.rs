//! A running server and a client for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value as Json, json};
use sqlx::Connection as _;
use sync_protocol::wire::events::EVENTS_MEDIA_TYPE;
use sync_protocol::{TenantId, UserId};
use sync_server::auth::issuer::IssuerConfig;
use sync_server::clock::{Clock, SystemClock};
use sync_server::database::OpenStore;
use sync_server::photos::PhotoLocation;
use sync_server::{Config, Database, RunningServer, schema_files, serve};
use uuid::Uuid;

/// The machine's clock, which tests push forward, and break.
#[derive(Default)]
pub struct PushedClock {
    ahead_us: AtomicI64,
    broken: AtomicBool,
}

/// What a broken clock says.
pub const CLOCK_PANIC: &str = "the spring of the clock jumped out";

impl PushedClock {
    pub fn push(&self, seconds: i64) {
        self.ahead_us.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    /// Whoever asks it next panics.
    pub fn break_once(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }
}

impl Clock for PushedClock {
    fn now_us(&self) -> i64 {
        assert!(!self.broken.swap(false, Ordering::Relaxed), "{CLOCK_PANIC}");
        SystemClock.now_us() + self.ahead_us.load(Ordering::Relaxed)
    }
}

/// A server, a second connection to its database, and a client.
pub struct World {
    pub server: RunningServer,
    /// As administrators' commands have it, beside the running server.
    pub store: OpenStore,
    pub client: reqwest::Client,
    pub config: Config,
    pub clock: Arc<PushedClock>,
    _directory: tempfile::TempDir,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of a problem document; also checks that it is one.
    pub fn code(&self) -> String {
        let json = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json", "{json}");
        assert_eq!(json["status"], self.status, "{json}");
        assert!(json["title"].as_str().is_some_and(|title| !title.is_empty()), "{json}");
        if self.status == 401 {
            assert!(self.header("www-authenticate").starts_with("Bearer"), "{json}");
        }
        let code = json["code"].as_str().expect("a code").to_owned();
        assert_eq!(json["type"], format!("https://campo.dev/problems/{code}"));
        code
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Asserts success.
    pub fn ok(self) -> Self {
        assert!(self.status < 300, "{}: {}", self.status, self.text());
        self
    }
}

impl World {
    pub async fn on_sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = Config::local(directory.path().join("data"));
        Self::start(config, directory).await
    }

    /// On a private PostgreSQL, as the server's role.
    pub async fn on_postgres() -> Self {
        let schema = Arc::new(schema_files::load(None).expect("a schema"));
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = Config::local_postgres(crate::fresh::postgres_url(&schema).await);
        config.photos.location = PhotoLocation::Folder(directory.path().join("photos"));
        Self::start(config, directory).await
    }

    async fn start(mut config: Config, directory: tempfile::TempDir) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Arc::new(PushedClock::default());
        config.clock = clock.clone();
        let server = serve(config.clone()).await.expect("a server");
        let schema = Arc::new(schema_files::load(None).expect("a schema"));
        let store = OpenStore::open(&config.database, schema).await.expect("a store");
        let client = reqwest::Client::builder().build().expect("a client");
        Self { server, store, client, config, clock, _directory: directory }
    }

    /// The same with another server on the same database, which accepts an issuer's tokens.
    pub async fn restarted_with(self, issuer: IssuerConfig) -> Self {
        self.restarted(|config| config.issuers = vec![issuer]).await
    }

    /// The same with another server on the same database, configured otherwise.
    pub async fn restarted(mut self, change: impl FnOnce(&mut Config)) -> Self {
        self.server.shutdown().await;
        change(&mut self.config);
        self.server = serve(self.config.clone()).await.expect("a server");
        self
    }

    pub fn url(&self, path: &str) -> String {
        if path.starts_with('/') {
            return format!("{}{path}", self.server.url());
        }
        format!("{}/mobile/api/v1/{path}", self.server.url())
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let mut answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let endless = headers.get("content-type").is_some_and(|kind| kind == EVENTS_MEDIA_TYPE);
        let body = match endless {
            // Its beginning.
            true => answer.chunk().await.expect("a body").unwrap_or_default().to_vec(),
            false => answer.bytes().await.expect("a body").to_vec(),
        };
        assert!(headers.contains_key("x-request-id"), "no request id");
        Answer { status, headers, body }
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let mut request = self.client.get(self.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        self.send(request).await
    }

    pub async fn post(&self, path: &str, token: Option<&str>, body: &Json) -> Answer {
        self.post_bytes(path, token, body.to_string().into_bytes(), &[]).await
    }

    pub async fn post_bytes(
        &self,
        path: &str,
        token: Option<&str>,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.client.post(self.url(path)).body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    /// A request of tus with the samples' headers.
    pub async fn tus(&self, method: Method, path: &str, token: Option<&str>) -> Answer {
        let mut request = self.client.request(method, self.url(path));
        for (name, value) in crate::samples::TUS {
            request = request.header(name, value);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        self.send(request).await
    }

    pub async fn login(&self, tenant: &str, user: &str, password: &str, device: &str) -> Answer {
        let body =
            json!({ "tenant": tenant, "user": user, "password": password, "device": device });
        self.post("auth/login", None, &body).await
    }
}

/// Who did something, and its details, as the audit trail has them.
type Noted = (Option<UserId>, Json);

impl World {
    /// The entries of a company's audit trail of this kind.
    pub async fn audited(&self, tenant: TenantId, action: &str) -> Vec<Noted> {
        let rows: Vec<(Option<Uuid>, String)> = match &self.config.database {
            Database::Postgres(url) => {
                let mut db = sqlx::PgConnection::connect(url).await.expect("a connection");
                sqlx::query("SELECT set_config('app.current_tenant_id', $1, false)")
                    .bind(tenant.to_string())
                    .execute(&mut db)
                    .await
                    .expect("set");
                sqlx::query_as("SELECT user_id, detail FROM sync.audit WHERE action = $1")
                    .bind(action.to_owned())
                    .fetch_all(&mut db)
                    .await
                    .expect("the trail")
            }
            Database::Sqlite(folder) => {
                let file = folder.join("tenants").join(format!("{tenant}.db"));
                let url = format!("sqlite://{}", file.display());
                let mut db = sqlx::SqliteConnection::connect(&url).await.expect("a connection");
                sqlx::query_as("SELECT user, detail FROM sync_audit WHERE action = ?")
                    .bind(action.to_owned())
                    .fetch_all(&mut db)
                    .await
                    .expect("the trail")
            }
        };
        let noted = |(user, detail): (Option<Uuid>, String)| {
            (user.map(UserId), serde_json::from_str(&detail).expect("JSON"))
        };
        rows.into_iter().map(noted).collect()
    }
}
