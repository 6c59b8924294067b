//! A company with two foremen and a supervisor on one project, and a phone's side of the protocol
//! in its simplest form: what a test pushes, and a copy of what pulls brought.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;
use serde_json::{Map, Value as Json};
use sync_protocol::digest::RowSet;
use sync_protocol::problem::Problem;
use sync_protocol::schema::Schema;
use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::value::fields_to_json;
use sync_protocol::wire::pull::{PullPage, PullRequest, Records, ScopeDigest};
use sync_protocol::wire::push::{Mutation, PushMark, PushRequest, Transaction};
use sync_protocol::wire::receipt::{Receipt, ReceiptState};
use sync_protocol::{
    DeviceId, EditTime, Fields, ReceiptId, RecordId, RowVersion, Scope, StreamId, TenantId, UserId,
};
use sync_server::auth::caller::Caller;
use sync_server::clock::Clock;
use sync_server::pull::{PageSink, pull};
use sync_server::push::{PushContext, push};
use sync_server::review::ReviewContext;
use sync_server::store::Store;
use sync_server::store::accounts::{Account, Device};
use uuid::Uuid;

/// A clock that only tests move.
pub struct ManualClock {
    now_us: AtomicI64,
    reads: AtomicU64,
}

impl ManualClock {
    fn at(now_us: i64) -> Self {
        Self { now_us: AtomicI64::new(now_us), reads: AtomicU64::new(0) }
    }

    /// How often it was read so far. Each database transaction of a push reads it.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> i64 {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.now_us.load(Ordering::Relaxed)
    }
}

/// The collections of construction and warehouse as they are shipped.
pub fn shipped_schema() -> Arc<Schema> {
    let names = ["construccion", "almacen", "retail", "roles"];
    let files: Vec<SourceFile> = names
        .iter()
        .map(|name| SourceFile {
            name: format!("{name}.toml"),
            text: std::fs::read_to_string(format!(
                "{}/../schemas/{name}.toml",
                env!("CARGO_MANIFEST_DIR")
            ))
            .expect("shipped schema"),
        })
        .collect();
    let without_roles = &files[..names.len() - 1];
    Arc::new(parse(without_roles).expect("the shipped schemas have no mistakes"))
}

/// The shipped collections, and one that none of them is like: adopted by its natural key, with a
/// field under review, waiting as a whole, and flagged.
fn tested_schema() -> Arc<Schema> {
    let file = SourceFile {
        name: "fichas.toml".to_owned(),
        text: "vertical = \"pruebas\"\n\n[collections.fichas]\nscopes = [\"tenant\"]\n\
               read = \"sale:read\"\nwrite = \"sale:write\"\natomic_review = true\n\
               natural_key = { fields = [\"clave\"], on_duplicate = \"adopt\" }\n\
               flags = { field = \"avisos\", mocked = \"simulada\" }\n\n\
               [collections.fichas.fields]\n\
               clave = { type = \"text\", required = true, max_length = 20 }\n\
               medida = { type = \"integer\", merge = \"review\" }\n\
               simulada = { type = \"boolean\" }\n\
               avisos = { type = \"set\", merge = \"server\", read = \"conflict:resolve\" }\n"
            .to_owned(),
    };
    let mut schema = Schema::clone(&shipped_schema());
    schema.collections.extend(parse(&[file]).expect("a schema without mistakes").collections);
    Arc::new(schema)
}

/// A company on one store.
pub struct Company {
    pub store: Arc<dyn Store>,
    pub clock: ManualClock,
    pub tenant: TenantId,
    next: AtomicU64,
}

impl Company {
    pub async fn new(store: Arc<dyn Store>) -> Self {
        let slug = format!("t-{}", Uuid::new_v4().simple());
        let tenant = store.create_tenant(&slug[..30], "Robles").await.expect("tenant");
        let clock = ManualClock::at(1_000_000_000);
        Self { store, clock, tenant, next: AtomicU64::new(1) }
    }

    /// The same company in another store.
    pub fn moved_to(&self, store: Arc<dyn Store>) -> Self {
        let clock = ManualClock::at(self.clock.now_us());
        let next = AtomicU64::new(self.next.load(Ordering::Relaxed));
        Self { store, clock, tenant: self.tenant, next }
    }

    pub fn advance(&self, us: i64) {
        self.clock.now_us.fetch_add(us, Ordering::Relaxed);
    }

    /// A person with a phone.
    pub async fn phone(&self, login: &str, permissions: &[&str]) -> Phone<'_> {
        let user = UserId(Uuid::now_v7());
        let device = DeviceId(Uuid::now_v7());
        let account = Account {
            id: user,
            login: login.to_owned(),
            name: login.to_owned(),
            password_hash: "none".to_owned(),
            roles: Vec::new(),
            disabled: false,
        };
        self.store.create_user(self.tenant, &account).await.expect("user");
        let known = Device { id: device, user, name: None, last_seen_us: 0, revoked: false };
        self.store.register_device(self.tenant, &known).await.expect("device");
        let caller = Caller {
            tenant: self.tenant,
            user,
            user_name: login.to_owned(),
            device: Some(device),
            device_name: Some(format!("phone of {login}")),
            permissions: permissions.iter().map(|p| (*p).to_owned()).collect(),
            expires_at_us: i64::MAX,
        };
        Phone {
            company: self,
            caller,
            stream: StreamId(Uuid::new_v4()),
            cursor: None,
            rows: BTreeMap::new(),
            staged: Vec::new(),
            staged_receipts: Vec::new(),
            largest_settled: 0,
            settled: BTreeMap::new(),
            checkpoints: 0,
            largest_page: 0,
        }
    }

    /// A foreman who holds the project.
    pub async fn foreman(&self, login: &str, project: RecordId) -> Phone<'_> {
        let phone = self
            .phone(login, &["project:read", "project:write", "stock:read", "stock:write"])
            .await;
        self.grant(&phone, Scope::entity("project", project.0)).await;
        phone
    }

    pub async fn grant(&self, phone: &Phone<'_>, scope: Scope) {
        self.store.grant(self.tenant, phone.caller.user, &scope).await.expect("granted");
    }

    /// An id that orders by when it was drawn.
    pub fn id(&self) -> RecordId {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        RecordId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(n)))
    }
}

/// What a phone holds of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub version: RowVersion,
    pub scopes: Vec<Scope>,
    pub fields: Map<String, Json>,
}

/// A phone's side of the protocol.
pub struct Phone<'a> {
    pub company: &'a Company,
    pub caller: Caller,
    pub stream: StreamId,
    pub cursor: Option<String>,
    pub rows: BTreeMap<(String, RecordId), Held>,
    staged: Vec<PullPage>,
    staged_receipts: Vec<Receipt>,
    /// Mutations that the receipts of one page speak of, at most.
    pub largest_settled: usize,
    pub settled: BTreeMap<ReceiptId, Receipt>,
    pub checkpoints: usize,
    /// Bytes of text in the largest page that came.
    pub largest_page: usize,
}

impl Phone<'_> {
    /// The same person on a new phone that knows nothing yet.
    pub fn again<'b>(&self, company: &'b Company) -> Phone<'b> {
        Phone {
            company,
            caller: self.caller.clone(),
            stream: StreamId(Uuid::new_v4()),
            cursor: None,
            rows: BTreeMap::new(),
            staged: Vec::new(),
            staged_receipts: Vec::new(),
            largest_settled: 0,
            settled: BTreeMap::new(),
            checkpoints: 0,
            largest_page: 0,
        }
    }

    pub async fn push(&self, transactions: Vec<Transaction>) -> Vec<Receipt> {
        self.try_push(transactions).await.expect("push")
    }

    pub async fn try_push(&self, transactions: Vec<Transaction>) -> Result<Vec<Receipt>, Problem> {
        self.try_push_as(transactions, None).await
    }

    /// A push with its place in the stream's history.
    pub async fn try_push_as(
        &self,
        transactions: Vec<Transaction>,
        mark: Option<PushMark>,
    ) -> Result<Vec<Receipt>, Problem> {
        let company = self.company;
        let context =
            PushContext { store: &*company.store, clock: &company.clock, caller: &self.caller };
        let request = PushRequest { transactions, mark, ..self.nothing() };
        push(context, request).await.map(|answer| answer.receipts)
    }

    /// Says which receipts the phone has stored.
    pub async fn see(&self, seen: Vec<ReceiptId>) {
        let company = self.company;
        let context =
            PushContext { store: &*company.store, clock: &company.clock, caller: &self.caller };
        push(context, PushRequest { seen, ..self.nothing() }).await.expect("push");
    }

    /// Takes transactions back.
    pub async fn withdraw(&self, ids: &[ReceiptId]) -> Vec<Receipt> {
        let company = self.company;
        let context =
            PushContext { store: &*company.store, clock: &company.clock, caller: &self.caller };
        let request = PushRequest { withdraw: ids.to_vec(), ..self.nothing() };
        push(context, request).await.expect("answered").withdrawn
    }

    fn nothing(&self) -> PushRequest {
        PushRequest {
            stream: self.stream,
            transactions: Vec::new(),
            withdraw: Vec::new(),
            seen: Vec::new(),
            mark: None,
        }
    }

    /// Pushes one edit and expects it to come out so.
    pub async fn edit(&self, mutation: Mutation, expected: ReceiptState) -> Receipt {
        let receipt = self.push(vec![self.transaction(vec![mutation])]).await.remove(0);
        assert_eq!(receipt.state, expected, "{receipt:?}");
        receipt
    }

    pub fn transaction(&self, mutations: Vec<Mutation>) -> Transaction {
        Transaction {
            id: ReceiptId(Uuid::new_v4()),
            edited: EditTime::certain(self.company.clock.now_us()),
            wall_clock_us: self.company.clock.now_us(),
            replaces: None,
            builds_on: Vec::new(),
            position: None,
            mutations,
        }
    }

    /// Pulls until the server has nothing more, with pages of this size, and applies what came.
    pub async fn pull(&mut self, page_rows: usize) {
        self.pull_some(page_rows, usize::MAX).await;
    }

    /// As [`Self::pull`], but the connection breaks after so many pages.
    pub async fn pull_some(&mut self, page_rows: usize, pages: usize) {
        self.try_pull(page_rows, pages).await.expect("pull");
    }

    pub async fn try_pull(&mut self, page_rows: usize, pages: usize) -> Result<(), Problem> {
        self.try_refetch(page_rows, pages, Vec::new()).await
    }

    /// As [`Self::try_pull`], asking for rows to come again.
    pub async fn try_refetch(
        &mut self,
        page_rows: usize,
        pages: usize,
        refetch: Vec<Records>,
    ) -> Result<(), Problem> {
        let request = PullRequest {
            cursor: self.cursor.clone(),
            page_rows_max: Some(page_rows),
            digests: true,
            refetch,
            ..PullRequest::new(self.stream)
        };
        let mut sink = Pages { pages: Vec::new(), most: pages };
        let company = self.company;
        pull(&*company.store, &company.clock, &self.caller, request, &mut sink).await?;
        let last = sink.pages.last();
        assert!(
            pages < usize::MAX || last.is_some_and(|page| page.digests.is_some()),
            "a pull to its end tells digests"
        );
        for page in sink.pages {
            self.apply(page);
        }
        Ok(())
    }

    fn apply(&mut self, page: PullPage) {
        let bytes = page.tables.iter().map(sync_protocol::wire::pull::PageTable::text_bytes).sum();
        self.largest_page = self.largest_page.max(bytes);
        let backfill = page.part == sync_protocol::wire::pull::PagePart::Backfill;
        for held in self.rows.values_mut() {
            held.scopes.retain(|scope| !page.drops.contains(scope));
        }
        self.rows.retain(|_, held| !held.scopes.is_empty());
        self.cursor = Some(page.cursor.clone());
        let checkpoint = page.checkpoint;
        let digests = page.digests.clone();
        let settled = page.settled.clone();
        let settled_mutations = settled.iter().map(|receipt| receipt.mutations.len()).sum();
        self.largest_settled = self.largest_settled.max(settled_mutations);
        self.staged_receipts.extend(settled);
        if backfill {
            self.write(&page);
        } else {
            self.staged.push(page);
        }
        if checkpoint {
            for page in std::mem::take(&mut self.staged) {
                self.write(&page);
            }
            let settled = std::mem::take(&mut self.staged_receipts);
            self.settled.extend(settled.into_iter().map(|receipt| (receipt.id, receipt)));
            self.checkpoints += 1;
            // A delta before a backfill is a checkpoint of scopes that are not whole yet.
            if let Some(digests) = digests {
                self.digests_are_right(&digests);
            }
        }
    }

    /// What the phone holds is what the checkpoint says that it holds.
    fn digests_are_right(&self, told: &[ScopeDigest]) {
        let mut own: BTreeMap<(Scope, String), RowSet> = BTreeMap::new();
        for ((collection, id), held) in &self.rows {
            for scope in &held.scopes {
                let set = own.entry((scope.clone(), collection.clone())).or_default();
                set.add(*id, held.version);
            }
        }
        let told: BTreeMap<_, _> = told
            .iter()
            .map(|told| ((told.scope.clone(), told.collection.clone()), told.set()))
            .collect();
        assert_eq!(own, told, "the rows of {} and the server's digests", self.caller.user_name);
    }

    fn write(&mut self, page: &PullPage) {
        let schema = self.company.store.schema().clone();
        for table in &page.tables {
            let collection = &schema.collections[&table.collection];
            for id in &table.exits {
                self.rows.remove(&(table.collection.clone(), *id));
            }
            let mut rows = vec![Fields::new(); table.ids.len()];
            for (name, column) in table.fields.iter().zip(&table.columns) {
                let kind = &collection.field(name).expect("declared").kind;
                for (row, value) in rows.iter_mut().zip(column.values(kind).expect("fits")) {
                    row.insert(name.clone(), value);
                }
            }
            for (index, fields) in rows.into_iter().enumerate() {
                let held = Held {
                    version: table.versions[index],
                    scopes: page.scope_sets[table.scope_sets[index] as usize].clone(),
                    fields: fields_to_json(&collection.fields, &fields),
                };
                assert!(!held.scopes.is_empty(), "a row without scopes is an exit");
                self.rows.insert((table.collection.clone(), table.ids[index]), held);
            }
        }
    }

    /// What the phone holds, for comparison.
    pub fn content(&self) -> BTreeMap<(String, RecordId), (RowVersion, Map<String, Json>)> {
        let rows = self.rows.iter();
        rows.map(|(name, held)| (name.clone(), (held.version, held.fields.clone()))).collect()
    }

    pub fn value(&self, collection: &str, id: RecordId, field: &str) -> Json {
        self.rows[&(collection.to_owned(), id)].fields[field].clone()
    }

    pub fn version(&self, collection: &str, id: RecordId) -> RowVersion {
        self.rows[&(collection.to_owned(), id)].version
    }

    pub fn review(&self) -> ReviewContext<'_> {
        ReviewContext {
            store: &*self.company.store,
            clock: &self.company.clock,
            caller: &self.caller,
        }
    }
}

struct Pages {
    pages: Vec<PullPage>,
    most: usize,
}

#[async_trait]
impl PageSink for Pages {
    async fn page(&mut self, page: PullPage) -> bool {
        self.pages.push(page);
        self.pages.len() < self.most
    }
}

/// Runs a test on every store that is there, each in a fresh database.
#[macro_export]
macro_rules! on_every_store {
    ($name:ident) => {
        mod $name {
            #[tokio::test]
            async fn on_sqlite() {
                let folder = tempfile::tempdir().expect("a folder");
                let store = $crate::company::sqlite(folder.path()).await;
                super::$name($crate::company::Company::new(store).await).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                let store = $crate::company::postgres().await;
                super::$name($crate::company::Company::new(store).await).await;
            }
        }
    };
}

/// A fresh SQLite store.
pub async fn sqlite(folder: &std::path::Path) -> Arc<dyn Store> {
    let store = sync_server::store::sqlite::SqliteStore::open(folder, tested_schema()).await;
    Arc::new(store.expect("a store"))
}

/// A store on the private PostgreSQL, with connections of its own: a test's runtime ends with it.
pub async fn postgres() -> Arc<dyn Store> {
    let schema = tested_schema();
    let url = crate::fresh::postgres_url(&schema).await;
    let store = sync_server::store::postgres::PostgresStore::connect(&url, schema).await;
    Arc::new(store.expect("a store"))
}
