//! What start-up says about tables whose rules somebody changed: what differs, and a remedy that
//! works as it is written.

use sqlx::{AssertSqlSafe, PgConnection};
use sync_server::store::postgres::verify;

use crate::cluster::SUPERUSER;
use crate::setting::{Setting, cluster};

async fn run(sql: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
        .execute(sql)
        .await
        .unwrap_or_else(|error| panic!("{statements}: {error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_changed_rule_is_named_with_a_remedy_that_mends_it() {
    let setting = Setting::new().await;
    let mut sql = setting.superuser().await;
    let url = cluster().url(&setting.database, SUPERUSER);
    let differences = async || verify(&url, &setting.schema).await.expect("verified");
    assert_eq!(differences().await, Vec::<String>::new());
    let avances = "ALTER TABLE construccion.avances";
    for (spoil, says) in [
        (
            format!("{avances} DROP CONSTRAINT avances_horas_check"),
            "construccion.avances lacks the constraint avances_horas_check",
        ),
        (
            format!(
                "{avances} DROP CONSTRAINT avances_horas_check; \
                 {avances} ADD CONSTRAINT avances_horas_check CHECK (horas < 5)"
            ),
            "the constraint avances_horas_check of construccion.avances is `CHECK ((horas < (5)::numeric))`",
        ),
        (
            format!("{avances} DROP CONSTRAINT avances_proyecto_id_fkey"),
            "construccion.avances lacks the constraint avances_proyecto_id_fkey",
        ),
        (
            format!(
                "{avances} DROP CONSTRAINT avances_proyecto_id_fkey; \
                 {avances} ADD CONSTRAINT avances_proyecto_id_fkey FOREIGN KEY (tenant_id, proyecto_id) \
                 REFERENCES construccion.proyectos (tenant_id, id) NOT VALID"
            ),
            "the constraint avances_proyecto_id_fkey of construccion.avances was never checked",
        ),
        (
            "DROP INDEX construccion.avances_proyecto_id_idx".to_owned(),
            "construccion.avances lacks the index avances_proyecto_id_idx",
        ),
        (
            "DROP INDEX almacen.articulos_natural_key; \
             CREATE INDEX articulos_natural_key ON almacen.articulos (tenant_id, codigo)"
                .to_owned(),
            "the index articulos_natural_key of almacen.articulos is another one",
        ),
        (
            "CREATE POLICY everybody ON construccion.avances USING (true)".to_owned(),
            "construccion.avances has the policy everybody, which is not Campo's",
        ),
        (
            "CREATE POLICY everybody ON sync.receipts USING (true)".to_owned(),
            "sync.receipts has the policy everybody",
        ),
        (
            "ALTER POLICY tenant ON construccion.avances USING (true)".to_owned(),
            "the policy tenant of construccion.avances is another one",
        ),
        (
            "DROP POLICY tenant ON sync.conflicts".to_owned(),
            "the policy tenant of sync.conflicts is missing",
        ),
        (
            "DROP POLICY capture ON construccion.avances".to_owned(),
            "the policy capture of construccion.avances is missing",
        ),
    ] {
        run(&mut sql, &spoil).await;
        let found = differences().await;
        assert_eq!(found.len(), 1, "after {spoil}: {found:#?}");
        assert!(found[0].starts_with(says), "after {spoil}: {}", found[0]);
        let (_, remedy) = found[0].rsplit_once("run ").expect("a remedy");
        run(&mut sql, remedy).await;
        assert_eq!(differences().await, Vec::<String>::new(), "after the remedy {remedy}");
    }
}
