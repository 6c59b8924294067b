//! One cluster for the whole test binary, one database for each test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use sqlx::{Connection, PgConnection};
use sync_protocol::schema::Schema;
use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::{Fields, RecordId, StreamId, TenantId, Value};
use sync_server::store::postgres::{PostgresStore, migrate};
use sync_server::store::{Accounts, Store};
use uuid::Uuid;

use crate::cluster::{Cluster, SUPERUSER};

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

pub fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(|| {
        Cluster::start(&["fsync=off", "max_connections=200", "max_prepared_transactions=10"])
            .expect("a private PostgreSQL")
    })
}

/// Every schema file of the repository, and the tests' own collections.
pub fn schema() -> Arc<Schema> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas");
    let mut files = vec![SourceFile {
        name: "prueba.toml".to_owned(),
        text: include_str!("prueba.toml").to_owned(),
    }];
    for entry in std::fs::read_dir(folder).expect("schemas") {
        let path = entry.expect("entry").path();
        if path.extension().is_some_and(|e| e == "toml") {
            let text = std::fs::read_to_string(&path).expect("schema file");
            files.push(SourceFile { name: path.display().to_string(), text });
        }
    }
    Arc::new(parse(&files).expect("schema"))
}

/// A fresh, migrated database with one tenant.
pub struct Setting {
    pub database: String,
    pub store: PostgresStore,
    pub schema: Arc<Schema>,
    pub tenant: TenantId,
}

impl Setting {
    pub async fn new() -> Self {
        let database = format!("t{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let schema = schema();
        cluster().create_database(&database).expect("database");
        migrate(&cluster().url(&database, SUPERUSER), &schema).await.expect("migrate");
        let url = cluster().url(&database, "campo_server");
        let store = PostgresStore::connect(&url, schema.clone()).await.expect("connect");
        let tenant = store.create_tenant("vidrios", "Vidrios del Norte").await.expect("tenant");
        Self { database, store, schema, tenant }
    }

    /// Somebody else who writes with plain SQL and knows nothing of tenants.
    pub async fn superuser(&self) -> PgConnection {
        connect(&cluster().url(&self.database, SUPERUSER)).await
    }

    /// The server's role, with plain SQL.
    pub async fn server_role(&self) -> PgConnection {
        connect(&cluster().url(&self.database, "campo_server")).await
    }

    pub async fn write(&self, stream: StreamId) -> Box<dyn sync_server::store::WriteTx> {
        self.store.write(self.tenant, stream).await.expect("write")
    }
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("connection")
}

pub fn record(n: u128) -> RecordId {
    RecordId(Uuid::from_u128(n))
}

pub fn stream(n: u128) -> StreamId {
    StreamId(Uuid::from_u128(0xabc_0000 + n))
}

pub fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Fields {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub fn set(elements: &[&str]) -> Value {
    Value::Set(elements.iter().map(|e| (*e).to_owned()).collect())
}
