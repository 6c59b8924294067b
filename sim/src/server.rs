//! The server: the real router with the real SQLite store, asked without a socket.
//!
//! One request at a time is answered to its end before anything else happens, so that a run can be
//! repeated although the store works with threads of its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt as _;
use mobile_core::transport::exchange::Request;
use sync_protocol::schema::Schema;
use sync_protocol::{Scope, TenantId, UserId};
use sync_server::auth::access_token::AccessTokens;
use sync_server::auth::authenticate::Authenticator;
use sync_server::auth::password::Passwords;
use sync_server::auth::session::Sessions;
use sync_server::auth::throttle::Throttle;
use sync_server::http::{App, HttpSettings, PREFIX, router};
use sync_server::random::SharedRandom;
use sync_server::store::accounts::Account;
use sync_server::store::sqlite::SqliteStore;
use sync_server::store::{Accounts as _, Store};
use tower::ServiceExt as _;

use crate::rng::ServerRandom;
use crate::time::TrueTime;

/// The company's short name.
pub const COMPANY: &str = "robles";
/// Everybody's password.
pub const PASSWORD: &str = "correcto caballo";

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

/// A server and its database.
pub struct Server {
    directory: PathBuf,
    time: TrueTime,
    random: SharedRandom,
    /// What it runs with.
    pub schema: Arc<Schema>,
    /// The company.
    pub tenant: TenantId,
    store: SqliteStore,
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
    pub async fn begin(directory: &Path, time: TrueTime, schema: Arc<Schema>, seed: u64) -> Self {
        let random: SharedRandom = Arc::new(ServerRandom::new(seed));
        let store = SqliteStore::open_with(directory, schema.clone(), random.clone())
            .await
            .expect("a store");
        let tenant = store.create_tenant(COMPANY, "Robles").await.expect("a tenant");
        let directory = directory.to_owned();
        let router = serve(&store, &time, &random).await;
        Self { directory, time, random, schema, tenant, store, router }
    }

    /// The server stops and starts again, perhaps with another schema.
    pub async fn restart(&mut self, schema: Arc<Schema>) {
        self.router = Router::new();
        self.store.close().await;
        self.schema = schema;
        self.store =
            SqliteStore::open_with(&self.directory, self.schema.clone(), self.random.clone())
                .await
                .expect("the store opens again");
        self.store.migrate().await.expect("the schema only grew");
        self.router = serve(&self.store, &self.time, &self.random).await;
    }

    /// Closes the files.
    pub async fn close(self) {
        self.store.close().await;
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
        self.store.create_user(self.tenant, &account).await.expect("a user");
    }

    /// Grants a scope or takes it away.
    pub async fn grant(&self, user: UserId, scope: &Scope, held: bool) {
        let done = match held {
            true => self.store.grant(self.tenant, user, scope).await,
            false => self.store.revoke(self.tenant, user, scope).await,
        };
        done.expect("grants can be changed");
    }

    /// The store, for who writes beside the API.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &self.store
    }

    /// The company's database file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.directory.join("tenants").join(format!("{}.db", self.tenant))
    }

    /// Answers a request.
    pub async fn answer(&self, request: &Request) -> Response {
        let mut asked = axum::http::Request::builder()
            .method(request.method.clone())
            .uri(format!("{PREFIX}/{}", request.path))
            .body(Body::from(request.body.clone()))
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

async fn serve(store: &SqliteStore, time: &TrueTime, random: &SharedRandom) -> Router {
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let clock = Arc::new(time.clone());
    let key = store.signing_key().await.expect("a key");
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
    let app = App::new(shared, clock, authenticator, sessions, HttpSettings::default());
    router(&Arc::new(app))
}
