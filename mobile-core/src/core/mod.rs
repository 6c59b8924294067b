//! What apps call. Every function is one step; the modules behind it explain what it does.

mod edits;
mod leaving;
mod photos;
mod receipts;
mod review;
mod verifying;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use sync_protocol::fault::{self, Point};
use sync_protocol::schema::Schema;
use sync_protocol::wire::auth::LoginRequest;
use sync_protocol::{DeviceId, StreamId};
use tokio_util::sync::CancellationToken;

pub use photos::{CheckIn, PhotoView, new_photo};
pub use review::ConflictFilter;
pub use verifying::Verification;

use crate::CoreError;
use crate::clock::{Clock, SystemClock};
use crate::outbox::list::{Failure, WaitingFor, counts, questions};
use crate::photos::queue::Waiting;
use crate::random::{Random, SystemRandom};
use crate::store::Store;
use crate::store::meta::{self, name};
use crate::store::registry::{Person, Registry};
use crate::sync::{Engine, SyncReport, session};
use crate::transport::Transport;
use crate::transport::http::HttpTransport;

/// Makes the way to a server from its address.
pub type Connect = dyn Fn(&str) -> Result<Arc<dyn Transport>, CoreError> + Send + Sync;

/// What a [`Core`] works with.
pub struct Config {
    /// Folder of all data of this installation.
    pub dir: PathBuf,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub random: Arc<dyn Random>,
    /// Makes the way to a server.
    pub connect: Arc<Connect>,
}

impl Config {
    /// The machine's clocks and randomness, HTTP.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom),
            connect: Arc::new(|server| Ok(Arc::new(HttpTransport::new(server)?))),
        }
    }
}

/// Who signs in, where.
#[derive(Clone)]
pub struct SignIn {
    /// The server's address, `https://…`.
    pub server: String,
    /// The company's short name.
    pub tenant: String,
    /// The user name.
    pub user: String,
    /// The password; not kept.
    pub password: String,
    /// What the device calls itself, for people.
    pub device_name: Option<String>,
}

impl std::fmt::Debug for SignIn {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn")
            .field("server", &self.server)
            .field("tenant", &self.tenant)
            .field("user", &self.user)
            .field("device_name", &self.device_name)
            .finish_non_exhaustive()
    }
}

/// How this device stands.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// This installation.
    pub device: DeviceId,
    /// Who is active.
    pub person: Option<Person>,
    /// Whether there is a session; without one, edits are kept and wait for the next login.
    pub signed_in: bool,
    /// The history of this database's edits.
    pub stream: Option<StreamId>,
    /// How many transactions wait for their author's answer to a question.
    pub questions: i64,
    /// How many transactions are in each state.
    pub receipts: std::collections::BTreeMap<String, i64>,
    /// Why what waits does wait.
    pub waiting_for: Option<WaitingFor>,
    /// Why the last sync failed, if it did.
    pub last_failure: Option<Failure>,
    /// The server's clock at the last checkpoint, in microseconds since 1970.
    pub last_checkpoint_us: Option<i64>,
    /// Scopes whose rows are still being fetched.
    pub incomplete_scopes: Vec<String>,
    /// Rows that remain to be fetched, as the server said last.
    pub remaining: i64,
    /// The collections that this person may see.
    pub collections: Vec<String>,
    /// Damage that was ever found, and how much of it is repaired.
    pub damage: DamageCount,
    /// Photos that wait for the server.
    pub photos: Waiting,
}

/// How much damage was found on this device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DamageCount {
    /// How often something was found.
    pub found: i64,
    /// How much of it is repaired.
    pub repaired: i64,
}

/// The device library.
pub struct Core {
    config: Config,
    registry: Mutex<Registry>,
    engine: Mutex<Option<Arc<Engine>>>,
}

impl Core {
    /// Opens a folder. The database of whoever is active in it is opened by the first call that needs it:
    /// that one tells what is wrong with it, and nobody else is kept from signing in.
    ///
    /// # Errors
    /// Says what is wrong with the folder; nothing was changed then.
    pub fn open(config: Config) -> Result<Self, CoreError> {
        let registry = Registry::load(&config.dir, config.random.as_ref())?;
        Ok(Self { config, registry: Mutex::new(registry), engine: Mutex::new(None) })
    }

    fn engine_for(&self, registry: &Registry, person: &Person) -> Result<Arc<Engine>, CoreError> {
        let store = Arc::new(registry.open(&self.config.dir, person)?);
        let transport = (self.config.connect)(&person.server)?;
        Ok(Arc::new(Engine::new(
            store,
            transport,
            Arc::clone(&self.config.clock),
            Arc::clone(&self.config.random),
            registry.device,
        )))
    }

    /// This installation.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        lock(&self.registry).device
    }

    /// The active person's engine, for sync loops and progress.
    ///
    /// # Errors
    /// [`CoreError::SignedOut`]; whatever keeps their database from being opened.
    pub fn engine(&self) -> Result<Arc<Engine>, CoreError> {
        if let Some(engine) = lock(&self.engine).clone() {
            return Ok(engine);
        }
        // Whoever needs both locks takes the registry's first.
        let registry = lock(&self.registry);
        let mut engine = lock(&self.engine);
        if let Some(engine) = &*engine {
            return Ok(Arc::clone(engine));
        }
        let person = registry.active.as_ref().ok_or(CoreError::SignedOut)?;
        let opened = self.engine_for(&registry, person)?;
        *engine = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn store(&self) -> Result<Arc<Store>, CoreError> {
        Ok(Arc::clone(self.engine()?.store()))
    }

    /// The collections that the active person may see.
    ///
    /// # Errors
    /// [`CoreError::SignedOut`]; those of the database.
    pub fn schema(&self) -> Result<Arc<Schema>, CoreError> {
        let store = self.store()?;
        store.read(|db| store.schema_in(db))
    }

    /// Signs somebody in and makes them the active person. Others' data stays as it is.
    ///
    /// # Errors
    /// The server's problem; those of the way to it and of the database.
    pub async fn login(&self, sign_in: SignIn) -> Result<Person, CoreError> {
        let server = sign_in.server.trim_end_matches('/').to_owned();
        let transport = (self.config.connect)(&server)?;
        let before = self.config.clock.read();
        let session = transport
            .login(&LoginRequest {
                tenant: sign_in.tenant.clone(),
                user: sign_in.user.clone(),
                password: sign_in.password,
                device: self.device(),
                device_name: sign_in.device_name,
            })
            .await?;
        let after = self.config.clock.read();
        let person = Person {
            server,
            tenant: session.tenant,
            tenant_name: sign_in.tenant,
            user: session.user,
            user_name: sign_in.user,
            display_name: session.user_name.clone(),
        };
        // Whoever is here already goes on with their rounds and their live queries.
        let running = self.running_for(&person);
        let goes_on = running.is_some();
        let registry = lock(&self.registry).clone();
        let engine = running.map_or_else(|| self.engine_for(&registry, &person), Ok)?;
        session::keep(engine.store(), &session, &before, &after)?;
        fault::reached(Point::SessionKept);
        let mut registry = lock(&self.registry);
        let mut next = registry.clone();
        next.activate(person.clone());
        next.save(&self.config.dir)?;
        *registry = next;
        *lock(&self.engine) = Some(Arc::clone(&engine));
        if goes_on {
            engine.kick();
        }
        Ok(person)
    }

    /// The engine of the active person, if this is them at the same server.
    fn running_for(&self, person: &Person) -> Option<Arc<Engine>> {
        let registry = lock(&self.registry);
        let active = registry.active.as_ref()?;
        let same = (&active.server, active.tenant, active.user)
            == (&person.server, person.tenant, person.user);
        lock(&self.engine).clone().filter(|_| same)
    }

    /// Runs one round of push and pull.
    ///
    /// # Errors
    /// As [`Engine::sync`].
    pub async fn sync(&self, cancel: &CancellationToken) -> Result<SyncReport, CoreError> {
        self.engine()?.sync(cancel).await
    }

    /// How this device stands.
    ///
    /// # Errors
    /// Those of the database.
    pub fn status(&self) -> Result<Status, CoreError> {
        let registry = lock(&self.registry).clone();
        let mut status = Status {
            device: registry.device,
            person: registry.active,
            signed_in: false,
            stream: None,
            questions: 0,
            receipts: std::collections::BTreeMap::new(),
            waiting_for: None,
            last_failure: None,
            last_checkpoint_us: None,
            incomplete_scopes: Vec::new(),
            remaining: 0,
            collections: Vec::new(),
            damage: DamageCount::default(),
            photos: Waiting::default(),
        };
        let engine = match self.engine() {
            Err(CoreError::SignedOut) => return Ok(status),
            engine => engine?,
        };
        status.waiting_for = engine.why_waiting()?;
        status.photos = self.photos_waiting()?;
        engine.store().read(|db| {
            let schema = engine.store().schema_in(db)?;
            status.collections = schema.collections.keys().cloned().collect();
            status.signed_in = meta::get(db, name::SESSION)?.is_some();
            status.stream = meta::get(db, name::STREAM)?.and_then(|id| id.parse().ok());
            status.receipts = counts(db)?;
            status.questions = questions(db)?;
            status.last_failure = meta::get_json(db, name::LAST_FAILURE)?;
            status.last_checkpoint_us = meta::get_json(db, name::LAST_CHECKPOINT_US)?;
            status.remaining = meta::get_number(db, name::REMAINING)?;
            status.damage =
                db.query_row("SELECT count(*), count(repaired_us) FROM campo_damage", [], |row| {
                    Ok(DamageCount { found: row.get(0)?, repaired: row.get(1)? })
                })?;
            let mut statement = db.prepare("SELECT scope FROM campo_backfill ORDER BY scope")?;
            status.incomplete_scopes =
                statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(())
        })?;
        Ok(status)
    }
}

/// Takes a lock also after a panic elsewhere: what it guards is replaced as a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
