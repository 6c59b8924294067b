//! The wall between tenants, as the catalogue has it and as a shared connection meets it.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use sync_protocol::Scope;
use sync_server::store::postgres::PostgresStore;
use sync_server::store::{Accounts as _, BackfillQuery, Store as _};

use crate::pgbouncer::Pooler;
use crate::setting::{Setting, cluster};

/// What breaches the wall, a sentence for each.
///
/// * a table with a `tenant_id` without row level security, or not forced on its owner;
/// * a policy that lets something be written without a check, or a table that no policy holds to a tenant;
/// * a unique key without the tenant, by which one tenant learns what another has (a number that the
///   database itself draws is none, and the tenants' own short names are for all);
/// * a foreign key that can point into another tenant;
/// * a view that reads with its owner's rights.
async fn breaches(db: &mut PgConnection) -> Vec<String> {
    let all = "WITH tables AS (
        SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relrowsecurity, c.relforcerowsecurity,
            a.attnum AS tenant
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema'))
    SELECT name || ' does not force row level security' FROM tables
        WHERE NOT (relrowsecurity AND relforcerowsecurity)
    UNION ALL
    SELECT name || ' has no policy that holds the server to a tenant' FROM tables t
        WHERE NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = t.oid AND p.polroles = '{0}'
            AND pg_get_expr(p.polqual, p.polrelid) LIKE '%app.current_tenant_id%')
    UNION ALL
    SELECT name || ': the policy ' || p.polname || ' writes without a check' FROM tables t
        JOIN pg_policy p ON p.polrelid = t.oid
        WHERE p.polcmd IN ('*', 'a', 'w') AND p.polwithcheck IS NULL
    UNION ALL
    SELECT name || ': the policy ' || p.polname || ' lets everybody see everything' FROM tables t
        JOIN pg_policy p ON p.polrelid = t.oid
        WHERE pg_get_expr(p.polqual, p.polrelid) = 'true'
            AND p.polroles <> ARRAY['campo_capture'::regrole::oid]
    UNION ALL
    SELECT name || ': the unique key ' || i.indexrelid::regclass || ' lacks the tenant' FROM tables t
        JOIN pg_index i ON i.indrelid = t.oid AND i.indisunique
        WHERE NOT t.tenant = ANY (i.indkey::int2[])
            AND i.indexrelid <> 'sync.tenants_slug_key'::regclass
            AND NOT (i.indnkeyatts = 1 AND EXISTS (SELECT FROM pg_attribute a
                WHERE a.attrelid = t.oid AND a.attnum = i.indkey[0] AND a.attidentity = 'a'))
    UNION ALL
    SELECT t.name || ': the foreign key ' || k.conname || ' lacks the tenant' FROM tables t
        JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'f'
        JOIN tables other ON other.oid = k.confrelid
        WHERE NOT EXISTS (SELECT FROM unnest(k.conkey, k.confkey) pair (own, theirs)
            WHERE pair.own = t.tenant AND pair.theirs = other.tenant)
    UNION ALL
    SELECT n.nspname || '.' || c.relname || ' is a view that reads with its owner''s rights'
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
            AND NOT coalesce(c.reloptions::text[] && ARRAY['security_invoker=true', 'security_invoker=on'], false)
    ORDER BY 1";
    let rows = sqlx::query(all).fetch_all(db).await.expect("the catalogue");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn the_catalogue_has_no_hole() {
    let setting = Setting::new().await;
    let mut db = setting.superuser().await;
    assert_eq!(breaches(&mut db).await, Vec::<String>::new());
}

#[tokio::test]
async fn each_kind_of_hole_is_found() {
    let setting = Setting::new().await;
    let mut db = setting.superuser().await;
    for (sql, expected) in [
        ("ALTER TABLE construccion.avances NO FORCE ROW LEVEL SECURITY", "does not force"),
        ("ALTER TABLE sync.receipts DISABLE ROW LEVEL SECURITY", "does not force"),
        ("DROP POLICY tenant ON sync.devices", "no policy that holds"),
        (
            "CREATE POLICY loose ON retail.ventas FOR UPDATE USING (tenant_id IS NOT NULL)",
            "writes without a check",
        ),
        ("CREATE POLICY open ON sync.users FOR SELECT USING (true)", "lets everybody see"),
        ("CREATE UNIQUE INDEX ON retail.productos (id)", "lacks the tenant"),
        (
            "CREATE UNIQUE INDEX one ON construccion.proyectos (id); ALTER TABLE construccion.avances
             ADD CONSTRAINT astray FOREIGN KEY (proyecto_id) REFERENCES construccion.proyectos (id)",
            "the foreign key astray lacks the tenant",
        ),
        ("CREATE VIEW retail.todas AS SELECT * FROM retail.ventas", "reads with its owner's rights"),
    ] {
        let mut tx = db.begin().await.expect("begin");
        tx.execute(sqlx::raw_sql(sql)).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let found = breaches(&mut tx).await;
        assert!(found.iter().any(|breach| breach.contains(expected)), "{sql}: {found:?}");
        tx.rollback().await.expect("rollback");
    }
}

#[tokio::test]
async fn without_a_tenant_there_is_nothing() {
    let setting = Setting::new().await;
    let mut db = setting.server_role().await;
    let tables = sqlx::query(
        "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
         WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')",
    );
    let tables: Vec<String> =
        tables.fetch_all(&mut db).await.expect("tables").iter().map(|row| row.get(0)).collect();
    assert!(tables.len() > 20, "{tables:?}");
    setting.store.create_tenant("otra", "Otra").await.expect("another tenant");
    let tenant = setting.tenant;
    // As a fresh session has it, and as it is left behind by a transaction.
    for left_by_a_transaction in [false, true] {
        if left_by_a_transaction {
            let set = format!(
                "BEGIN; SELECT set_config('app.current_tenant_id', '{tenant}', true); COMMIT"
            );
            db.execute(sqlx::raw_sql(AssertSqlSafe(set))).await.expect("a transaction");
        }
        for table in &tables {
            let count = format!("SELECT count(*) FROM {table}");
            let count = sqlx::query(AssertSqlSafe(count)).fetch_one(&mut db).await;
            match count {
                Ok(row) => assert_eq!(row.get::<i64, _>(0), 0, "{table}"),
                // Some the server may not even read.
                Err(error) => assert!(error.to_string().contains("permission denied"), "{error}"),
            }
        }
        let insert = format!(
            "INSERT INTO retail.productos (tenant_id, id, sku, nombre, precio, vendidos, activo)
             VALUES ('{tenant}', gen_random_uuid(), 'x', 'x', 0, 0, true)"
        );
        let refused =
            sqlx::query(AssertSqlSafe(insert)).execute(&mut db).await.expect_err("refused");
        assert!(refused.to_string().contains("row-level security"), "{refused}");
    }
}

/// How often the two tenants take turns; `CAMPO_ALTERNATIONS` says otherwise.
const ALTERNATIONS: usize = 4_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_two_tenants_share_leaks_nothing() {
    let setting = Setting::new().await;
    let other = setting.store.create_tenant("otra", "Otra").await.expect("another tenant");
    let mut writer = setting.superuser().await;
    for tenant in [setting.tenant, other] {
        let insert = format!(
            "INSERT INTO retail.productos (tenant_id, id, sku, nombre, precio, vendidos, activo)
             SELECT '{tenant}', gen_random_uuid(), 'p' || n, '{tenant}', 0, 0, true FROM generate_series(1, 3) n"
        );
        sqlx::query(AssertSqlSafe(insert)).execute(&mut writer).await.expect("rows");
    }
    let pooler = Pooler::of_size(cluster().port, 1).expect("PgBouncer");
    let url = pooler.url(&setting.database, "campo_server");
    let store = PostgresStore::connect(&url, setting.schema.clone()).await.expect("a store");
    let turns = std::env::var("CAMPO_ALTERNATIONS").ok().and_then(|n| n.parse().ok());
    let turns: usize = turns.unwrap_or(ALTERNATIONS);
    let mut clients = Vec::new();
    for tenant in [setting.tenant, other] {
        clients.push((tenant, PgConnection::connect(&url).await.expect("a client")));
    }
    let mut stranger = PgConnection::connect(&url).await.expect("a client");
    for turn in 0..turns {
        let (tenant, client) = &mut clients[turn % 2];
        // One connection of the server serves them all, a transaction at a time; some of these fail.
        let fails = if turn % 7 == 0 { "SELECT 1 / 0;" } else { "" };
        let read = format!(
            "BEGIN; SELECT set_config('app.current_tenant_id', '{tenant}', true);
             SELECT nombre FROM retail.productos; {fails} COMMIT"
        );
        match client.fetch_all(sqlx::raw_sql(AssertSqlSafe(read))).await {
            Ok(rows) => {
                let names: Vec<String> = rows.iter().skip(1).map(|row| row.get(0)).collect();
                assert_eq!(names, vec![tenant.to_string(); 3], "turn {turn}");
            }
            Err(error) => {
                assert!(!fails.is_empty(), "turn {turn}: {error}");
                client.execute(sqlx::raw_sql("ROLLBACK")).await.expect("rolled back");
            }
        }
        if turn % 5 == 0 {
            let none =
                stranger.fetch_all(sqlx::raw_sql("SELECT nombre FROM retail.productos")).await;
            assert!(
                none.expect("reads").is_empty(),
                "turn {turn}: somebody without a tenant sees rows"
            );
        }
        if turn % 50 == 0 {
            let scopes = [Scope::tenant()];
            let mut tx = store.read(*tenant).await.expect("a snapshot");
            let query = BackfillQuery {
                scopes: &scopes,
                held: &[],
                visible: &setting.schema,
                after: None,
                limit: 100,
            };
            let page = tx.backfill(query).await.expect("rows");
            assert_eq!(page.count, 3, "turn {turn}");
        }
    }
}
