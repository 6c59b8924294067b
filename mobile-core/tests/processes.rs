//! Two processes with one database: an app and its extension, or two command lines.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mobile_core::core::ConflictFilter;
use mobile_core::outbox::entry::State;
use model::{Fault, Phone, Server};
use serde_json::json;
use sync_protocol::Value;

/// The second process.
fn beside(server: &Arc<Server>, dir: &Path, first: &Phone) -> Phone {
    Phone::open(server, dir, 2, Arc::clone(&first.clock))
}

#[tokio::test]
async fn what_another_process_has_sent_is_not_taken_for_unsent() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let twin = beside(&server, dir.path(), &ana);
    let id = ana.put("articulos", json!({ "nombre": "Tabla", "existencia": 10 }));
    ana.sync().await.expect("sync");
    ana.put("articulos", json!({ "id": id, "existencia": { "add": -3 } }));
    let edit = ana.core.pending().expect("list").remove(0);
    // Both take it along; the first one does not arrive, the second one does, without an answer.
    server.fail_next(Fault::PushNeverArrives);
    server.fail_next(Fault::PushAnswerLost);
    let (first, second) = tokio::join!(ana.sync(), twin.sync());
    assert_eq!(first.expect_err("it did not arrive").code(), "cannot_connect");
    assert_eq!(second.expect_err("its answer is lost").code(), "interrupted");
    assert_eq!(ana.core.receipt(edit.id).expect("known").state, State::Sending);
    ana.core.discard(edit.id).expect("the server is asked");
    ana.sync().await.expect("sync");
    assert_eq!(ana.core.receipt(edit.id).expect("known").state, State::Applied, "it was too late");
    assert_eq!(ana.field(id, "existencia"), "7.00");
}

/// The server has another field of articles.
fn add_color(server: &Server) {
    server.with(|s| {
        let articles = s.schema.collections.get_mut("articulos").expect("there");
        let mut color = articles.fields[0].clone();
        color.name = "color".into();
        color.required = false;
        articles.fields.push(color);
        for row in s.rows.values_mut() {
            row.fields.insert("color".into(), Value::Text("rojo".into()));
        }
        s.epoch += 1;
        s.epoch_code = "cursor_visibility_changed";
    });
}

#[tokio::test]
async fn a_schema_that_another_process_brought_counts_at_once() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let twin = beside(&server, dir.path(), &ana);
    let id = ana.put("articulos", json!({ "nombre": "Tabla" }));
    ana.sync().await.expect("sync");
    add_color(&server);
    twin.sync().await.expect("it brings the schema");
    assert_eq!(ana.field(id, "color"), "rojo");
    ana.put("articulos", json!({ "id": id, "nombre": "Tablón" }));
    assert_eq!(ana.field(id, "color"), "rojo", "an edit of another field takes nothing away");
    ana.put("articulos", json!({ "id": id, "color": "azul" }));
    server.with(|s| s.sql("articulos", id, "activo", Value::Boolean(true)));
    assert_eq!(ana.sync().await.expect("its pages can be used").applied, 2);
    let row = ana.core.get("articulos", id).expect("here");
    assert_eq!((&row["color"], &row["activo"]), (&json!("azul"), &json!(true)));
}

#[tokio::test]
async fn one_refresh_serves_both_processes() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let twin = beside(&server, dir.path(), &ana);
    server.with(|s| s.only_token = Some("none".into()));
    let all = ConflictFilter::default();
    let (one, two) = tokio::join!(ana.core.conflicts(&all), twin.core.conflicts(&all));
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(server.with(|s| s.refreshes), 1, "a second one would look like a thief's");
}

#[tokio::test]
async fn whoever_logs_in_again_goes_on_with_the_same_engine() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let before = ana.core.engine().expect("signed in");
    let mut live = ana.core.watch("SELECT * FROM articulos").expect("valid");
    ana.login().await;
    assert!(Arc::ptr_eq(&before, &ana.core.engine().expect("signed in")));
    ana.put("articulos", json!({ "nombre": "Tabla" }));
    assert!(live.changed().await, "what was watched before is told");
    ana.login_as("benito").await;
    assert!(!Arc::ptr_eq(&before, &ana.core.engine().expect("signed in")));
}

#[tokio::test]
async fn a_live_query_is_told_what_another_process_commits() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let twin = beside(&server, dir.path(), &ana);
    let mut live = ana.core.watch("SELECT * FROM articulos").expect("valid");
    twin.put("articulos", json!({ "nombre": "Tabla" }));
    let told = tokio::time::timeout(Duration::from_secs(60), live.changed()).await;
    assert_eq!(told, Ok(true), "nobody looked");
}
