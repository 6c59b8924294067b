//! A schema that gains a field and a collection, on databases with rows and phones that synced
//! before.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use sync_protocol::schema::Schema;
use sync_protocol::schema::parse::{SourceFile, parse};
use sync_protocol::wire::push::{Mutation, MutationKind};
use sync_protocol::wire::receipt::ReceiptState;
use sync_server::store::Store;
use sync_server::store::postgres::{PostgresStore, migrate};
use sync_server::store::sqlite::SqliteStore;

use crate::company::{Company, shipped_schema};
use crate::mutations::{delete, insert, update};

/// The shipped schema with a required field, and a collection that refers to an older one.
fn grown() -> Arc<Schema> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/construccion.toml");
    let text = std::fs::read_to_string(file).expect("a schema file");
    let fields = "[collections.avances.fields]\n";
    assert!(text.contains(fields));
    let riesgo =
        "riesgo = { type = \"text\", required = true, max_length = 10, default = \"bajo\" }\n";
    let mut text = text.replace(fields, &format!("{fields}{riesgo}"));
    text.push_str(
        "\n[collections.visitas]\nscopes = [\"project:proyecto_id\"]\nread = \"project:read\"\n\
         write = \"project:write\"\n\n[collections.visitas.fields]\n\
         proyecto_id = { type = \"uuid\", required = true, references = \"proyectos\" }\n\
         motivo = { type = \"text\", max_length = 200 }\n",
    );
    let mut files = vec![SourceFile { name: "construccion.toml".to_owned(), text }];
    for name in ["almacen", "retail"] {
        let file = format!("{}/../schemas/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).expect("a schema file");
        files.push(SourceFile { name: format!("{name}.toml"), text });
    }
    Arc::new(parse(&files).expect("a schema without mistakes"))
}

/// The story, with what brings the database up to date in the middle.
async fn story(old: Arc<dyn Store>, grow: impl AsyncFnOnce() -> Arc<dyn Store>) {
    let company = Company::new(old).await;
    let project = company.id();
    let mut juan = company.foreman("juan", project).await;
    let mut ana = company.foreman("ana", project).await;
    let [kept, gone, waiting] = [company.id(), company.id(), company.id()];
    let report =
        |id| insert("avances", id, json!({ "proyecto_id": project, "fecha": "2026-11-24" }));
    juan.edit(insert("proyectos", project, json!({ "nombre": "Torre" })), ReceiptState::Applied)
        .await;
    for id in [kept, gone] {
        juan.edit(report(id), ReceiptState::Applied).await;
    }
    juan.edit(delete("avances", gone, 1), ReceiptState::Applied).await;
    juan.pull(100).await;
    ana.pull(100).await;
    // Made by an app of the old schema, and sent to the new server.
    let late = juan.transaction(vec![report(waiting)]);
    let other = juan.transaction(vec![update("avances", kept, json!({ "resumen": "muro" }), 1)]);

    let grown = company.moved_to(grow().await);
    juan.company = &grown;
    ana.company = &grown;
    let receipts = juan.push(vec![late, other]).await;
    assert!(receipts.iter().all(|r| r.state == ReceiptState::Applied), "{receipts:?}");
    let restore =
        Mutation { kind: MutationKind::Restore, row_base: Some(2), ..delete("avances", gone, 2) };
    juan.edit(restore, ReceiptState::Applied).await;
    for phone in [&mut juan, &mut ana] {
        let problem = phone.try_pull(100, usize::MAX).await.expect_err("another visibility");
        assert_eq!(problem.code, "cursor_visibility_changed");
        phone.cursor = None;
        phone.pull(100).await;
        for id in [kept, gone, waiting] {
            assert_eq!(phone.value("avances", id, "riesgo"), json!("bajo"));
        }
        assert_eq!(phone.value("avances", kept, "resumen"), json!("muro"));
    }
    // The old row's new field merges like any other, and the new collection is there.
    let visit = grown.id();
    let set = json!({ "proyecto_id": project, "motivo": "entrega" });
    let version = juan.version("avances", kept);
    let both = juan.transaction(vec![
        update("avances", kept, json!({ "riesgo": "alto" }), version),
        insert("visitas", visit, set),
    ]);
    let receipts = juan.push(vec![both]).await;
    assert_eq!(receipts[0].state, ReceiptState::Applied, "{receipts:?}");
    let code = async |set: Json| {
        let edit = juan.transaction(vec![update("avances", kept, set, version + 1)]);
        juan.push(vec![edit]).await[0].problem.as_ref().map(|problem| problem.code.clone())
    };
    assert_eq!(code(json!({ "riesgo": null })).await.as_deref(), Some("field_required"));
    assert_eq!(code(json!({ "riesgo": "muchísimo ya" })).await.as_deref(), Some("too_long"));
    ana.pull(100).await;
    assert_eq!(ana.value("avances", kept, "riesgo"), json!("alto"));
    assert_eq!(ana.value("visitas", visit, "motivo"), json!("entrega"));
    juan.pull(100).await;
    assert_eq!(juan.content(), ana.content());
}

#[tokio::test]
async fn phones_that_synced_before_get_what_is_new_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path(), shipped_schema()).await.expect("a store");
    let old = store.clone();
    story(Arc::new(old), async || {
        store.close().await;
        let store = SqliteStore::open(folder.path(), grown()).await.expect("a store");
        store.migrate().await.expect("migrated");
        Arc::new(store) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn phones_that_synced_before_get_what_is_new_on_postgres() {
    let shared = crate::fresh::postgres_url(&shipped_schema()).await;
    let of = |role: &str, database: &str| {
        let url = shared.replace("campo_server", role);
        format!("{}/{database}", url.rsplit_once('/').expect("a database's URL").0)
    };
    let mut admin = PgConnection::connect(&of("postgres", "campo")).await.expect("connected");
    let sql = AssertSqlSafe("CREATE DATABASE evolution".to_owned());
    sqlx::raw_sql(sql).execute(&mut admin).await.expect("a database");
    let (owner, server) = (of("postgres", "evolution"), of("campo_server", "evolution"));
    migrate(&owner, &shipped_schema()).await.expect("migrated");
    let old = PostgresStore::connect(&server, shipped_schema()).await.expect("a store");
    story(Arc::new(old), async || {
        let early = PostgresStore::connect(&server, grown()).await;
        let error = early.expect_err("it started on tables that do not fit").to_string();
        assert!(error.contains("construccion.avances has no column riesgo"), "{error}");
        assert!(error.contains("run `sync-server migrate`"), "{error}");
        let done = migrate(&owner, &grown()).await.expect("migrated");
        let done = done.join("\n");
        assert!(done.contains("added riesgo") && done.contains("visitas"), "{done}");
        Arc::new(PostgresStore::connect(&server, grown()).await.expect("it fits")) as Arc<dyn Store>
    })
    .await;
}
