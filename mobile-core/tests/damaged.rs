//! Databases that cannot be opened: nobody but their person is held up, only a damaged one is renamed, and
//! what may be in it does not go before an export has it. And damage that is mended: what was not in sight or
//! taken back does not come back by that.
#![allow(missing_docs, reason = "tests are named by what they show")]

mod model;
#[allow(dead_code, reason = "the tests of photos use the rest")]
#[path = "photos/shot.rs"]
mod shot;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mobile_core::CoreError;
use mobile_core::clock::ManualClock;
use mobile_core::outbox::entry::State;
use mobile_core::random::SystemRandom;
use mobile_core::store::registry::Registry;
use mobile_core::store::{aside, rows};
use mobile_core::verify::{checkpoint, damage, mend, scrub};
use model::{Fault, Phone, Server};
use serde_json::json;

const NOTE: &[u8] = b"this is no database, it is a note that somebody left here";

/// A phone whose person's database was closed, and where that is.
async fn closed(server: &Arc<Server>, dir: &Path) -> (PathBuf, Arc<ManualClock>) {
    let ana = Phone::signed_in(server, dir, 1).await;
    ana.put("articulos", json!({ "nombre": "Tabla" }));
    let path = ana.core.engine().expect("signed in").store().path().to_owned();
    (path, Arc::clone(&ana.clock))
}

fn set_aside(dir: &Path) -> Result<Option<PathBuf>, CoreError> {
    let registry = Registry::load(dir, &SystemRandom).expect("a registry");
    aside::set_aside(&registry, dir, registry.active.as_ref().expect("somebody is active"))
}

#[tokio::test]
async fn only_a_damaged_database_is_set_aside() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let (path, clock) = closed(&server, dir.path()).await;
    assert_eq!(set_aside(dir.path()).expect("it can be opened"), None);
    let db = rusqlite::Connection::open(&path).expect("a database");
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).expect("one");
    db.pragma_update(None, "user_version", 99).expect("a newer app wrote it");
    let error = set_aside(dir.path()).expect_err("it is whole");
    assert_eq!(error.code(), "database_too_new");
    db.pragma_update(None, "user_version", version).expect("as it was");
    drop(db);
    let ana = Phone::open(&server, dir.path(), 2, clock);
    assert_eq!(ana.core.pending().expect("list").len(), 1, "nothing was renamed");
}

#[tokio::test]
async fn what_was_set_aside_is_exported_before_it_can_be_wiped() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let (path, clock) = closed(&server, dir.path()).await;
    std::fs::write(&path, NOTE).expect("damaged");
    let ana = Phone::open(&server, dir.path(), 2, clock);
    let error = ana.core.status().expect_err("it cannot be opened");
    assert!(matches!(error, CoreError::DatabaseCorrupt { .. }), "{error}");
    assert!(std::fs::read(&path).expect("still there") == NOTE);
    let aside = set_aside(dir.path()).expect("renamed").expect("it is damaged");
    assert!(aside.exists() && !path.exists());
    ana.core.status().expect("begins anew, without being started again");
    ana.login().await;
    for refused in [ana.core.logout().await.map(|()| Vec::new()), ana.core.wipe().await] {
        assert_eq!(refused.expect_err("edits may be in it").code(), "set_aside_not_exported");
    }
    assert!(ana.core.status().expect("status").signed_in, "nothing has happened");
    let file = dir.path().join("for-support.json");
    let exported = ana.core.export(&file).expect("written");
    let [unreadable] = exported.unreadable.as_slice() else { panic!("{exported:?}") };
    assert_eq!(unreadable.path, aside);
    assert_eq!(unreadable.person.as_ref().map(|p| p.user_name.as_str()), Some("ana"));
    let copy = unreadable.copy.as_ref().expect("it was copied");
    assert_eq!(std::fs::read(copy).expect("a copy"), NOTE);
    ana.core.wipe().await.expect("an export has it");
}

#[tokio::test]
async fn another_person_signs_in_beside_a_damaged_database() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let (path, clock) = closed(&server, dir.path()).await;
    std::fs::write(&path, NOTE).expect("damaged");
    let phone = Phone::open(&server, dir.path(), 2, clock);
    assert_eq!(phone.core.pending().expect_err("hers is damaged").code(), "database_corrupt");
    phone.login_as("benito").await;
    phone.sync().await.expect("his is whole");
    assert_eq!(std::fs::read(&path).expect("still there"), NOTE);
}

/// Damages a closed database by plain SQL, opens it, and mends it.
fn mended(
    server: &Arc<Server>,
    dir: &Path,
    (path, clock): (PathBuf, Arc<ManualClock>),
    sql: &str,
) -> Phone {
    let db = rusqlite::Connection::open(&path).expect("a database");
    assert_eq!(db.execute(sql, []).expect(sql), 1, "{sql}");
    drop(db);
    let ana = Phone::open(server, dir, 2, clock);
    let store = ana.core.engine().expect("signed in").store().clone();
    assert!(store.write_schema(|db| mend::all(db)).expect("mended") > 0);
    assert_eq!(store.write_schema(|db| mend::all(db)).expect("nothing"), 0, "it is right");
    ana
}

#[tokio::test]
async fn what_was_refused_is_not_mended_into_the_view() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let closed = {
        let ana = Phone::signed_in(&server, dir.path(), 1).await;
        ana.put("articulos", json!({ "nombre": "veneno" }));
        assert_eq!(ana.sync().await.expect("sync").refused, 1);
        let path = ana.core.engine().expect("signed in").store().path().to_owned();
        (path, Arc::clone(&ana.clock))
    };
    let sql = "UPDATE campo_mutation SET kind = '?' || kind";
    let ana = mended(&server, dir.path(), closed, sql);
    assert_eq!(ana.core.list("articulos").expect("list").rows.len(), 0);
    assert_eq!(ana.core.problems().expect("list").len(), 1);
}

#[tokio::test]
async fn what_the_server_put_off_comes_back_into_the_view() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let (closed, id) = {
        let ana = Phone::signed_in(&server, dir.path(), 1).await;
        let id = ana.put("articulos", json!({ "nombre": "Tabla", "existencia": 5 }));
        ana.sync().await.expect("sync");
        ana.put("articulos", json!({ "id": id, "nombre": "veneno" }));
        ana.put("articulos", json!({ "id": id, "existencia": { "add": 2 } }));
        assert_eq!(ana.sync().await.expect("sync").refused, 1);
        let parked = ana.core.pending().expect("list").pop().expect("one");
        assert_eq!((parked.state, parked.receipt.is_some()), (State::Parked, true));
        assert_eq!(ana.field(id, "existencia"), "7.00");
        let path = ana.core.engine().expect("signed in").store().path().to_owned();
        ((path, Arc::clone(&ana.clock)), id)
    };
    let sql = "UPDATE campo_mutation SET seq = seq + 9000 WHERE in_view = 1";
    let ana = mended(&server, dir.path(), closed, sql);
    assert_eq!(ana.field(id, "existencia"), "7.00");
    assert_eq!(ana.core.get("articulos", id).expect("here")["_pending"], 1);
}

#[tokio::test]
async fn what_was_taken_back_is_not_sent_after_damage() {
    for column in ["state", "settled", "maybe_sent"] {
        let server = Server::new();
        let dir = tempfile::tempdir().expect("dir");
        let closed = {
            let ana = Phone::signed_in(&server, dir.path(), 1).await;
            ana.put("articulos", json!({ "nombre": "no" }));
            let id = ana.core.pending().expect("list")[0].id;
            ana.core.discard(id).expect("it waits");
            let path = ana.core.engine().expect("signed in").store().path().to_owned();
            (path, Arc::clone(&ana.clock))
        };
        let sql = format!("UPDATE campo_outbox SET {column} = '?' || {column}");
        let ana = mended(&server, dir.path(), closed, &sql);
        ana.sync().await.expect("sync");
        assert_eq!(server.with(|s| s.rows.len()), 0, "{column}");
        let receipts = ana.core.receipts().expect("list");
        assert_eq!(receipts[0].state, State::Discarded, "{column}");
    }
}

#[tokio::test]
async fn a_schema_that_is_lost_comes_again() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let (path, clock) = closed(&server, dir.path()).await;
    let db = rusqlite::Connection::open(&path).expect("a database");
    db.execute("DELETE FROM campo_meta WHERE name = 'schema'", []).expect("gone");
    drop(db);
    let ana = Phone::open(&server, dir.path(), 2, clock);
    ana.sync().await.expect("an ordinary round");
    assert_eq!(ana.core.list("articulos").expect("list").rows.len(), 1);
}

#[tokio::test]
async fn a_row_of_a_damaged_set_of_scopes_does_not_outlive_a_new_beginning() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let (path, clock) = {
        let ana = Phone::signed_in(&server, dir.path(), 1).await;
        ana.put("articulos", json!({ "nombre": "Tabla" }));
        ana.sync().await.expect("sync");
        let path = ana.core.engine().expect("signed in").store().path().to_owned();
        (path, Arc::clone(&ana.clock))
    };
    let db = rusqlite::Connection::open(&path).expect("a database");
    db.execute("UPDATE campo_scope_set SET id = id + 9", []).expect("damaged");
    drop(db);
    server.with(|s| {
        s.epoch += 1;
        s.epoch_code = "cursor_visibility_changed";
        s.rows.clear();
    });
    let ana = Phone::open(&server, dir.path(), 2, clock);
    ana.sync().await.expect("sync");
    assert_eq!(ana.core.list("articulos").expect("list").rows.len(), 0);
}

#[tokio::test]
async fn a_row_in_nobody_knows_what_scopes_does_not_outlive_a_new_beginning() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let closed = {
        let ana = Phone::signed_in(&server, dir.path(), 1).await;
        ana.put("articulos", json!({ "nombre": "Tabla" }));
        ana.sync().await.expect("sync");
        let path = ana.core.engine().expect("signed in").store().path().to_owned();
        (path, Arc::clone(&ana.clock))
    };
    let db = rusqlite::Connection::open(&closed.0).expect("a database");
    db.execute("UPDATE articulos SET _scopes = '?' || _scopes", []).expect("damaged");
    drop(db);
    server.with(|s| {
        s.epoch += 1;
        s.epoch_code = "cursor_visibility_changed";
        s.rows.clear();
    });
    let ana = Phone::open(&server, dir.path(), 2, closed.1);
    let store = ana.core.engine().expect("signed in").store().clone();
    assert_eq!(store.write_schema(|db| mend::all(db)).expect("mended"), 1);
    ana.sync().await.expect("sync");
    assert_eq!(ana.core.list("articulos").expect("list").rows.len(), 0);
}

/// Two rows: the second one's deletion waits, and damage gives its id to the first.
#[tokio::test]
async fn a_row_under_the_id_of_one_that_is_out_of_sight_is_found_by_the_scrub() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let first = ana.put("articulos", json!({ "nombre": "Tabla" }));
    let second = ana.put("articulos", json!({ "nombre": "Clavo" }));
    ana.sync().await.expect("sync");
    ana.core.delete("articulos", second).expect("it is here");
    let store = ana.core.engine().expect("signed in").store().clone();
    let damaged = store.write(|db| {
        let ids = [second.to_string(), first.to_string()];
        db.execute("UPDATE articulos SET id = ?1 WHERE id = ?2", ids)?;
        scrub::all(db, &*store.schema_in(db)?)
    });
    assert_eq!(damaged.expect("scrubbed"), 1);
    ana.core.get("articulos", second).expect_err("its deletion waits");
    let log = store.read(damage::log).expect("a log");
    assert!(log[0].repaired_us.is_some(), "{log:?}");
}

/// Whoever writes a damaged row again must not make its checksum fit.
#[tokio::test]
async fn damage_does_not_hide_behind_an_edit_or_a_new_computation() {
    for edited in [true, false] {
        let server = Server::new();
        let dir = tempfile::tempdir().expect("dir");
        let ana = Phone::signed_in(&server, dir.path(), 1).await;
        let id = ana.put("articulos", json!({ "nombre": "Tabla" }));
        ana.sync().await.expect("sync");
        let store = ana.core.engine().expect("signed in").store().clone();
        let damaged = store.write(|db| Ok(db.execute("UPDATE articulos SET nombre = '?'", [])?));
        assert_eq!(damaged.expect("damaged"), 1);
        if edited {
            ana.put("articulos", json!({ "id": id, "existencia": { "add": 2 } }));
        }
        let asked = store.write(|db| {
            let schema = store.schema_in(db)?;
            rows::recompute(db, schema.collection("articulos").expect("known"), id)?;
            scrub::all(db, &schema)?;
            damage::to_refetch(db, &schema)
        });
        assert_eq!(asked.expect("a list")[0].ids, [id], "edited: {edited}");
    }
}

/// Found by the simulator: a value that nobody can read kept every pull from its end.
#[tokio::test]
async fn a_damaged_row_keeps_neither_pulls_nor_work_below_it_from_going_on() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let id = ana.put("articulos", json!({ "nombre": "Tabla", "existencia": 5 }));
    ana.sync().await.expect("sync");
    let store = ana.core.engine().expect("signed in").store().clone();
    let damaged = store.write(|db| Ok(db.execute("UPDATE articulos SET existencia = '§'", [])?));
    assert_eq!(damaged.expect("damaged"), 1);
    ana.core.add_photo("articulos", id, &shot::photo(1, 500)).expect("it goes with its record");
    // As a pull does for an edit that comes back into the view.
    let asked = store.write(|db| {
        let schema = store.schema_in(db)?;
        rows::keep_server_state(db, schema.collection("articulos").expect("known"), id)?;
        damage::to_refetch(db, &schema)
    });
    assert_eq!(asked.expect("it goes on")[0].ids, [id], "the row is asked for");
}

#[tokio::test]
async fn a_scope_that_neither_end_has_rows_of_any_more_is_right() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    ana.put("articulos", json!({ "nombre": "Tabla" }));
    ana.sync().await.expect("sync");
    let store = ana.core.engine().expect("signed in").store().clone();
    let compared = |before: &str| {
        store.write(|db| {
            db.execute_batch(before)?;
            let schema = store.schema_in(db)?;
            let differing = checkpoint::compare(db, &schema, &[], 1)?;
            let open = damage::log(db)?.iter().filter(|found| found.repaired_us.is_none()).count();
            Ok((differing, open))
        })
    };
    assert_eq!(compared("").expect("a row that the server lacks"), (1, 1));
    assert_eq!(compared("DELETE FROM articulos").expect("it left"), (0, 0));
}

#[tokio::test]
async fn what_was_told_while_it_was_gone_does_not_wait_for_ever() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let ana = Phone::signed_in(&server, dir.path(), 1).await;
    let id = ana.put("articulos", json!({ "nombre": "Tabla", "existencia": 5 }));
    ana.sync().await.expect("sync");
    ana.put("articulos", json!({ "id": id, "existencia": { "add": 2 } }));
    server.fail_next(Fault::PushAnswerLost);
    ana.sync().await.expect_err("no answer");
    let store = ana.core.engine().expect("signed in").store().clone();
    let gone = |db: &rusqlite::Transaction<'_>| {
        Ok(db.execute("DELETE FROM campo_outbox WHERE settled = 0", [])?)
    };
    assert_eq!(store.write(gone).expect("damaged"), 1);
    ana.sync().await.expect("the pull tells of an edit that is not here");
    assert!(store.write_schema(|db| mend::all(db)).expect("mended") > 0);
    ana.sync().await.expect("sync");
    assert!(ana.core.pending().expect("list").is_empty(), "it is settled");
    let receipts = ana.core.receipts().expect("list");
    assert!(receipts.iter().all(|receipt| receipt.state == State::Applied), "{receipts:?}");
}

#[tokio::test]
async fn what_is_done_with_does_not_wait_for_ever_after_damage() {
    for column in ["receipt", "state", "settled", "maybe_sent", "seen_told"] {
        for told in [true, false] {
            let server = Server::new();
            let dir = tempfile::tempdir().expect("dir");
            let closed = {
                let ana = Phone::signed_in(&server, dir.path(), 1).await;
                ana.put("articulos", json!({ "nombre": "Tabla" }));
                ana.sync().await.expect("sync");
                if told {
                    ana.sync().await.expect("the server hears that it is here");
                }
                let path = ana.core.engine().expect("signed in").store().path().to_owned();
                (path, Arc::clone(&ana.clock))
            };
            let sql = format!("UPDATE campo_outbox SET {column} = '?' || {column}");
            let ana = mended(&server, dir.path(), closed, &sql);
            ana.sync().await.expect("sync");
            let receipts = ana.core.receipts().expect("list");
            assert_eq!(receipts[0].state, State::Applied, "{column}");
            assert!(ana.core.pending().expect("list").is_empty(), "{column}, told: {told}");
        }
    }
}

#[tokio::test]
async fn a_damaged_log_of_damage_can_be_read() {
    for column in ["found_us", "repaired_us"] {
        let server = Server::new();
        let dir = tempfile::tempdir().expect("dir");
        let closed = {
            let ana = Phone::signed_in(&server, dir.path(), 1).await;
            let store = ana.core.engine().expect("signed in").store().clone();
            let note = |db: &rusqlite::Transaction<'_>| {
                damage::mended(db, damage::Kind::Content, "articulos", "as a test")
            };
            store.write(note).expect("noted");
            (store.path().to_owned(), Arc::clone(&ana.clock))
        };
        let sql = format!("UPDATE campo_damage SET {column} = '?' || {column}");
        let ana = mended(&server, dir.path(), closed, &sql);
        let store = ana.core.engine().expect("signed in").store().clone();
        let log = store.read(damage::log).expect("it can be read");
        assert!(log.len() == 2 && log.iter().all(|found| found.repaired_us.is_some()), "{log:?}");
    }
}
