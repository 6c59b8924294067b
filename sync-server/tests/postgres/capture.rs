//! Capture of plain SQL: whoever writes, with or without a tenant set.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use sync_protocol::StreamId;

use crate::cluster::SUPERUSER;
use crate::consistency::contradictions;
use crate::setting::{Setting, cluster};

const OBRA: &str = "00000000-0000-7000-8000-0000000000a1";
const OTRA: &str = "00000000-0000-7000-8000-0000000000a2";
const HOJA: &str = "00000000-0000-7000-8000-0000000000b1";
const RENGLON: &str = "00000000-0000-7000-8000-0000000000c1";
const ANA: &str = "00000000-0000-7000-8000-0000000000d1";

async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), String> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
    done.map(|_| ()).map_err(|e| e.to_string())
}

async fn one(connection: &mut PgConnection, sql: &str) -> String {
    let row = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.expect(sql);
    row.get::<Option<String>, _>(0).unwrap_or_else(|| "null".to_owned())
}

/// Two sites, a sheet with a line on the first.
async fn sheet(setting: &Setting, sql: &mut PgConnection) {
    let t = setting.tenant;
    run(
        sql,
        &format!(
            "INSERT INTO prueba.obras (tenant_id, id, nombre) VALUES ('{t}', '{OBRA}', 'a'), ('{t}', '{OTRA}', 'b');
             INSERT INTO prueba.hojas (tenant_id, id, obra_id) VALUES ('{t}', '{HOJA}', '{OBRA}');
             INSERT INTO prueba.renglones (tenant_id, id, hoja_id, concepto) VALUES ('{t}', '{RENGLON}', '{HOJA}', 'x');"
        ),
    )
    .await
    .expect("sheet");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_plain_sql_is_captured_without_a_tenant_set() {
    let setting = Setting::new().await;
    let mut sql = setting.superuser().await;
    sheet(&setting, &mut sql).await;
    let t = setting.tenant;
    let copied = format!(
        "COPY prueba.tipos (tenant_id, id, clave, dia) FROM PROGRAM \
         'for i in 1 2 3; do echo {t},00000000-0000-7000-8000-00000000000$i,k$i,2026-01-01; done' \
         WITH (FORMAT csv)"
    );
    run(&mut sql, &copied).await.expect("COPY");
    run(&mut sql, "UPDATE prueba.tipos SET estado = 'cerrado', gente = '{b,a}'")
        .await
        .expect("update");
    // Neither an ORM that saves again nor another order of a set is a change.
    run(&mut sql, "UPDATE prueba.tipos SET estado = 'cerrado', gente = '{a,b}'")
        .await
        .expect("same");
    run(&mut sql, "DELETE FROM prueba.tipos WHERE clave = 'k3'").await.expect("delete");
    run(
        &mut sql,
        "MERGE INTO prueba.tipos t USING (VALUES ('k1'), ('k9')) v (clave) ON t.clave = v.clave \
         WHEN MATCHED THEN UPDATE SET entero = 5 WHEN NOT MATCHED THEN DO NOTHING",
    )
    .await
    .expect("merge");
    let versions = "SELECT string_agg(version || CASE WHEN deleted_v IS NULL THEN '' ELSE 'd' END, ',' \
                    ORDER BY record_id) FROM sync.rows WHERE collection = 'tipos'";
    assert_eq!(one(&mut sql, versions).await, "3,2,3d");
    let fields = one(
        &mut sql,
        "SELECT string_agg(k || v::text, ' ' ORDER BY k) FROM sync.rows r, \
         jsonb_each(r.fields #- '{estado,t}' #- '{entero,t}' #- '{gente,t}') f (k, v) \
         WHERE r.record_id::text LIKE '%1' AND collection = 'tipos'",
    )
    .await;
    let nil = StreamId::SQL;
    assert_eq!(
        fields,
        format!(
            "entero{{\"v\": 3, \"w\": \"{nil}\"}} estado{{\"v\": 2, \"w\": \"{nil}\"}} \
             gente{{\"e\": {{\"a\": {{\"v\": 2, \"w\": \"{nil}\"}}, \"b\": {{\"v\": 2, \"w\": \"{nil}\"}}}}, \
             \"v\": 2, \"w\": \"{nil}\"}}"
        )
    );
    assert_eq!(contradictions(&mut sql, &setting.schema).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn children_go_where_their_parent_goes_also_through_null() {
    let setting = Setting::new().await;
    let mut sql = setting.superuser().await;
    sheet(&setting, &mut sql).await;
    let scopes = format!(
        "SELECT string_agg(scope, ' ' ORDER BY scope) FROM sync.memberships WHERE record_id = '{RENGLON}' AND NOT gone"
    );
    assert_eq!(one(&mut sql, &scopes).await, format!("site:{OBRA}"));
    let steps = [
        (
            format!("UPDATE prueba.hojas SET responsable_id = '{ANA}'"),
            format!("site:{OBRA} user:{ANA}"),
        ),
        (format!("UPDATE prueba.hojas SET obra_id = '{OTRA}'"), format!("site:{OTRA} user:{ANA}")),
        ("UPDATE prueba.hojas SET responsable_id = NULL".to_owned(), format!("site:{OTRA}")),
        // A writer that tries to part the child from its parent is overruled.
        (
            format!("UPDATE prueba.renglones SET obra_id = '{OBRA}', concepto = 'y'"),
            format!("site:{OTRA}"),
        ),
    ];
    for (step, expected) in steps {
        run(&mut sql, &step).await.expect(&step);
        assert_eq!(one(&mut sql, &scopes).await, expected, "{step}");
        assert_eq!(contradictions(&mut sql, &setting.schema).await, Vec::<String>::new(), "{step}");
    }
    let orphan = format!(
        "INSERT INTO prueba.renglones (tenant_id, id, hoja_id) VALUES ('{}', gen_random_uuid(), gen_random_uuid())",
        setting.tenant
    );
    let refused = run(&mut sql, &orphan).await.expect_err("an orphan");
    assert!(refused.contains("the parent in hojas does not exist"), "{refused}");
    assert!(run(&mut sql, "DELETE FROM prueba.hojas").await.is_err(), "a parent with children");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_capture_could_not_follow_is_refused_with_a_sentence() {
    let setting = Setting::new().await;
    let mut sql = setting.superuser().await;
    sheet(&setting, &mut sql).await;
    let t = setting.tenant;
    run(&mut sql, "DELETE FROM prueba.renglones").await.expect("delete");
    let again = format!(
        "INSERT INTO prueba.renglones (tenant_id, id, hoja_id) VALUES ('{t}', '{RENGLON}', '{HOJA}')"
    );
    let refusals = [
        ("TRUNCATE prueba.renglones", "use DELETE", "TRUNCATE of prueba.renglones is refused"),
        ("TRUNCATE prueba.obras CASCADE", "", "is refused"),
        ("UPDATE prueba.obras SET id = gen_random_uuid()", "", "cannot be changed"),
        ("UPDATE prueba.obras SET tenant_id = gen_random_uuid()", "", "cannot be changed"),
        (again.as_str(), "", "ids are never used again"),
        ("UPDATE sync.rows SET version = 1", "", "cannot be written directly"),
        ("DELETE FROM sync.memberships", "", "cannot be written directly"),
        ("TRUNCATE sync.scope_log", "", "cannot be written directly"),
        ("DELETE FROM sync.audit", "", "only appended to"),
        (
            "UPDATE prueba.tipos SET real = 'NaN'; INSERT INTO prueba.tipos (tenant_id, id, clave, dia, real) \
          SELECT tenant_id, id, 'x', '2026-01-01', 'NaN' FROM prueba.obras",
            "",
            "tipos_real_check",
        ),
        (
            "INSERT INTO prueba.tipos (tenant_id, id, clave, dia, estado) \
          SELECT tenant_id, id, 'x', '2026-01-01', 'roto' FROM prueba.obras",
            "",
            "tipos_estado_check",
        ),
    ];
    for (statement, _, expected) in refusals {
        let message = run(&mut sql, statement).await.expect_err(statement);
        assert!(message.contains(expected), "{statement}: {message}");
    }
    let mut server = setting.server_role().await;
    run(&mut server, &format!("SELECT set_config('app.current_tenant_id', '{t}', false)"))
        .await
        .expect("tenant");
    for statement in [
        "UPDATE sync.rows SET version = 9",
        "INSERT INTO sync.scope_log (tenant_id, scope, collection, came, went, digest, stamp) \
         SELECT tenant_id, 'tenant', 'x', 1, 0, 0::bit(128), '1'::xid8 FROM sync.tenants",
        "UPDATE sync.audit SET action = 'x'",
        "DELETE FROM sync.audit",
        "ALTER TABLE prueba.obras DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "SELECT sync.refuse_direct_write()",
    ] {
        assert!(run(&mut server, statement).await.is_err(), "{statement}");
    }
    assert_eq!(contradictions(&mut sql, &setting.schema).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_sql_cannot_pass_for_a_device() {
    let setting = Setting::new().await;
    let mut sql = setting.superuser().await;
    run(
        &mut sql,
        "CREATE ROLE erp LOGIN NOSUPERUSER; GRANT USAGE ON SCHEMA prueba TO erp; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA prueba TO erp",
    )
    .await
    .expect("role");
    let mut erp =
        PgConnection::connect(&cluster().url(&setting.database, "erp")).await.expect("erp");
    let t = setting.tenant;
    let statement = format!(
        "SELECT set_config('app.current_tenant_id', '{t}', false), set_config('campo.restore', 'on', false), \
         set_config('campo.stream', '{ANA}', false), set_config('campo.edit_times', '{{}}', false); \
         INSERT INTO prueba.obras (tenant_id, id, nombre) VALUES ('{t}', '{OBRA}', 'a')"
    );
    run(&mut erp, &statement).await.expect("insert");
    let writer = one(&mut sql, "SELECT born_w::text FROM sync.rows").await;
    assert_eq!(writer, StreamId::SQL.to_string());
    assert_eq!(contradictions(&mut sql, &setting.schema).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_is_no_longer_always_is_named_with_its_remedy() {
    let setting = Setting::new().await;
    let mut sql = setting.superuser().await;
    let spoiled = "ALTER TABLE prueba.obras DISABLE TRIGGER USER; ALTER TABLE prueba.obras ENABLE TRIGGER USER; \
         ALTER TABLE prueba.hojas NO FORCE ROW LEVEL SECURITY; ALTER TABLE prueba.tipos DROP COLUMN extra; \
         ALTER TABLE prueba.tipos ALTER COLUMN entero TYPE numeric";
    run(&mut sql, spoiled).await.expect("spoil");
    let url = cluster().url(&setting.database, SUPERUSER);
    let found = sync_server::store::postgres::verify(&url, &setting.schema)
        .await
        .expect("verify")
        .join("\n");
    for expected in [
        "ALTER TABLE prueba.obras ENABLE ALWAYS TRIGGER zz_campo_insert",
        "prueba.hojas is not walled off",
        "prueba.tipos has no column extra",
        "prueba.tipos.entero is numeric, but the schema says bigint",
    ] {
        assert!(found.contains(expected), "{expected} in {found}");
    }
    let server = cluster().url(&setting.database, "campo_server");
    let refused =
        sync_server::store::postgres::PostgresStore::connect(&server, setting.schema.clone()).await;
    assert!(refused.is_err(), "the server starts on tables that do not fit");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_role_sees_no_other_tenant_without_a_where() {
    let setting = Setting::new().await;
    let mut sql = setting.superuser().await;
    sheet(&setting, &mut sql).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped \
         WHERE c.relkind = 'r' ORDER BY 1",
    )
    .fetch_all(&mut sql)
    .await
    .expect("tables");
    assert!(tables.len() > 30, "{tables:?}");
    let mut server = setting.server_role().await;
    let stranger = uuid::Uuid::now_v7();
    for tenant in ["".to_owned(), stranger.to_string()] {
        let set = format!("SELECT set_config('app.current_tenant_id', '{tenant}', false)");
        run(&mut server, &set).await.expect("tenant");
        for table in &tables {
            let count = one(&mut server, &format!("SELECT count(*)::text FROM {table}")).await;
            assert_eq!(count, "0", "{table} as {tenant:?}");
        }
        // Writing changes nothing of others and brings nothing in for them.
        run(&mut server, "UPDATE prueba.obras SET nombre = 'stolen'").await.expect("no rows");
        run(&mut server, "DELETE FROM prueba.renglones").await.expect("no rows");
        let foreign = format!(
            "INSERT INTO prueba.obras (tenant_id, id, nombre) VALUES ('{}', gen_random_uuid(), 'x')",
            setting.tenant
        );
        assert!(run(&mut server, &foreign).await.is_err());
    }
    assert_eq!(
        one(&mut sql, "SELECT string_agg(nombre, ',' ORDER BY id) FROM prueba.obras").await,
        "a,b"
    );
    assert_eq!(one(&mut sql, "SELECT count(*)::text FROM prueba.renglones").await, "1");
}
