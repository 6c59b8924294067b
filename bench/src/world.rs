//! A private PostgreSQL, a company in it, and a server on it in this process.
//!
//! PostgreSQL keeps its promises here (`fsync` on, `synchronous_commit` on): what is compared must
//! be durable. Checkpoints are moved out of the measured time.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use sync_protocol::{Scope, UserId};
use sync_server::auth::password::Passwords;
use sync_server::database::{OpenStore, migrate};
use sync_server::store::accounts::Account;
use sync_server::{Config, Database, RunningServer, schema_files, serve};
use system_tests::postgres::{Cluster, SUPERUSER};
use uuid::Uuid;

use crate::{Result, rows};

/// Where the collections are declared.
const SCHEMAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas");
/// Enough that nothing of this size is read from disk or checkpointed in between.
const SETTINGS: [&str; 4] = [
    "shared_buffers=512MB",
    "max_wal_size=8GB",
    "checkpoint_timeout=1h",
    "maintenance_work_mem=256MB",
];
const DATABASE: &str = "bench";
/// The role that the server works as.
const SERVER_ROLE: &str = "campo_server";
/// The company.
pub const TENANT: &str = "banco";
/// Its only person.
pub const USER: &str = "juan";
/// That person's password.
pub const PASSWORD: &str = "correcto caballo";

/// Everything that a benchmark needs around it.
pub struct World {
    /// The server.
    pub server: RunningServer,
    /// The company's id.
    pub tenant: Uuid,
    /// The project whose measurements the person gets.
    pub project: Uuid,
    cluster: Cluster,
}

impl World {
    /// With so many rows.
    pub async fn start(row_count: usize) -> Result<Self> {
        Self::start_with(row_count, |_| {}).await
    }

    /// With so many rows, and a server that is configured otherwise.
    pub async fn start_with(row_count: usize, change: impl FnOnce(&mut Config)) -> Result<Self> {
        eprintln!("starting a private PostgreSQL with {row_count} rows …");
        let cluster = Cluster::start(&SETTINGS)?;
        cluster.create_database(DATABASE)?;
        let schema = Arc::new(schema_files::load(Some(SCHEMAS.as_ref()))?);
        let owner = Database::Postgres(cluster.url(DATABASE, SUPERUSER));
        migrate(&owner, schema.clone()).await?;
        let url = cluster.url(DATABASE, SERVER_ROLE);
        let database = Database::Postgres(url.clone());
        let project = Uuid::now_v7();
        let tenant = company(&database, schema, project).await?;
        let mut config =
            Config { schemas: Some(PathBuf::from(SCHEMAS)), ..Config::local_postgres(url) };
        change(&mut config);
        let server = serve(config).await?;
        let world = Self { server, tenant, project, cluster };
        let mut sql = world.connect().await?;
        run(
            &mut sql,
            format!(
                "INSERT INTO medicion.obras (tenant_id, id, nombre) \
                 VALUES ('{tenant}', '{project}', 'Torre Mirador')"
            ),
        )
        .await?;
        world.fill(&mut sql, 0, row_count).await?;
        Ok(world)
    }

    /// Adds rows `from` to `to`, and lets PostgreSQL settle down.
    pub async fn fill(&self, sql: &mut PgConnection, from: usize, to: usize) -> Result {
        run(sql, rows::insert("medicion.mediciones", self.tenant, self.project, from, to)).await?;
        run(sql, "VACUUM ANALYZE".to_owned()).await?;
        run(sql, "CHECKPOINT".to_owned()).await
    }

    /// Opens the server's store beside it, as administrators' commands do.
    pub async fn open_store(&self) -> Result<OpenStore> {
        let schema = Arc::new(schema_files::load(Some(SCHEMAS.as_ref()))?);
        let database = Database::Postgres(self.cluster.url(DATABASE, SERVER_ROLE));
        Ok(OpenStore::open(&database, schema).await?)
    }

    /// Connects as the superuser, whom no policy slows down.
    pub async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.cluster.url(DATABASE, SUPERUSER)).await?)
    }

    /// Ends the server, then PostgreSQL.
    pub async fn stop(self) {
        self.server.shutdown().await;
    }
}

/// Runs statements that are written out in this program.
pub async fn run(sql: &mut PgConnection, statements: String) -> Result {
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(sql).await?;
    Ok(())
}

async fn company(
    database: &Database,
    schema: Arc<sync_protocol::schema::Schema>,
    project: Uuid,
) -> Result<Uuid> {
    let open = OpenStore::open(database, schema).await?;
    let store = open.shared();
    let tenant = store.create_tenant(TENANT, "Banco de pruebas").await?;
    let password_hash = Passwords::new()
        .map_err(|problem| problem.to_string())?
        .hash(PASSWORD.to_owned())
        .await
        .map_err(|problem| problem.to_string())?;
    let account = Account {
        id: UserId(Uuid::now_v7()),
        login: USER.to_owned(),
        name: "Juan Pech".to_owned(),
        password_hash,
        roles: vec!["foreman".to_owned()],
        disabled: false,
    };
    store.create_user(tenant, &account).await?;
    let scope: Scope = format!("project:{project}").parse()?;
    store.grant(tenant, account.id, &scope).await?;
    open.close().await;
    Ok(tenant.0)
}
