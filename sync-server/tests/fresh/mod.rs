//! A private PostgreSQL: one cluster and one migrated database for a test binary, which
//! its tests share, each with a tenant of its own.

#[path = "../../../system-tests/src/postgres.rs"]
mod cluster;

use std::sync::{Arc, OnceLock};

use cluster::{Cluster, SUPERUSER};
use sync_protocol::schema::Schema;
use sync_server::store::postgres::migrate;
use tokio::sync::OnceCell;

/// The URL of the database for the server's role. The first call's schema is migrated.
pub async fn postgres_url(schema: &Arc<Schema>) -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    static MIGRATED: OnceCell<()> = OnceCell::const_new();
    let cluster = CLUSTER
        .get_or_init(|| Cluster::start(&["fsync=off", "max_connections=400"]).expect("PostgreSQL"));
    MIGRATED
        .get_or_init(async || {
            cluster.create_database("campo").expect("a database");
            migrate(&cluster.url("campo", SUPERUSER), schema).await.expect("migrated");
        })
        .await;
    cluster.url("campo", "campo_server")
}
