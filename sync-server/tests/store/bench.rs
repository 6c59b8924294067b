//! What a case works with: a store, a tenant, a user, and short ways to write and to read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::schema::{Collection, Schema};
use sync_protocol::{EditTime, Fields, RecordId, Scope, StreamId, TenantId, UserId, Value};
use sync_server::store::accounts::Account;
use sync_server::store::postgres::PostgresStore;
use sync_server::store::sqlite::SqliteStore;
use sync_server::store::{
    Position, ReadTx, RowWrite, Store, StoreError, StoredRow, WriteKind, WriteTx,
};
use uuid::Uuid;

/// A schema with every type, a natural key, a parent with children and grandchildren that follow
/// it, a row in two scopes, and a collection that refers to itself.
const SCHEMA: &str = r#"
vertical = "prueba"

[collections.obras]
scopes = ["project:id"]
read = "all:read"
write = "all:write"
priority = 10
[collections.obras.fields]
nombre = { type = "text", required = true, max_length = 200 }

[collections.partes]
scopes = ["project:obra_id", "user:autor_id"]
read = "all:read"
write = "all:write"
priority = 20
natural_key = { fields = ["folio"], on_duplicate = "adopt" }
[collections.partes.fields]
obra_id = { type = "uuid", required = true, references = "obras" }
autor_id = { type = "uuid", required = false }
folio = { type = "text", required = true, max_length = 40 }
entero = { type = "integer" }
costo = { type = "decimal", scale = 2, merge = "counter" }
medida = { type = "real" }
listo = { type = "boolean" }
fecha = { type = "date" }
momento = { type = "timestamp" }
clima = { type = "enum", values = ["sol", "lluvia"] }
gente = { type = "set", merge = "set" }
notas = { type = "json" }
secreto = { type = "text", read = "secret:read" }

[collections.conceptos]
parent = { collection = "partes", field = "parte_id" }
scopes = ["project:obra_id", "user:autor_id"]
read = "all:read"
write = "all:write"
priority = 30
[collections.conceptos.fields]
parte_id = { type = "uuid", required = true, references = "partes" }
obra_id = { type = "uuid", from_parent = true, references = "obras" }
autor_id = { type = "uuid", from_parent = true }
texto = { type = "text" }

[collections.mediciones]
parent = { collection = "conceptos", field = "concepto_id" }
scopes = ["project:obra_id", "user:autor_id"]
read = "all:read"
write = "all:write"
priority = 40
[collections.mediciones.fields]
concepto_id = { type = "uuid", required = true, references = "conceptos" }
obra_id = { type = "uuid", from_parent = true, references = "obras" }
autor_id = { type = "uuid", from_parent = true }
valor = { type = "integer" }

# Comes before `partes` by priority and refers to itself.
[collections.areas]
scopes = ["tenant"]
read = "all:read"
write = "all:write"
priority = 5
[collections.areas.fields]
nombre = { type = "text" }
dentro_de = { type = "uuid", references = "areas" }

[roles]
all = ["all:read", "all:write", "secret:read", "conflict:resolve", "device:manage", "user:manage"]
"#;

/// The schema of the suite.
pub fn schema() -> Arc<Schema> {
    let file = SourceFile { name: "prueba.toml".to_owned(), text: SCHEMA.to_owned() };
    Arc::new(parse(&[file]).expect("the suite's schema"))
}

/// A store on SQLite.
pub async fn sqlite(directory: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(directory, schema()).await.expect("a store"))
}

/// A store on a private PostgreSQL.
pub async fn postgres() -> Arc<dyn Store> {
    let url = crate::fresh::postgres_url(&schema()).await;
    Arc::new(PostgresStore::connect(&url, schema()).await.expect("a store"))
}

/// A store with a tenant and a user.
#[derive(Clone)]
pub struct Bench {
    pub store: Arc<dyn Store>,
    pub tenant: TenantId,
    pub user: UserId,
    /// The stream that [`Self::insert`] and the like write as.
    pub stream: StreamId,
    /// How old the witness may be that a position names.
    pub witness_age: Duration,
}

pub fn uuid() -> Uuid {
    Uuid::now_v7()
}

pub fn record() -> RecordId {
    RecordId(uuid())
}

pub fn time(at_us: i64) -> EditTime {
    EditTime::certain(at_us)
}

pub fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Fields {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub fn project(id: RecordId) -> Scope {
    Scope::entity("project", id.0)
}

pub fn write(record: RecordId, kind: WriteKind, set: Fields) -> RowWrite {
    RowWrite { record, kind, set, touched: Vec::new(), time: time(1_000) }
}

/// A `partes` row with all fields.
pub fn parte(obra: RecordId, folio: &str) -> Fields {
    fields([
        ("obra_id", Value::Uuid(obra.0)),
        ("folio", text(folio)),
        ("gente", Value::Set(["ana".to_owned()].into())),
    ])
}

impl Bench {
    pub async fn new(store: Arc<dyn Store>, witness_age: Duration) -> Self {
        let slug = format!("t{}", Uuid::new_v4().simple());
        let tenant = store.create_tenant(&slug[..30], "Prueba").await.expect("a tenant");
        let user = UserId(uuid());
        store.create_user(tenant, &account(user, "ana")).await.expect("a user");
        Self { store, tenant, user, stream: StreamId(uuid()), witness_age }
    }

    pub fn collection(&self, name: &str) -> Collection {
        self.store.schema().collection(name).expect("a collection of the suite").clone()
    }

    pub async fn begin(&self) -> Box<dyn WriteTx> {
        self.store.write(self.tenant, self.stream).await.expect("a transaction")
    }

    pub async fn read(&self) -> Box<dyn ReadTx> {
        self.store.read(self.tenant).await.expect("a snapshot")
    }

    /// Where history stands. A store that leaves witnesses only now and then is given the time to
    /// leave one, so that what was written before is not sent again.
    pub async fn now(&self) -> Position {
        tokio::time::sleep(self.witness_age).await;
        self.read().await.position().clone()
    }

    /// One row in one transaction.
    pub async fn try_one(&self, collection: &str, write: RowWrite) -> Result<i64, StoreError> {
        let mut tx = self.begin().await;
        let versions = tx.write_rows(&self.collection(collection), &[write]).await?;
        tx.commit().await?;
        Ok(versions[0])
    }

    pub async fn insert(&self, collection: &str, id: RecordId, set: Fields) -> i64 {
        self.try_one(collection, write(id, WriteKind::Insert, set)).await.expect("inserted")
    }

    pub async fn update(&self, collection: &str, id: RecordId, set: Fields) -> i64 {
        self.try_one(collection, write(id, WriteKind::Update, set)).await.expect("updated")
    }

    pub async fn delete(&self, collection: &str, id: RecordId) -> i64 {
        self.try_one(collection, write(id, WriteKind::Delete, Fields::new()))
            .await
            .expect("deleted")
    }

    pub async fn restore(&self, collection: &str, id: RecordId) -> i64 {
        self.try_one(collection, write(id, WriteKind::Restore, Fields::new()))
            .await
            .expect("restored")
    }

    /// A new project.
    pub async fn obra(&self) -> RecordId {
        let id = record();
        self.insert("obras", id, fields([("nombre", text("obra"))])).await;
        id
    }

    /// A row as a snapshot has it.
    pub async fn row(&self, collection: &str, id: RecordId) -> Option<StoredRow> {
        let collection = self.collection(collection);
        self.read().await.rows(&collection, &[id]).await.expect("rows").remove(&id)
    }
}

pub fn account(id: UserId, login: &str) -> Account {
    Account {
        id,
        login: login.to_owned(),
        name: "Ana".to_owned(),
        password_hash: "$argon2id$…".to_owned(),
        roles: vec!["all".to_owned()],
        disabled: false,
    }
}
