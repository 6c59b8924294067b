//! What a phone's own database refuses, keeps and tells.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use std::sync::Arc;

use mobile_core::transport::TransportError;
use mobile_core::{Core, CoreError, pull};
use model::{Phone, Server, object};
use serde_json::{Value as Json, json};
use sync_protocol::wire::pull::{Column, PagePart, PageTable, PullPage};
use sync_protocol::{RecordId, Scope};
use uuid::Uuid;

async fn phone(dir: &std::path::Path) -> Phone {
    Phone::signed_in(&Server::new(), dir, 1).await
}

fn refused(core: &Core, collection: &str, fields: Json) -> String {
    core.insert(collection, &object(fields)).expect_err("it is refused").code().to_owned()
}

#[tokio::test]
async fn bad_edits_are_refused_with_a_reason_and_change_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let core = &ana.core;
    assert_eq!(refused(core, "nada", json!({})), "unknown_collection");
    assert_eq!(refused(core, "articulos", json!({})), "field_required");
    assert_eq!(refused(core, "articulos", json!({ "nombre": "a", "x": 1 })), "unknown_field");
    assert_eq!(refused(core, "articulos", json!({ "nombre": 5 })), "wrong_type");
    assert_eq!(refused(core, "articulos", json!({ "nombre": "a\0" })), "nul_character");
    assert_eq!(
        refused(core, "articulos", json!({ "nombre": "a", "precio": 1 })),
        "field_read_only"
    );
    assert_eq!(refused(core, "articulos", json!({ "nombre": "a", "id": "x" })), "bad_request");
    let nobody = RecordId(Uuid::from_u128(9));
    let update = core.update("articulos", nobody, &object(json!({ "nombre": "b" })));
    assert_eq!(update.expect_err("it is not there").code(), "no_such_record");
    assert!(core.receipts().expect("list").is_empty());
    assert!(core.list("articulos").expect("list").rows.is_empty());
}

#[tokio::test]
async fn no_change_is_lost_when_two_threads_write() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let engine = ana.core.engine().expect("signed in");
    let store = engine.store();
    let makes_known = |table: &str| {
        let changes = store.subscribe();
        for _ in 0..300 {
            let before = changes.borrow().tables.get(table).copied();
            store
                .write(|db| {
                    let columns = "(id, _version, _scopes, _pending) VALUES (?1, 0, 0, 0)";
                    let sql = format!("INSERT INTO {table} {columns}");
                    Ok(db.execute(&sql, [Uuid::new_v4().to_string()])?)
                })
                .expect("written");
            assert!(changes.borrow().tables.get(table).copied() > before, "{table} was told");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| makes_known("articulos"));
        scope.spawn(|| makes_known("movimientos"));
    });
}

#[tokio::test]
async fn a_transaction_is_whole_or_not_at_all() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let failed = ana.core.transaction(|edit| {
        let id = edit.insert("articulos", &object(json!({ "nombre": "a" })))?;
        edit.insert("movimientos", &object(json!({ "articulo_id": id.to_string() })))?;
        edit.insert("movimientos", &object(json!({ "articulo_id": "x" })))
    });
    assert_eq!(failed.expect_err("the last one is wrong").code(), "wrong_type");
    assert!(ana.core.list("articulos").expect("list").rows.is_empty());
    assert!(ana.core.receipts().expect("list").is_empty());
}

#[tokio::test]
async fn whole_values_of_counters_and_sets_become_what_changed() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let id =
        ana.put("articulos", json!({ "nombre": "a", "existencia": 10, "etiquetas": ["x", "y"] }));
    ana.put(
        "articulos",
        json!({
            "id": id, "nombre": "a", "existencia": "7.5", "etiquetas": ["y", "z"]
        }),
    );
    let receipt = ana.core.receipts().expect("list").pop().expect("two");
    let mutation = &receipt.mutations[0];
    assert_eq!(Json::Object(mutation.add.clone()), json!({ "existencia": "-2.50" }));
    assert!(mutation.set.is_empty(), "the name did not change");
    let elements = &mutation.elements["etiquetas"];
    assert_eq!((&elements.add[..], &elements.remove[..]), (&["z".into()][..], &["x".into()][..]));
    assert!(mutation.base.values().all(|base| *base == 0), "nobody else has touched the row");
    let again = ana.core.update("articulos", id, &object(json!({ "existencia": "7.5" })));
    assert_eq!(again.expect("valid"), None, "an edit that changes nothing has no receipt");
}

#[tokio::test]
async fn sql_reads_collections_in_canonical_form_and_nothing_else() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    ana.put("articulos", json!({ "nombre": "a", "existencia": 1.5, "etiquetas": ["b", "a"] }));
    ana.put("articulos", json!({ "nombre": "b", "existencia": 2, "activo": true }));
    let result = ana
        .core
        .query(
            "SELECT nombre, existencia, etiquetas FROM articulos WHERE nombre = ?1",
            &[json!("a")],
        )
        .expect("valid");
    assert_eq!(result.rows, [[json!("a"), json!("1.50"), json!(["a", "b"])]]);
    let sum = ana.core.query("SELECT sum(existencia) AS existencia FROM articulos", &[]);
    assert_eq!(sum.expect("valid").rows, [[json!("3.50")]]);
    for sql in [
        "DELETE FROM articulos",
        "SELECT * FROM campo_meta",
        "SELECT value FROM Campo_Meta",
        "ATTACH 'other.db' AS other",
        "PRAGMA query_only = 0",
        "SELECT 1; SELECT 2",
        "SELECT nada FROM articulos",
    ] {
        let error = ana.core.query(sql, &[]).expect_err(sql);
        assert_eq!(error.code(), "bad_query", "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_live_query_fires_for_its_own_tables_only() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let mut live = ana.core.watch("SELECT count(*) FROM articulos").expect("valid");
    assert_eq!(live.tables().iter().collect::<Vec<_>>(), ["articulos"]);
    ana.put("movimientos", json!({ "nota": "x" }));
    let quiet = tokio::time::timeout(std::time::Duration::from_millis(20), live.changed()).await;
    assert!(quiet.is_err(), "movements are another table");
    ana.put("articulos", json!({ "nombre": "a" }));
    assert!(live.changed().await);
}

#[tokio::test]
async fn another_persons_data_is_apart() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    ana.put("articulos", json!({ "nombre": "de ana" }));
    ana.core.logout_keeping_data().await.expect("logout");
    assert_eq!(ana.core.list("articulos").expect_err("nobody is here").code(), "signed_out");
    ana.login_as("benito").await;
    ana.sync().await.expect("sync");
    assert!(ana.core.list("articulos").expect("list").rows.is_empty());
    ana.login().await;
    assert_eq!(ana.core.pending().expect("list").len(), 1, "her edit waited for her");
    assert_eq!(ana.sync().await.expect("sync").applied, 1);
}

fn page(cursor: &str, scopes: &[&str], drops: &[&str], id: u128) -> PullPage {
    let scope = |text: &&str| text.parse::<Scope>().expect("a scope");
    let schema = model::schema();
    let fields = &schema.collections["articulos"].fields;
    let mut table = PageTable {
        collection: "articulos".into(),
        ids: vec![RecordId(Uuid::from_u128(id))],
        versions: vec![1],
        scope_sets: vec![0],
        fields: vec!["nombre".into()],
        columns: vec![Column::for_type(&fields[0].kind)],
        exits: Vec::new(),
    };
    table.columns[0].push(&sync_protocol::Value::Text(format!("fila {id}")));
    PullPage {
        drops: drops.iter().map(scope).collect(),
        scope_sets: vec![scopes.iter().map(scope).collect()],
        tables: if id == 0 { Vec::new() } else { vec![table] },
        cursor: cursor.into(),
        part: PagePart::Delta,
        checkpoint: true,
        ..PullPage::default()
    }
}

#[tokio::test]
async fn a_dropped_scope_takes_only_rows_that_are_in_no_other() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let store = Arc::clone(ana.core.engine().expect("signed in").store());
    let now = store.read(|db| mobile_core::store::meta::get(db, "cursor")).expect("readable");
    let (p, q) = (
        "project:01970000-0000-7000-8000-00000000000a",
        "project:01970000-0000-7000-8000-00000000000b",
    );
    pull::apply(&store, &page("1", &[p], &[], 1), now.as_deref()).expect("applied");
    pull::apply(&store, &page("2", &[p, q], &[], 2), Some("1")).expect("applied");
    // A row of the dropped scope that is only staged must not come back with the checkpoint.
    let staged = PullPage { checkpoint: false, ..page("3", &[p], &[], 3) };
    pull::apply(&store, &staged, Some("2")).expect("applied");
    let edited = RecordId(Uuid::from_u128(2));
    ana.put("articulos", json!({ "id": edited, "nombre": "mío" }));
    pull::apply(&store, &page("4", &[], &[p], 0), Some("3")).expect("applied");
    let names = ana.core.query("SELECT nombre FROM articulos", &[]).expect("valid").rows;
    assert_eq!(names, [[json!("mío")]]);
    pull::apply(&store, &page("5", &[], &[q], 0), Some("4")).expect("applied");
    assert!(ana.core.list("articulos").expect("list").rows.is_empty());
    assert_eq!(ana.core.pending().expect("list").len(), 1, "the edit is kept");
}

#[tokio::test]
async fn beginning_anew_takes_rows_of_lost_scopes_off_with_the_first_page() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let store = Arc::clone(ana.core.engine().expect("signed in").store());
    let now = store.read(|db| mobile_core::store::meta::get(db, "cursor")).expect("readable");
    let (p, q, r) = (
        "project:01970000-0000-7000-8000-00000000000a",
        "project:01970000-0000-7000-8000-00000000000b",
        "project:01970000-0000-7000-8000-00000000000c",
    );
    let apply = |page: &PullPage, asked: Option<&str>| {
        pull::apply(&store, page, asked).expect("applied");
    };
    let names = || {
        let rows = ana.core.query("SELECT nombre FROM articulos ORDER BY id", &[]);
        let rows = rows.expect("valid").rows;
        rows.iter().map(|row| row[0].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    apply(&page("1", &[p], &[], 1), now.as_deref());
    apply(&page("2", &[p], &[], 2), Some("1"));
    apply(&page("3", &[p, q], &[], 3), Some("2"));
    apply(&page("4", &[r], &[], 4), Some("3"));
    apply(&page("5", &[q], &[], 5), Some("4"));
    ana.put("articulos", json!({ "id": RecordId(Uuid::from_u128(2)), "nombre": "mío" }));
    pull::begin_anew(&store, None).expect("begun");
    assert_eq!(names().len(), 5, "offline nothing leaves");
    let backfill = |cursor: &str, gains: &[&str], drops: &[&str], id: u128| {
        let gains = gains.iter().map(|scope| scope.parse().expect("a scope")).collect();
        let page = page(cursor, &[q], drops, id);
        PullPage { gains, part: PagePart::Backfill, checkpoint: false, ..page }
    };
    apply(&backfill("6", &[q, r], &[], 6), None);
    assert_eq!(names(), ["fila 3", "fila 4", "fila 5", "fila 6"], "the first scope is lost");
    assert_eq!(ana.core.pending().expect("list").len(), 1, "the edit is kept");
    // A scope that is lost in the middle takes what has not come anew as well.
    apply(&backfill("7", &[], &[q], 0), Some("6"));
    assert_eq!(names(), ["fila 4"]);
    apply(&PullPage { checkpoint: true, ..backfill("8", &[], &[], 0) }, Some("7"));
    assert!(names().is_empty(), "it did not come anew");
}

#[tokio::test]
async fn a_page_that_does_not_fit_changes_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let store = Arc::clone(ana.core.engine().expect("signed in").store());
    let now = store.read(|db| mobile_core::store::meta::get(db, "cursor")).expect("readable");
    let good = page("1", &["tenant"], &[], 1);
    type Damage = fn(&mut PullPage);
    let damages: [(&str, Damage); 6] = [
        ("collection", |p| p.tables[0].collection = "nada".into()),
        ("field", |p| p.tables[0].fields[0] = "nada".into()),
        ("type", |p| p.tables[0].fields[0] = "activo".into()),
        ("length", |p| p.tables[0].versions.clear()),
        ("scope set", |p| p.tables[0].scope_sets[0] = 7),
        ("cursor", |p| p.cursor.clear()),
    ];
    for (name, damage) in damages {
        let mut bad = good.clone();
        damage(&mut bad);
        let error = pull::apply(&store, &bad, now.as_deref()).expect_err(name);
        assert!(
            matches!(error, CoreError::Transport(TransportError::Garbage(_))),
            "{name}: {error}"
        );
    }
    assert!(ana.core.list("articulos").expect("list").rows.is_empty());
    let stale = pull::apply(&store, &good, Some("another cursor")).expect_err("somebody moved on");
    assert!(matches!(stale, CoreError::AlreadyRunning));
    pull::apply(&store, &good, now.as_deref()).expect("the good one is applied");
}

#[tokio::test]
async fn a_live_query_fires_when_its_table_goes_or_comes_back() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let store = Arc::clone(ana.core.engine().expect("signed in").store());
    let changes = store.subscribe();
    let mut less = model::schema();
    less.collections.remove("articulos");
    let mut told = 0;
    for schema in [less, model::schema()] {
        let cursor = store.read(|db| mobile_core::store::meta::get(db, "cursor"));
        let cursor = cursor.expect("readable").expect("in step");
        let page = PullPage { schema: Some(schema), cursor: cursor.clone(), ..PullPage::default() };
        pull::apply(&store, &page, Some(&cursor)).expect("applied");
        let last = changes.borrow().tables.get("articulos").copied().unwrap_or(0);
        assert!(last > told, "nobody was told");
        told = last;
    }
    mobile_core::store::wipe::empty(&store).expect("emptied");
    assert!(changes.borrow().tables["articulos"] > told, "nor of the wipe");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_on_the_machine_reads_what_is_here() {
    use std::os::unix::fs::PermissionsExt as _;
    let above = tempfile::tempdir().expect("dir");
    let dir = above.path().join("phone");
    let ana = phone(&dir).await;
    ana.put("articulos", json!({ "nombre": "Tabla" }));
    let export = above.path().join("export.json");
    ana.core.export(&export).expect("written");
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    };
    let database = ana.core.engine().expect("signed in").store().path().to_owned();
    let folder = database.parent().expect("a folder").to_owned();
    assert_eq!([&dir, &folder].map(|path| mode(path)), [0o700; 2]);
    assert_eq!([&dir.join("device.json"), &export].map(|path| mode(path)), [0o600; 2]);
    // What an earlier version left open is closed.
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("opened");
    drop(mobile_core::store::Store::open(&database).expect("opened"));
    assert_eq!(mode(&folder), 0o700);
}

#[test]
fn a_password_is_not_shown() {
    let sign_in = mobile_core::SignIn {
        server: "http://model".into(),
        tenant: "acme".into(),
        user: "ana".into(),
        password: "correcto caballo".into(),
        device_name: None,
    };
    assert!(!format!("{sign_in:?}").contains("caballo"));
}
