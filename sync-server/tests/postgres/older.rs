//! A database of an earlier version, and servers of that version at work.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use sync_server::store::postgres::{PostgresStore, migrate};

use crate::cluster::SUPERUSER;
use crate::setting::{cluster, schema};

/// Files that the earlier version had, with the role that runs each.
const FILES: [(&str, &str, &str); 13] = [
    (
        "0001_bookkeeping",
        "campo_owner",
        include_str!("../../../migrations/postgres/0001_bookkeeping.sql"),
    ),
    (
        "0002_capture",
        "campo_capture",
        include_str!("../../../migrations/postgres/0002_capture.sql"),
    ),
    ("0003_guards", "campo_owner", include_str!("../../../migrations/postgres/0003_guards.sql")),
    ("0004_streams", "campo_owner", include_str!("../../../migrations/postgres/0004_streams.sql")),
    (
        "0005_restorations",
        "campo_owner",
        include_str!("../../../migrations/postgres/0005_restorations.sql"),
    ),
    (
        "0006_housekeeping_rights",
        "campo_owner",
        include_str!("../../../migrations/postgres/0006_housekeeping_rights.sql"),
    ),
    (
        "0007_housekeeping",
        "campo_capture",
        include_str!("../../../migrations/postgres/0007_housekeeping.sql"),
    ),
    (
        "0008_deletion_time",
        "campo_owner",
        include_str!("../../../migrations/postgres/0008_deletion_time.sql"),
    ),
    (
        "0009_retention",
        "campo_capture",
        include_str!("../../../migrations/postgres/0009_retention.sql"),
    ),
    (
        "0010_digests",
        "campo_capture",
        include_str!("../../../migrations/postgres/0010_digests.sql"),
    ),
    ("0011_events", "campo_owner", include_str!("../../../migrations/postgres/0011_events.sql")),
    (
        "0012_deleted_pictures",
        "campo_owner",
        include_str!("../../../migrations/postgres/0012_deleted_pictures.sql"),
    ),
    (
        "0013_seen_pictures",
        "campo_capture",
        include_str!("../../../migrations/postgres/0013_seen_pictures.sql"),
    ),
];

/// A database as the earlier version's `migrate` left it, before it made the schema's tables.
fn older() -> String {
    static NUMBERS: AtomicU32 = AtomicU32::new(0);
    let database = format!("older{}", NUMBERS.fetch_add(1, Ordering::Relaxed));
    cluster().create_database(&database).expect("a database");
    let sql = |text: &str| cluster().psql(&database, SUPERUSER, text).expect("it runs");
    sql(include_str!("../../../migrations/postgres/0000_roles.sql"));
    sql(
        "SET ROLE campo_owner; CREATE SCHEMA sync; CREATE TABLE sync.migrations (name text PRIMARY KEY, \
         applied_at timestamptz NOT NULL DEFAULT clock_timestamp()); \
         GRANT SELECT ON sync.migrations TO campo_server",
    );
    for (name, role, text) in FILES {
        sql(&format!(
            "BEGIN; SET LOCAL ROLE {role}; {text} RESET ROLE; \
             INSERT INTO sync.migrations (name) VALUES ('{name}'); COMMIT"
        ));
    }
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_would_not_understand_what_is_migrated_are_stopped_first() {
    let database = older();
    let (owner, server) =
        (cluster().url(&database, SUPERUSER), cluster().url(&database, "campo_server"));
    let applied = "SELECT max(name) FROM sync.migrations";
    let applied = || cluster().psql(&database, SUPERUSER, applied).expect("it runs");
    // A server is known by the name of its sessions, or by their role.
    for (url, name) in [(&owner, "campo"), (&server, "another")] {
        let options: PgConnectOptions = url.parse().expect("a URL");
        let at_work = options.application_name(name).connect().await.expect("a session");
        let refused = migrate(&owner, &schema()).await.expect_err("a server is at work");
        let refused = refused.to_string();
        assert!(refused.contains("stop them") && refused.contains("0014_changes"), "{refused}");
        assert_eq!(applied().trim(), "0013_seen_pictures", "nothing was changed");
        at_work.close().await.expect("it stops");
    }
    // Its session is gone a moment after its connection.
    let mut done = migrate(&owner, &schema()).await;
    for _ in 0..100 {
        if done.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        done = migrate(&owner, &schema()).await;
    }
    assert!(done.expect("migrated").contains(&"applied 0014_changes".to_owned()));
    let store = PostgresStore::connect(&server, schema()).await.expect("this version starts");
    // It understands everything that is there.
    assert_eq!(migrate(&owner, &schema()).await.expect("again"), Vec::<String>::new());
    store.close().await;
}
