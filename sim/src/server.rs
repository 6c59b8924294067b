//! The server: the real router with a real store, asked without a socket.
//!
//! One request at a time is answered to its end before anything else happens, so that a run can be
//! repeated although the store works with threads of its own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt as _;
use mobile_core::transport::exchange::Request;
use rusqlite::ErrorCode;
use sync_protocol::schema::Schema;
use sync_protocol::{Scope, TenantId, UserId};
use sync_server::auth::access_token::AccessTokens;
use sync_server::auth::authenticate::Authenticator;
use sync_server::auth::password::Passwords;
use sync_server::auth::session::Sessions;
use sync_server::auth::throttle::Throttle;
use sync_server::database::OpenStore;
use sync_server::http::{App, HttpSettings, PREFIX, router};
use sync_server::photos::{PhotoSettings, Photos};
use sync_server::random::SharedRandom;
use sync_server::store::Store;
use sync_server::store::accounts::Account;
use sync_server::store::postgres::PostgresStore;
use sync_server::store::sqlite::SqliteStore;
use tower::ServiceExt as _;

use crate::postgres::Urls;
use crate::rng::ServerRandom;
use crate::shelf::Shelf;
use crate::time::{ServerClock, TrueTime};

/// The company's short name.
pub const COMPANY: &str = "robles";
/// Everybody's password.
pub const PASSWORD: &str = "correcto caballo";

/// Attempts to write into a file that the server has locked, a millisecond apart.
const LOCKED_MAX: u32 = 20_000;

/// An answer as it left the server.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: axum::http::HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The server itself broke the body off.
    pub broken: bool,
}

/// Which database a server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Database {
    /// SQLite files.
    #[default]
    Sqlite,
    /// A database in a private PostgreSQL cluster.
    Postgres,
}

/// Where the company's data is.
#[derive(Debug, Clone)]
pub enum Place {
    /// In this file.
    Sqlite(PathBuf),
    /// In this database, as this tenant's.
    Postgres(Urls, TenantId),
}

/// A server and its database.
pub struct Server {
    directory: PathBuf,
    urls: Option<Urls>,
    pulls: AtomicU64,
    /// Its machine's clock.
    pub clock: ServerClock,
    random: SharedRandom,
    /// What it runs with.
    pub schema: Arc<Schema>,
    /// The company.
    pub tenant: TenantId,
    store: OpenStore,
    shared: Arc<dyn Store>,
    /// Where pictures are.
    pub shelf: Shelf,
    /// How much room the company has for pictures, in bytes.
    quota_bytes: u64,
    photos: Arc<Photos>,
    router: Router,
}

/// Hashing passwords is made to be slow; one instance serves all runs of the process.
fn passwords() -> Passwords {
    static PASSWORDS: OnceLock<Passwords> = OnceLock::new();
    PASSWORDS.get_or_init(|| Passwords::new().expect("hashing works")).clone()
}

/// A hash of [`PASSWORD`] that is cheap to check: its parameters stand in it.
fn password_hash() -> String {
    static HASH: OnceLock<String> = OnceLock::new();
    let hash = || {
        use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
        let params = Params::new(8, 1, 1, None).expect("good parameters");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password(PASSWORD.as_bytes()).expect("hashing works").to_string()
    };
    HASH.get_or_init(hash).clone()
}

impl Server {
    /// A new server with an empty company.
    pub async fn begin(
        directory: &Path,
        database: Database,
        time: TrueTime,
        schema: Arc<Schema>,
        seed: u64,
    ) -> Self {
        let random: SharedRandom = Arc::new(ServerRandom::new(seed));
        let urls = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(Urls::begin(&schema).await),
        };
        let store = open(directory, urls.as_ref(), &schema, &random).await;
        let shared = store.shared();
        let tenant = shared.create_tenant(COMPANY, "Robles").await.expect("a tenant");
        let directory = directory.to_owned();
        let clock = ServerClock::new(time);
        let shelf = Shelf::new(clock.clone());
        let quota_bytes = PhotoSettings::QUOTA_BYTES_DEFAULT;
        let photos = Arc::new(Photos::new(Arc::new(shelf.clone()), quota_bytes));
        let router = serve(&shared, &photos, &clock, &random).await;
        let pulls = AtomicU64::new(0);
        Self {
            directory,
            urls,
            pulls,
            clock,
            random,
            schema,
            tenant,
            store,
            shared,
            shelf,
            quota_bytes,
            photos,
            router,
        }
    }

    /// The server stops and starts again, perhaps with another schema.
    pub async fn restart(&mut self, schema: Arc<Schema>) {
        self.router = Router::new();
        self.store.close().await;
        self.schema = schema;
        if let Some(urls) = &self.urls {
            urls.migrate(&self.schema).await;
        }
        self.store = open(&self.directory, self.urls.as_ref(), &self.schema, &self.random).await;
        if let OpenStore::Sqlite(files) = &self.store {
            files.migrate().await.expect("the schema only grew");
        }
        self.shared = self.store.shared();
        self.photos = Arc::new(Photos::new(Arc::new(self.shelf.clone()), self.quota_bytes));
        self.router = serve(&self.shared, &self.photos, &self.clock, &self.random).await;
    }

    /// The company gets room for so many bytes of pictures, or as much as usual; the server starts again.
    pub async fn set_quota(&mut self, bytes: Option<u64>) {
        self.quota_bytes = bytes.unwrap_or(PhotoSettings::QUOTA_BYTES_DEFAULT);
        self.restart(self.schema.clone()).await;
    }

    /// The pictures, for who looks after them beside the API.
    #[must_use]
    pub fn photos(&self) -> &Photos {
        &self.photos
    }

    /// A new account.
    pub async fn person(&self, id: UserId, login: &str, role: &str) {
        let account = Account {
            id,
            login: login.to_owned(),
            name: login.to_owned(),
            password_hash: password_hash(),
            roles: vec![role.to_owned()],
            disabled: false,
        };
        self.shared.create_user(self.tenant, &account).await.expect("a user");
    }

    /// Grants a scope or takes it away.
    pub async fn grant(&self, user: UserId, scope: &Scope, held: bool) {
        let done = match held {
            true => self.shared.grant(self.tenant, user, scope).await,
            false => self.shared.revoke(self.tenant, user, scope).await,
        };
        done.expect("grants can be changed");
    }

    /// Gives somebody another role, as an administrator would with SQL.
    pub async fn set_role(&self, user: UserId, role: &str) {
        if let Some(urls) = &self.urls {
            return urls.set_role(self.tenant, user, role).await;
        }
        let Place::Sqlite(file) = self.place() else { return };
        let db = rusqlite::Connection::open(file).expect("the server's file opens");
        db.busy_timeout(Duration::ZERO).expect("a timeout");
        let sql = "UPDATE sync_users SET roles = json_array(?2) WHERE id = ?1";
        for _ in 0..LOCKED_MAX {
            match db.execute(sql, (user.0.as_bytes(), role)) {
                Ok(changed) => return assert_eq!(changed, 1, "{user} has an account"),
                // The server is still giving up what was broken off: this very thread has to let it.
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(error) => panic!("roles can be changed: {error}"),
            }
        }
        panic!("the server's file is locked for ever");
    }

    /// The store, for who writes beside the API.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        self.shared.as_ref()
    }

    /// Where the company's data is.
    #[must_use]
    pub fn place(&self) -> Place {
        match &self.urls {
            Some(urls) => Place::Postgres(urls.clone(), self.tenant),
            None => {
                let file = format!("{}.db", self.tenant);
                Place::Sqlite(self.directory.join("tenants").join(file))
            }
        }
    }

    /// Answers a request.
    pub async fn answer(&self, request: &Request) -> Response {
        self.ask(request, Body::from(request.body.clone())).await
    }

    /// Answers a request whose body breaks off.
    pub async fn answer_to_half(&self, request: &Request, bytes: usize) -> Response {
        let half = request.body.slice(..bytes.min(request.body.len()));
        let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let pieces = futures::stream::iter([Ok(half), Err(cut)]);
        self.ask(request, Body::from_stream(pieces)).await
    }

    async fn ask(&self, request: &Request, body: Body) -> Response {
        if let Some(urls) = self.urls.as_ref().filter(|_| request.path == "sync/pull") {
            urls.leave_witness(self.pulls.fetch_add(1, Ordering::SeqCst)).await;
        }
        let mut asked = axum::http::Request::builder()
            .method(request.method.clone())
            .uri(format!("{PREFIX}/{}", request.path))
            .body(body)
            .expect("a request");
        *asked.headers_mut() = request.headers.clone();
        let answer = match self.router.clone().oneshot(asked).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let (head, body) = answer.into_parts();
        let mut stream = body.into_data_stream();
        let (mut all, mut broken) = (Vec::new(), false);
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) => all.extend_from_slice(&piece),
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        Response { status: head.status.as_u16(), headers: head.headers, body: all.into(), broken }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(urls) = &self.urls {
            urls.drop_database();
        }
    }
}

async fn open(
    directory: &Path,
    urls: Option<&Urls>,
    schema: &Arc<Schema>,
    random: &SharedRandom,
) -> OpenStore {
    let (schema, random) = (schema.clone(), random.clone());
    match urls {
        Some(urls) => {
            let store = PostgresStore::connect(&urls.server, schema).await;
            OpenStore::Postgres(store.expect("the store opens"))
        }
        None => {
            let store = SqliteStore::open_with(directory, schema, random).await;
            OpenStore::Sqlite(store.expect("the store opens"))
        }
    }
}

async fn serve(
    shared: &Arc<dyn Store>,
    photos: &Arc<Photos>,
    clock: &ServerClock,
    random: &SharedRandom,
) -> Router {
    let clock = Arc::new(clock.clone());
    let key = shared.signing_key().await.expect("a key");
    let own = AccessTokens::new(&key);
    let authenticator = Arc::new(Authenticator::new(shared.clone(), own, Vec::new()));
    let sessions = Sessions {
        store: shared.clone(),
        clock: clock.clone(),
        random: random.clone(),
        authenticator: authenticator.clone(),
        passwords: passwords(),
        throttle: Arc::new(Throttle::default()),
    };
    let settings = HttpSettings::default();
    let app = App::new(shared.clone(), photos.clone(), clock, authenticator, sessions, settings);
    router(&Arc::new(app))
}
