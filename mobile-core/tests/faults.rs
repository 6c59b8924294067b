//! Disks and files that fail: each is reported by its own code, no edit is lost, and work goes on when the
//! cause is gone.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use mobile_core::clock::ManualClock;
use mobile_core::outbox::entry::State;
use mobile_core::store::Store;
use mobile_core::{Config, Core, CoreError};
use model::{Phone, START_US, Server};
use serde_json::json;

fn store(phone: &Phone) -> Arc<Store> {
    Arc::clone(phone.core.engine().expect("signed in").store())
}

fn put(phone: &Phone, nombre: &str) -> Result<sync_protocol::RecordId, CoreError> {
    phone.core.put("articulos", &model::object(json!({ "nombre": nombre })))
}

/// Lets the database grow by so many pages, or as far as it likes.
fn limit_pages(phone: &Phone, more: Option<i64>) {
    let limit = |db: &rusqlite::Connection| {
        let pages: i64 = db.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let max = more.map_or(1_000_000, |more| pages + more);
        db.pragma_update(None, "max_page_count", max)?;
        Ok(())
    };
    store(phone).read(limit).expect("set");
}

#[tokio::test]
async fn a_full_disk_stops_edits_and_syncs_and_loses_none() {
    let server = Server::new();
    let (one, two) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let ana = Phone::signed_in(&server, one.path(), 1).await;
    let ben = Phone::signed_in(&server, two.path(), 2).await;
    let text = "x".repeat(40);
    for _ in 0..400 {
        put(&ben, &text).expect("there is space");
    }
    ben.sync().await.expect("sync");
    put(&ana, "mía").expect("there is space");
    limit_pages(&ana, Some(4));
    let mut made = 1;
    let full = loop {
        match put(&ana, &text) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((full.code(), full.retryable()), ("disk_full", true));
    assert_eq!(ana.core.pending().expect("list").len(), made, "no edit is half there");
    let error = ana.sync().await.expect_err("the disk is full");
    assert_eq!(error.code(), "disk_full");
    assert_eq!(ana.core.receipts().expect("list").len(), made);
    limit_pages(&ana, None);
    ana.sync().await.expect("there is space again");
    assert!(ana.core.pending().expect("list").is_empty());
    assert_eq!(ana.core.list("articulos").expect("rows").rows.len(), 400 + made);
    assert_eq!(server.with(|s| s.rows.len()), 400 + made, "nothing is doubled");
}

/// A file system of its own, of one megabyte.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "campo-test"]).arg(at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[tokio::test]
async fn a_disk_that_is_really_full_is_no_different() {
    let dir = tempfile::tempdir().expect("dir");
    let Some(disk) = SmallDisk::mount(dir.path()) else {
        eprintln!("not run: mounting a small disk needs root");
        return;
    };
    let server = Server::new();
    let ana = Phone::signed_in(&server, &disk.0, 1).await;
    let filler = disk.0.join("photos");
    // As much as there is room for.
    let _ = std::fs::write(&filler, vec![0; 1024 * 1024]);
    let mut made = 0;
    let full = loop {
        match put(&ana, "algo") {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full.code(), "disk_full", "{full}");
    assert_eq!(ana.core.pending().expect("list").len(), made);
    let error = ana.core.export(&disk.0.join("export")).expect_err("no room for a file");
    assert_eq!(error.code(), "disk_full");
    std::fs::remove_file(&filler).expect("photos can go");
    put(&ana, "algo más").expect("there is space again");
    ana.sync().await.expect("sync");
    assert_eq!(server.with(|s| s.rows.len()), made + 1);
    drop(ana);
}

/// Is run by the test below, under a limit that makes the system refuse writes.
#[tokio::test]
#[ignore = "a part of another test"]
async fn an_edit_where_writing_fails() {
    let Some(dir) = std::env::var_os("CAMPO_TEST_DIR") else { return };
    let clock = Arc::new(ManualClock::new(START_US));
    let config = Config { clock, ..Config::new(PathBuf::from(dir)) };
    let edit = |core: Core| core.put("articulos", &model::object(json!({ "nombre": "algo" })));
    let error = Core::open(config).and_then(edit).expect_err("writing fails");
    println!("code: {}", error.code());
}

#[tokio::test]
async fn a_disk_that_fails_is_told_from_a_full_one() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    put(&ana, "antes").expect("an edit");
    let clock = Arc::clone(&ana.clock);
    drop(ana);
    // Writes beyond 4 KiB of a file fail; the signal that would end the process is ignored.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" --ignored --exact --nocapture \"$1\""])
        .arg(std::env::current_exe().expect("this test"))
        .arg("an_edit_where_writing_fails")
        .env("CAMPO_TEST_DIR", dir.path())
        .output()
        .expect("a shell");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("code: disk_failed"), "{told}");
    let ana = Phone::open(&server, dir.path(), 2, clock);
    put(&ana, "después").expect("the disk works again");
    ana.sync().await.expect("sync");
    assert_eq!(server.with(|s| s.rows.len()), 2);
}

#[tokio::test]
async fn a_locked_database_is_told_and_waited_for() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    put(&ana, "antes").expect("an edit");
    store(&ana).read(|db| Ok(db.busy_timeout(Duration::from_millis(10))?)).expect("set");
    let other = rusqlite::Connection::open(store(&ana).path()).expect("another program");
    other.execute_batch("BEGIN IMMEDIATE").expect("it writes");
    let error = put(&ana, "durante").expect_err("it is locked");
    assert_eq!((error.code(), error.retryable()), ("database_locked", true));
    assert_eq!(ana.sync().await.expect_err("it is locked").code(), "database_locked");
    assert_eq!(ana.core.pending().expect("reading goes on").len(), 1);
    other.execute_batch("ROLLBACK").expect("it has finished");
    put(&ana, "después").expect("it is free");
    assert_eq!(ana.sync().await.expect("sync").applied, 2);
}

/// Overwrites the pages of a table, so that it can be told only when it is read.
fn overwrite(path: &Path, table: &str) {
    let db = rusqlite::Connection::open(path).expect("a database");
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("all is in the file");
    let root: i64 = db
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0))
        .expect("a table");
    let page: i64 = db.pragma_query_value(None, "page_size", |row| row.get(0)).expect("a size");
    drop(db);
    let mut bytes = std::fs::read(path).expect("a file");
    let at = usize::try_from((root - 1) * page).expect("small");
    bytes[at..at + usize::try_from(page).expect("small")].fill(0xa5);
    std::fs::write(path, bytes).expect("damaged");
}

#[tokio::test]
async fn a_damaged_file_is_named_and_kept_and_good_again_when_it_is_mended() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    for n in 0..300 {
        put(&ana, &format!("artículo {n}")).expect("an edit");
    }
    let path = store(&ana).path().to_owned();
    let clock = Arc::clone(&ana.clock);
    drop(ana);
    let good = std::fs::read(&path).expect("a file");
    let cut = |bytes: usize| {
        let file = std::fs::File::options().write(true).open(&path).expect("a file");
        file.set_len(bytes as u64).expect("cut");
    };
    type Damage<'a> = &'a dyn Fn();
    let damages: [(&str, Damage<'_>); 4] = [
        ("half of it is gone", &|| cut(good.len() / 2)),
        ("all of it is gone", &|| cut(0)),
        ("its beginning is", &|| std::fs::write(&path, vec![0xa5; good.len()]).expect("written")),
        ("the bookkeeping is", &|| overwrite(&path, "campo_meta")),
    ];
    for (name, damage) in damages {
        damage();
        let damaged = std::fs::read(&path).expect("a file");
        let open = || Core::open(Config { clock: clock.clone(), ..Config::new(dir.path()) });
        let Err(error) = open().and_then(|core| core.status()) else {
            panic!("{name}, and it opens")
        };
        assert_eq!((error.code(), error.retryable()), ("database_corrupt", false), "{name}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert_eq!(std::fs::read(&path).expect("a file"), damaged, "{name}: it is left alone");
        let file = dir.path().join(name);
        let registry = mobile_core::store::registry::Registry::load(
            dir.path(),
            &mobile_core::random::SystemRandom,
        );
        let exported = mobile_core::export::unsent(
            dir.path(),
            &registry.expect("a registry"),
            clock.as_ref(),
            &file,
        );
        let exported = exported.expect("the others' work can be exported");
        assert_eq!(exported.unreadable.len(), 1, "{name}: {exported:?}");
        std::fs::write(&path, &good).expect("mended");
    }
    // One that is met only while working.
    overwrite(&path, "articulos");
    let ana = Phone::open(&server, dir.path(), 2, Arc::clone(&clock));
    let error = ana.core.list("articulos").expect_err("it is damaged");
    assert_eq!(error.code(), "database_corrupt");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    assert_eq!(ana.core.pending().expect("the outbox is whole").len(), 300);
    drop(ana);
    for part in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{part}", path.display()));
    }
    std::fs::write(&path, &good).expect("mended");
    let ana = Phone::open(&server, dir.path(), 3, clock);
    let pending = ana.core.pending().expect("list");
    assert!(pending.len() == 300 && pending.iter().all(|p| p.state == State::Waiting));
    assert_eq!(ana.sync().await.expect("sync").applied, 300);
}
