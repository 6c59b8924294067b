//! What is wiped is gone, also from the files, and also where a login or a wipe was cut.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use std::path::{Path, PathBuf};
use std::time::Duration;

use mobile_core::store::{meta, wipe};
use model::{Phone, Server};
use serde_json::json;

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn holds(dir: &Path, secret: &str) -> Vec<PathBuf> {
    let is_in = |path: &PathBuf| {
        let bytes = std::fs::read(path).expect("a file");
        bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
    };
    files(dir).into_iter().filter(is_in).collect()
}

/// A phone with an article that the server has.
async fn phone(dir: &Path) -> Phone {
    let ana = Phone::signed_in(&Server::new(), dir, 1).await;
    ana.put("articulos", json!({ "nombre": "Tabla secreta" }));
    ana.sync().await.expect("sync");
    ana
}

#[tokio::test]
async fn an_emptied_database_holds_nothing_in_its_files() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let engine = ana.core.engine().expect("signed in");
    assert!(!holds(dir.path(), "Tabla secreta").is_empty());
    wipe::empty(engine.store()).expect("emptied");
    for secret in ["Tabla secreta", "refresh ", "access "] {
        assert_eq!(holds(dir.path(), secret), [] as [PathBuf; 0], "{secret}");
    }
}

#[tokio::test]
async fn a_closed_database_is_one_file() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let path = ana.core.engine().expect("signed in").store().path().to_owned();
    assert_eq!(ana.core.list("articulos").expect("the app reads").rows.len(), 1);
    drop(ana);
    let beside = files(path.parent().expect("a folder"));
    assert_eq!(beside, [path], "the log was written into the file");
}

#[tokio::test]
async fn a_wipe_that_is_cut_is_finished_by_the_next() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let path = ana.core.engine().expect("signed in").store().path().to_owned();
    // Something that cannot be removed as a file.
    let obstacle = PathBuf::from(format!("{}-kept", path.display()));
    std::fs::create_dir(&obstacle).expect("a folder");
    assert_eq!(ana.core.logout().await.expect_err("it is cut").code(), "file_failed");
    assert_eq!(holds(dir.path(), "Tabla secreta"), [] as [PathBuf; 0]);
    let registry = std::fs::read_to_string(dir.path().join("device.json")).expect("a registry");
    assert!(registry.contains("\"ana\""), "she is not forgotten before her files are gone");
    std::fs::remove_dir(&obstacle).expect("it can go now");
    ana.core.wipe().await.expect("wiped");
    assert_eq!(files(dir.path()), [dir.path().join("device.json")]);
}

#[tokio::test]
async fn a_wipe_finds_files_that_nobody_is_known_for() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let path = ana.core.engine().expect("signed in").store().path().to_owned();
    let clock = std::sync::Arc::clone(&ana.clock);
    drop(ana);
    // As a login leaves it that is killed before the person is registered.
    let device = dir.path().join("device.json");
    let text = std::fs::read_to_string(&device).expect("a registry");
    let mut registry: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    registry["people"] = json!([]);
    registry["active"] = json!(null);
    let forget = || std::fs::write(&device, registry.to_string()).expect("written");
    forget();
    let phone = Phone::open(&Server::new(), dir.path(), 2, std::sync::Arc::clone(&clock));
    phone.core.wipe().await.expect("wiped");
    assert_eq!(files(dir.path()), [device.as_path()]);
    // The same, and all that is left is a damaged database.
    let aside = PathBuf::from(format!("{}.corrupt-1", path.display()));
    std::fs::write(&aside, "Tabla secreta").expect("written");
    forget();
    let phone = Phone::open(&Server::new(), dir.path(), 3, clock);
    let refused = phone.core.wipe().await.expect_err("edits may be in it");
    assert_eq!(refused.code(), "set_aside_not_exported");
    let elsewhere = tempfile::tempdir().expect("dir");
    phone.core.export(&elsewhere.path().join("export.json")).expect("written");
    phone.core.wipe().await.expect("wiped");
    assert_eq!(files(dir.path()), [device.as_path()]);
}

#[tokio::test]
async fn a_logout_that_cannot_wipe_ends_no_session() {
    let dir = tempfile::tempdir().expect("dir");
    let server = Server::new();
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let engine = ana.core.engine().expect("signed in");
    let store = engine.store();
    store.read(|db| Ok(db.busy_timeout(Duration::from_millis(10))?)).expect("set");
    let other = rusqlite::Connection::open(store.path()).expect("another program");
    other.execute_batch("BEGIN IMMEDIATE").expect("it writes");
    assert_eq!(ana.core.logout().await.expect_err("it is locked").code(), "database_locked");
    assert_eq!(server.with(|s| s.logouts), 0, "nothing has happened, at the server either");
    assert!(ana.core.status().expect("status").signed_in);
    other.execute_batch("ROLLBACK").expect("it has finished");
    ana.core.logout().await.expect("it is free");
    assert_eq!(server.with(|s| s.logouts), 1);
}

#[tokio::test]
async fn edits_go_on_without_tokens() {
    let dir = tempfile::tempdir().expect("dir");
    let ana = phone(dir.path()).await;
    let engine = ana.core.engine().expect("signed in");
    // As another process leaves it that was killed while it signed her out.
    engine.store().write(|db| meta::remove(db, meta::name::SESSION)).expect("written");
    assert!(!ana.core.status().expect("status").signed_in);
    ana.put("articulos", json!({ "nombre": "Tabla" }));
    assert_eq!(ana.sync().await.expect_err("no tokens").code(), "signed_out");
    ana.login().await;
    assert_eq!(ana.sync().await.expect("sync").applied, 1);
}
