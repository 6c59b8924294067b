//! Folding the scope log while others write.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use sync_server::store::{Retention, Store as _};

use crate::cluster::SUPERUSER;
use crate::consistency::contradictions;
use crate::setting::{Setting, cluster};

/// Leaves a witness of the present that claims to be old: what it sees may be folded.
pub async fn age_witness(url: &str) {
    let mut sql = PgConnection::connect(url).await.expect("a connection");
    sqlx::query(
        "INSERT INTO sync.witnesses (value, snapshot, at) VALUES (gen_random_uuid()::text, \
         pg_current_snapshot(), clock_timestamp() - interval '2 minutes')",
    )
    .execute(&mut sql)
    .await
    .expect("a witness");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_folded_while_others_write_adds_up() {
    let setting = Setting::new().await;
    let mut sql = setting.superuser().await;
    let url = cluster().url(&setting.database, SUPERUSER);
    let tenant = setting.tenant;
    let writer = async {
        let mut sql = setting.superuser().await;
        for n in 0..120 {
            let change =
                if n % 4 == 3 { "DELETE FROM prueba.obras WHERE nombre = 'a'" } else { "" };
            let sql_text = format!(
                "INSERT INTO prueba.obras (tenant_id, id, nombre) \
                 VALUES ('{tenant}', gen_random_uuid(), CASE WHEN {n} % 4 = 2 THEN 'a' ELSE 'b' END); \
                 UPDATE prueba.obras SET nombre = 'c' WHERE nombre = 'b'; {change}"
            );
            sqlx::raw_sql(AssertSqlSafe(sql_text)).execute(&mut sql).await.expect("written");
        }
    };
    let folder = async {
        let mut folded = 0;
        for _ in 0..40 {
            age_witness(&url).await;
            let retention = Retention { rows_max: 7, ..Retention::at(0) };
            folded += setting.store.tidy(retention).await.expect("tidied").log_lines;
        }
        folded
    };
    let ((), folded) = tokio::join!(writer, folder);
    assert!(folded > 0, "nothing was folded meanwhile");
    assert_eq!(contradictions(&mut sql, &setting.schema).await, Vec::<String>::new());
    age_witness(&url).await;
    while setting.store.tidy(Retention::at(0)).await.expect("tidied").log_lines > 0 {}
    assert_eq!(contradictions(&mut sql, &setting.schema).await, Vec::<String>::new());
    let lines: i64 = sqlx::query_scalar(
        "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM sync.scope_log \
         GROUP BY tenant_id, scope, collection) lines",
    )
    .fetch_one(&mut sql)
    .await
    .expect("counted");
    assert_eq!(lines, 1, "one line for each scope and collection");
}
