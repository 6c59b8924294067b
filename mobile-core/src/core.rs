//! What apps call. Every function is one step; the modules behind it explain what it does.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value as Json};
use sync_protocol::schema::Schema;
use sync_protocol::value::fields_to_json;
use sync_protocol::wire::auth::LoginRequest;
use sync_protocol::wire::review::{Conflict, ConflictList, Keep, ResolveRequest};
use sync_protocol::{ConflictId, DeviceId, ReceiptId, RecordId, StreamId};
use tokio_util::sync::CancellationToken;

use crate::CoreError;
use crate::clock::{Clock, SystemClock};
use crate::edit::{Edit, known_collection};
use crate::outbox::list::{self, Failure, ReceiptView, WaitingFor, Which};
use crate::outbox::{correct, list::counts};
use crate::query::{self, LiveQuery, QueryResult};
use crate::random::{Random, SystemRandom};
use crate::store::meta::{self, name};
use crate::store::registry::{self, Person, Registry};
use crate::store::{Store, rows};
use crate::sync::session::{self, StoredSession};
use crate::sync::{Engine, SyncReport, authorised};
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
#[derive(Debug, Clone)]
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
}

/// The device library.
pub struct Core {
    config: Config,
    registry: Mutex<Registry>,
    engine: Mutex<Option<Arc<Engine>>>,
}

impl Core {
    /// Opens a folder, and the database of whoever is active in it.
    ///
    /// # Errors
    /// Says what is wrong with the folder or the database; nothing was changed then.
    pub fn open(config: Config) -> Result<Self, CoreError> {
        let registry = Registry::load(&config.dir, config.random.as_ref())?;
        let active = registry.active.clone();
        let core = Self { config, registry: Mutex::new(registry), engine: Mutex::new(None) };
        if let Some(person) = active {
            let engine = core.engine_for(&person)?;
            *core.engine.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine);
        }
        Ok(core)
    }

    fn engine_for(&self, person: &Person) -> Result<Arc<Engine>, CoreError> {
        let path = registry::database(&self.config.dir, person.tenant, person.user);
        let store = Arc::new(Store::open(&path)?);
        let transport = (self.config.connect)(&person.server)?;
        Ok(Arc::new(Engine::new(
            store,
            transport,
            Arc::clone(&self.config.clock),
            Arc::clone(&self.config.random),
            self.device(),
        )))
    }

    /// This installation.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).device
    }

    /// The active person's engine, for sync loops and progress.
    ///
    /// # Errors
    /// [`CoreError::SignedOut`].
    pub fn engine(&self) -> Result<Arc<Engine>, CoreError> {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.clone().ok_or(CoreError::SignedOut)
    }

    fn store(&self) -> Result<Arc<Store>, CoreError> {
        Ok(Arc::clone(self.engine()?.store()))
    }

    /// The collections that the active person may see.
    ///
    /// # Errors
    /// [`CoreError::SignedOut`].
    pub fn schema(&self) -> Result<Arc<Schema>, CoreError> {
        Ok(self.store()?.schema())
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
        let engine = self.engine_for(&person)?;
        session::keep(engine.store(), &session, &before, &after)?;
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = registry.clone();
        next.activate(person.clone());
        next.save(&self.config.dir)?;
        *registry = next;
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine);
        Ok(person)
    }

    /// Ends the active person's session. Their data and unsent edits stay for their next login.
    ///
    /// # Errors
    /// [`CoreError::SignedOut`]; those of files and the database.
    pub async fn logout(&self) -> Result<(), CoreError> {
        self.engine()?.end_session().await?;
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = registry.clone();
        next.active = None;
        next.save(&self.config.dir)?;
        *registry = next;
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    /// Makes edits that take effect together. Returns what `f` returned and the receipt's id (`None`
    /// when nothing was changed).
    ///
    /// # Errors
    /// Those of `f`, and of the database; nothing was changed then.
    pub fn transaction<T>(
        &self,
        f: impl FnOnce(&mut Edit<'_>) -> Result<T, CoreError>,
    ) -> Result<(T, Option<ReceiptId>), CoreError> {
        let store = self.store()?;
        let schema = store.schema();
        let now = self.config.clock.read();
        store.write(|db| {
            let permissions = permissions(db)?;
            let random = self.config.random.as_ref();
            let mut edit = Edit::begin(db, &schema, &permissions, random, now)?;
            let value = f(&mut edit)?;
            Ok((value, edit.finish()?))
        })
    }

    /// Makes a record and returns its id.
    ///
    /// # Errors
    /// As [`Edit::insert`].
    pub fn insert(
        &self,
        collection: &str,
        fields: &Map<String, Json>,
    ) -> Result<RecordId, CoreError> {
        Ok(self.transaction(|edit| edit.insert(collection, fields))?.0)
    }

    /// Changes fields of a record.
    ///
    /// # Errors
    /// As [`Edit::update`].
    pub fn update(
        &self,
        collection: &str,
        record: RecordId,
        fields: &Map<String, Json>,
    ) -> Result<Option<ReceiptId>, CoreError> {
        Ok(self.transaction(|edit| edit.update(collection, record, fields))?.1)
    }

    /// Updates the record that `fields` names under `id` if it is here, makes one otherwise. Returns its
    /// id.
    ///
    /// # Errors
    /// As [`Edit::insert`] and [`Edit::update`].
    pub fn put(&self, collection: &str, fields: &Map<String, Json>) -> Result<RecordId, CoreError> {
        let named = fields.get("id").and_then(Json::as_str).and_then(|id| id.parse().ok());
        let put = |edit: &mut Edit<'_>| match named {
            Some(record) if edit.exists(collection, record)? => {
                edit.update(collection, record, fields)?;
                Ok(record)
            }
            _ => edit.insert(collection, fields),
        };
        Ok(self.transaction(put)?.0)
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// As [`Edit::delete`].
    pub fn delete(&self, collection: &str, record: RecordId) -> Result<ReceiptId, CoreError> {
        let (_, receipt) = self.transaction(|edit| edit.delete(collection, record))?;
        receipt.ok_or_else(|| CoreError::Stored("a deletion without a receipt".to_owned()))
    }

    /// Brings a deleted record back.
    ///
    /// # Errors
    /// As [`Edit::restore`].
    pub fn restore(&self, collection: &str, record: RecordId) -> Result<ReceiptId, CoreError> {
        let (_, receipt) = self.transaction(|edit| edit.restore(collection, record))?;
        receipt.ok_or_else(|| CoreError::Stored("a restoration without a receipt".to_owned()))
    }

    /// A record as the app sees it, in canonical JSON with `id`, `_version` and `_pending`.
    ///
    /// # Errors
    /// [`CoreError::NoSuchRecord`]; those of the database.
    pub fn get(&self, collection: &str, record: RecordId) -> Result<Map<String, Json>, CoreError> {
        let store = self.store()?;
        let schema = store.schema();
        let known = known_collection(&schema, collection)?;
        let row = store
            .read(|db| rows::read(db, known, record))?
            .ok_or_else(|| CoreError::NoSuchRecord { collection: collection.to_owned(), record })?;
        let mut json = fields_to_json(&known.fields, &row.fields);
        json.insert("id".to_owned(), record.to_string().into());
        json.insert("_version".to_owned(), row.version.into());
        json.insert("_pending".to_owned(), row.pending.into());
        Ok(json)
    }

    /// All records of a collection, by id, as [`Core::query`] gives them.
    ///
    /// # Errors
    /// [`CoreError::UnknownCollection`]; those of the database.
    pub fn list(&self, collection: &str) -> Result<QueryResult, CoreError> {
        let store = self.store()?;
        let schema = store.schema();
        let known = known_collection(&schema, collection)?;
        let columns: String = known
            .fields
            .iter()
            .map(|f| format!(", {}", crate::store::tables::quoted(&f.name)))
            .collect();
        let table = crate::store::tables::quoted(&known.name);
        query::run(
            &store,
            &format!("SELECT id{columns}, _version, _pending FROM {table} ORDER BY id"),
            &[],
        )
    }

    /// Runs the app's own reading SQL.
    ///
    /// # Errors
    /// [`CoreError::Query`]; those of the database.
    pub fn query(&self, sql: &str, parameters: &[Json]) -> Result<QueryResult, CoreError> {
        query::run(self.store()?.as_ref(), sql, parameters)
    }

    /// Tells when tables that a statement reads have changed.
    ///
    /// # Errors
    /// [`CoreError::Query`]; those of the database.
    pub fn watch(&self, sql: &str) -> Result<LiveQuery, CoreError> {
        LiveQuery::watch(self.store()?.as_ref(), sql)
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
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut status = Status {
            device: registry.device,
            person: registry.active,
            signed_in: false,
            stream: None,
            receipts: std::collections::BTreeMap::new(),
            waiting_for: None,
            last_failure: None,
            last_checkpoint_us: None,
            incomplete_scopes: Vec::new(),
            remaining: 0,
            collections: Vec::new(),
        };
        let Ok(engine) = self.engine() else { return Ok(status) };
        status.waiting_for = engine.why_waiting()?;
        status.collections = engine.store().schema().collections.keys().cloned().collect();
        engine.store().read(|db| {
            status.signed_in = meta::get(db, name::SESSION)?.is_some();
            status.stream = meta::get(db, name::STREAM)?.and_then(|id| id.parse().ok());
            status.receipts = counts(db)?;
            status.last_failure = meta::get_json(db, name::LAST_FAILURE)?;
            status.last_checkpoint_us = meta::get_json(db, name::LAST_CHECKPOINT_US)?;
            status.remaining = meta::get_number(db, name::REMAINING)?;
            let mut statement = db.prepare("SELECT scope FROM campo_backfill ORDER BY scope")?;
            status.incomplete_scopes =
                statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(())
        })?;
        Ok(status)
    }

    fn receipt_list(&self, which: Which) -> Result<Vec<ReceiptView>, CoreError> {
        let engine = self.engine()?;
        let why = engine.why_waiting()?;
        engine.store().read(|db| list::list(db, which, why.as_ref()))
    }

    /// All receipts, in the order of sending.
    ///
    /// # Errors
    /// Those of the database.
    pub fn receipts(&self) -> Result<Vec<ReceiptView>, CoreError> {
        self.receipt_list(Which::All)
    }

    /// One receipt.
    ///
    /// # Errors
    /// [`CoreError::NoSuchReceipt`]; those of the database.
    pub fn receipt(&self, id: ReceiptId) -> Result<ReceiptView, CoreError> {
        let engine = self.engine()?;
        let why = engine.why_waiting()?;
        engine.store().read(|db| list::get(db, id, why.as_ref()))
    }

    /// Edits whose outcome is not in the tables.
    ///
    /// # Errors
    /// Those of the database.
    pub fn pending(&self) -> Result<Vec<ReceiptView>, CoreError> {
        self.receipt_list(Which::Pending)
    }

    /// Edits that somebody has to look at.
    ///
    /// # Errors
    /// Those of the database.
    pub fn problems(&self) -> Result<Vec<ReceiptView>, CoreError> {
        self.receipt_list(Which::Problems)
    }

    /// Corrects a refused edit and sends it again; returns the new receipt's id.
    ///
    /// # Errors
    /// As [`correct::retry`].
    pub fn retry(
        &self,
        id: ReceiptId,
        correction: Option<&Map<String, Json>>,
    ) -> Result<ReceiptId, CoreError> {
        let store = self.store()?;
        let schema = store.schema();
        store.write(|db| {
            let permissions = permissions(db)?;
            let author = correct::Author {
                permissions: &permissions,
                random: self.config.random.as_ref(),
                now: self.config.clock.read(),
            };
            correct::retry(db, &schema, &author, id, correction)
        })
    }

    /// Takes back an edit that the server does not have.
    ///
    /// # Errors
    /// As [`correct::discard`].
    pub fn discard(&self, id: ReceiptId) -> Result<(), CoreError> {
        let store = self.store()?;
        let schema = store.schema();
        store.write(|db| correct::discard(db, &schema, id))
    }

    /// Conflicts, from the server. `query` narrows the list (`status=open&collection=avances`).
    ///
    /// # Errors
    /// The server's problem; those of the way to it.
    pub async fn conflicts(&self, query: &str) -> Result<ConflictList, CoreError> {
        let engine = self.engine()?;
        let transport = engine.transport();
        Ok(authorised!(engine, |token| transport.conflicts(token, query))?)
    }

    /// One conflict, from the server.
    ///
    /// # Errors
    /// The server's problem; those of the way to it.
    pub async fn conflict(&self, id: ConflictId) -> Result<Conflict, CoreError> {
        let engine = self.engine()?;
        let transport = engine.transport();
        Ok(authorised!(engine, |token| transport.conflict(token, id))?)
    }

    /// Decides a conflict as the person saw it: `revision` is that of the conflict on their screen.
    ///
    /// # Errors
    /// The server's problem (409 when the conflict has changed since); those of the way.
    pub async fn resolve(
        &self,
        id: ConflictId,
        revision: i64,
        keep: Keep,
        reason: &str,
    ) -> Result<Conflict, CoreError> {
        let request = ResolveRequest { revision, keep, reason: reason.to_owned() };
        let engine = self.engine()?;
        let transport = engine.transport();
        Ok(authorised!(engine, |token| transport.resolve(token, id, &request))?)
    }
}

fn permissions(db: &rusqlite::Connection) -> Result<BTreeSet<String>, CoreError> {
    // After a logout edits go on with what was last known: the server checks again.
    let session: Option<StoredSession> = meta::get_json(db, name::SESSION)?;
    Ok(session.map(|session| session.permissions.into_iter().collect()).unwrap_or_default())
}
