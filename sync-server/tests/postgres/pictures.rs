//! Pictures that came before, looked up among many photos of many companies.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use sync_protocol::schema::Collection;
use sync_server::store::postgres::{migrate, verify};

use crate::cluster::SUPERUSER;
use crate::setting::{Setting, cluster, stream};

async fn run(sql: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
        .execute(sql)
        .await
        .unwrap_or_else(|error| panic!("{statements}: {error}"));
}

fn hash(n: u32) -> String {
    format!("{n:064x}")
}

/// How often photos, live and deleted ones, were read as a whole, and how often by their hashes. Tables that are
/// empty do not count: reading them as a whole is right.
async fn reads(sql: &mut PgConnection) -> (i64, i64) {
    let row = sqlx::query(
        "SELECT (SELECT sum(seq_scan) FROM pg_stat_all_tables WHERE relname = ANY ($1))::bigint, \
         (SELECT sum(idx_scan) FROM pg_stat_all_indexes WHERE indexrelname = ANY ($2))::bigint",
    )
    .bind(vec!["avance_fotos", "rows"])
    .bind(vec!["avance_fotos_miniatura_sha256_idx", "rows_pictures"])
    .fetch_one(sql)
    .await
    .expect("statistics");
    (row.get(0), row.get(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_looked_up_by_indexes_alone() {
    let setting = Setting::new().await;
    let mut sql = setting.superuser().await;
    let tenant = setting.tenant;
    // 5,000 photos, and of every sixteenth the record is deleted.
    run(
        &mut sql,
        &format!(
            "INSERT INTO construccion.proyectos (tenant_id, id, nombre) \
               VALUES ('{tenant}', '00000000-0000-0000-0000-00000000000a', 'Torre'); \
             INSERT INTO construccion.avances (tenant_id, id, proyecto_id, fecha) VALUES ('{tenant}', \
               '00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-00000000000a', '2026-11-24'); \
             INSERT INTO construccion.avance_fotos (tenant_id, id, avance_id, miniatura_sha256, bytes, \
               sha256, miniatura_bytes, ancho, alto) \
             SELECT '{tenant}', gen_random_uuid(), '00000000-0000-0000-0000-00000000000b', \
               lpad(to_hex(n), 64, '0'), 300000, repeat('0', 64), 20000, 1600, 1200 \
             FROM generate_series(1, 5000) n; \
             DELETE FROM construccion.avance_fotos WHERE miniatura_sha256 LIKE '%0'; \
             ANALYZE construccion.avance_fotos; ANALYZE construccion.asistencia_fotos; ANALYZE sync.rows;"
        ),
    )
    .await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let before = reads(&mut sql).await;
    let photos: Vec<&Collection> =
        setting.schema.collections.values().filter(|c| c.photos).collect();
    let asked: BTreeSet<String> = [0x11, 0x20, 0x21, 0x0fff_ffff].map(hash).into();
    let mut tx = setting.write(stream(1)).await;
    let known = tx.known_pictures(&photos, &asked).await.expect("looked up");
    assert_eq!(known, [0x11, 0x20, 0x21].map(hash).into(), "live and deleted ones");
    let of_one = tx.known_pictures(&photos[..1], &asked).await;
    of_one.expect("a company may have one photo collection");
    let none = tx.known_pictures(&photos, &BTreeSet::new()).await.expect("looked up");
    assert!(none.is_empty());
    drop(tx);
    // A session tells of its scans a moment later.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if reads(&mut sql).await.1 > before.1 {
            break;
        }
    }
    let after = reads(&mut sql).await;
    assert_eq!(after.0, before.0, "no table was read as a whole");
    assert!(
        after.1 >= before.1 + 8,
        "{before:?} to {after:?}: photos and deleted ones by their indexes"
    );

    let other = sync_server::store::Accounts::create_tenant(&setting.store, "otra", "Otra").await;
    let other = other.expect("tenant");
    let mut tx =
        sync_server::store::Store::write(&setting.store, other, stream(2)).await.expect("write");
    let known = tx.known_pictures(&photos, &asked).await.expect("looked up");
    assert!(known.is_empty(), "another company's pictures are not known: {known:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_the_index_of_pictures_gets_it() {
    let setting = Setting::new().await;
    let mut sql = setting.superuser().await;
    let url = cluster().url(&setting.database, SUPERUSER);
    run(&mut sql, "DROP INDEX construccion.avance_fotos_miniatura_sha256_idx").await;
    let missing = verify(&url, &setting.schema).await.expect("verified");
    assert!(
        missing[0].contains("lacks the index avance_fotos_miniatura_sha256_idx"),
        "{missing:?}"
    );
    let done = migrate(&url, &setting.schema).await.expect("migrated");
    assert_eq!(done, ["made the index avance_fotos_miniatura_sha256_idx"]);
    assert_eq!(verify(&url, &setting.schema).await.expect("verified"), Vec::<String>::new());
    assert!(migrate(&url, &setting.schema).await.expect("migrated").is_empty());
}
