//! A private PostgreSQL for runs that ask for it: one cluster for the process, a database for each run.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sync_protocol::schema::Schema;
use sync_protocol::{TenantId, UserId};
use sync_server::store::postgres::migrate;
use system_tests::postgres::{Cluster, SUPERUSER};

/// How a run's database is reached.
#[derive(Debug, Clone)]
pub struct Urls {
    name: String,
    /// As who owns everything and sees everything.
    pub owner: String,
    /// As the server.
    pub server: String,
    /// For the server's witnesses.
    pool: sqlx::PgPool,
}

/// The process's cluster, gone with the process.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let start =
        || Cluster::start(&["fsync=off", "max_connections=200"]).expect("PostgreSQL starts");
    CLUSTER.get_or_init(start)
}

impl Urls {
    /// A new database with these tables.
    pub async fn begin(schema: &Schema) -> Self {
        static NUMBERS: AtomicU32 = AtomicU32::new(0);
        let cluster = cluster();
        let name = format!("sim{}", NUMBERS.fetch_add(1, Ordering::SeqCst));
        cluster.create_database(&name).expect("a database");
        let (owner, server) = (cluster.url(&name, SUPERUSER), cluster.url(&name, "campo_server"));
        let pool = sqlx::PgPool::connect_lazy(&owner).expect("a good URL");
        let urls = Self { name, owner, server, pool };
        urls.migrate(schema).await;
        urls
    }

    /// Brings the tables up to date.
    pub async fn migrate(&self, schema: &Schema) {
        // Roles belong to the whole cluster: two runs that begin at once would make them twice.
        static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _turn = TURN.lock().await;
        migrate(&self.owner, schema).await.expect("the schema can be migrated to");
    }

    /// Leaves a witness, so that each pull's cursor is one of its own: the oracle tells them apart by
    /// that. A server leaves one every half second of real time, which here is many pulls.
    pub async fn leave_witness(&self, number: u64) {
        sqlx::query(
            "INSERT INTO sync.witnesses (value, snapshot) VALUES ($1, pg_current_snapshot())",
        )
        .bind(format!("sim-{number}"))
        .execute(&self.pool)
        .await
        .expect("a witness");
    }

    /// Gives somebody another role.
    pub async fn set_role(&self, tenant: TenantId, user: UserId, role: &str) {
        sqlx::query("UPDATE sync.users SET roles = ARRAY[$3] WHERE tenant_id = $1 AND id = $2")
            .bind(tenant.0)
            .bind(user.0)
            .bind(role)
            .execute(&self.pool)
            .await
            .expect("roles can be changed");
    }

    /// The database is not needed any more.
    pub fn drop_database(&self) {
        let sql = format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name);
        // What stays behind goes with the cluster.
        let _ = cluster().psql("postgres", SUPERUSER, &sql);
    }
}
