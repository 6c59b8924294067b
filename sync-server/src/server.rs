//! A running server: from configuration to listening, and to a stop that loses nothing.
//!
//! Stopping: the address is closed to newcomers, streams of pages end at their next page, requests
//! that are at work get [`STOP_TIME_MAX`], then the store is closed. What is cut off by that is not
//! answered and will be sent again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sync_protocol::problem::Problem;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::auth::access_token::AccessTokens;
use crate::auth::authenticate::Authenticator;
use crate::auth::issuer::{Issuer, KeysError};
use crate::auth::password::Passwords;
use crate::auth::session::Sessions;
use crate::auth::throttle::Throttle;
use crate::config::{Config, Database};
use crate::database::{DirectoryHold, OpenStore};
use crate::http::{App, connections, metrics, router};
use crate::photos::{Photos, objects::ObjectError};
use crate::random::SystemRandom;
use crate::schema_files::{self, SchemaError};
use crate::store::StoreError;

/// How long requests that are at work get when the server stops.
const STOP_TIME_MAX: Duration = Duration::from_secs(20);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The schema.
    #[error("the schema has mistakes:\n{0}")]
    Schema(#[from] SchemaError),
    /// The database.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// An issuer's keys.
    #[error("{0}")]
    Issuer(#[from] KeysError),
    /// The photos' store.
    #[error("{0}")]
    Photos(#[from] ObjectError),
    /// The machine.
    #[error("{0}")]
    Machine(Problem),
    /// The address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A server that listens. Dropped without [`Self::shutdown`] it goes on until the runtime ends.
pub struct RunningServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it tells metrics, if anywhere.
    pub metrics: Option<SocketAddr>,
    app: Arc<App>,
    store: OpenStore,
    task: JoinHandle<()>,
    _hold: Option<DirectoryHold>,
}

/// Starts a server.
///
/// # Errors
/// Everything that is wrong with schema, database, issuers or address: it does not start half.
pub async fn serve(config: Config) -> Result<RunningServer, ServeError> {
    let schema = Arc::new(schema_files::load(config.schemas.as_deref())?);
    let hold = match &config.database {
        Database::Sqlite(directory) => Some(DirectoryHold::take(directory)?),
        Database::Postgres(_) => None,
    };
    let store = OpenStore::open(&config.database, schema).await?;
    if let OpenStore::Sqlite(files) = &store {
        files.migrate().await?;
    }
    let app = Arc::new(app(&config, &store).await?);
    let (listener, address) = listen(config.listen).await?;
    let metrics = match config.metrics {
        Some(at) => Some(tell_metrics(&app, at).await?),
        None => None,
    };
    let settings = app.settings.clone();
    let task = connections::serve(listener, router(&app), settings, app.stopping.clone());
    let task = tokio::spawn(task);
    let housekeeping = crate::housekeeping::run(
        app.store.clone(),
        app.photos.clone(),
        config.clock.clone(),
        app.stopping.clone(),
    );
    tokio::spawn(housekeeping);
    tracing::info!(%address, "listening");
    Ok(RunningServer { address, metrics, app, store, task, _hold: hold })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Tells metrics until the server stops. Answers where.
async fn tell_metrics(app: &App, at: SocketAddr) -> Result<SocketAddr, ServeError> {
    let (listener, address) = listen(at).await?;
    let router = metrics::router(&app.metrics);
    let task = connections::serve(listener, router, app.settings.clone(), app.stopping.clone());
    tokio::spawn(task);
    Ok(address)
}

async fn app(config: &Config, store: &OpenStore) -> Result<App, ServeError> {
    let shared = store.shared();
    let own = AccessTokens::new(&shared.signing_key().await?);
    let mut issuers = Vec::with_capacity(config.issuers.len());
    for issuer in &config.issuers {
        issuers.push(Issuer::open(issuer.clone(), config.clock.now_us()).await?);
    }
    let authenticator = Arc::new(Authenticator::new(shared.clone(), own, issuers));
    let sessions = Sessions {
        store: shared.clone(),
        clock: config.clock.clone(),
        random: Arc::new(SystemRandom),
        authenticator: authenticator.clone(),
        passwords: Passwords::new().map_err(ServeError::Machine)?,
        throttle: Arc::new(Throttle::default()),
    };
    let photos = Arc::new(Photos::open(&config.photos)?);
    let clock = config.clock.clone();
    Ok(App::new(shared, photos, clock, authenticator, sessions, config.http.clone()))
}

impl RunningServer {
    /// Where it is to be found.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops, as the module says, and waits until everything is closed.
    pub async fn shutdown(mut self) {
        self.app.stopping.cancel();
        if tokio::time::timeout(STOP_TIME_MAX, &mut self.task).await.is_err() {
            tracing::warn!("some requests were cut off");
            self.task.abort();
        }
        self.store.close().await;
    }
}
