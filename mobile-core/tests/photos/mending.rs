//! Damage, backups and crashes: no photo is lost by them.

use std::sync::Arc;

use crate::model::{Phone, Server};
use mobile_core::photos::files::hash;
use mobile_core::photos::{mend, sweep};
use mobile_core::random::SystemRandom;
use mobile_core::store::registry::Registry;
use mobile_core::store::{aside, meta};
use sync_protocol::schema::Schema;

use crate::shot::{ana, article, files, photo, views, waiting};

/// Damages a phone's database, whatever its tables would not take, and lets it verify itself.
async fn damage_and_verify(phone: &Phone, sql: &str) {
    let engine = phone.core.engine().expect("signed in");
    let _ = engine.store().write(|db| {
        db.execute_batch("PRAGMA ignore_check_constraints = ON")?;
        Ok(db.execute(sql, [])?)
    });
    let cancel = tokio_util::sync::CancellationToken::new();
    phone.core.verify(&cancel).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

#[tokio::test]
async fn a_damaged_queue_is_written_anew_and_no_photo_is_lost() {
    for sql in [
        "DELETE FROM campo_photo",
        "UPDATE campo_photo SET state = 'x'",
        "UPDATE campo_photo SET state = 'stored'",
        "UPDATE campo_photo SET record = 'x'",
        "UPDATE campo_photo SET bytes = NULL || 'x'",
        "UPDATE OR REPLACE campo_photo SET variant = 'photo'",
        "UPDATE campo_photo SET sha256 = '0000000000000000000000000000000000000000000000000000000000000000'",
        "UPDATE campo_photo SET collection = 'articulos'",
        "DELETE FROM campo_meta WHERE name = 'schema'",
    ] {
        let dir = tempfile::tempdir().expect("dir");
        let (server, ana) = ana(dir.path()).await;
        let record = article(&ana, "puerta");
        ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
        ana.core.add_photo("articulos", record, &photo(2, 500)).expect("added");
        damage_and_verify(&ana, sql).await;
        ana.sync().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let stored = server.with(|state| state.uploads.stored.len());
        assert_eq!(stored, 4, "{sql}");
        assert_eq!(waiting(&ana), 0, "{sql}");
    }
}

#[tokio::test]
async fn what_was_let_go_of_before_a_crash_goes_with_the_next_round() {
    let dir = tempfile::tempdir().expect("dir");
    let (_, ana) = ana(dir.path()).await;
    let engine = ana.core.engine().expect("signed in");
    let left = hash(b"left");
    let photos = engine.store().photos();
    std::fs::create_dir_all(photos.folder()).expect("a folder");
    std::fs::write(photos.path(&left), b"left").expect("a file");
    let sql = "INSERT INTO campo_photo_released (sha256) VALUES (?1)";
    engine.store().write(|db| Ok(db.execute(sql, [&left])?)).expect("let go of");
    ana.sync().await.expect("a sync");
    assert!(files(dir.path()).is_empty());
}

#[tokio::test]
async fn a_file_that_nothing_explains_stays_for_a_day_of_verified_rows() {
    let dir = tempfile::tempdir().expect("dir");
    let (_, ana) = ana(dir.path()).await;
    let engine = ana.core.engine().expect("signed in");
    let store = engine.store();
    std::fs::create_dir_all(store.photos().folder()).expect("a folder");
    std::fs::write(store.photos().path(&hash(b"left")), b"left").expect("a file");
    let verified = |us: i64| {
        store.write(|db| meta::set(db, meta::name::VERIFIED_US, &us.to_string())).expect("set");
    };
    let hour = 3_600_000_000;
    for (verified_us, is_there) in [(hour, true), (20 * hour, true), (26 * hour, false)] {
        verified(verified_us);
        sweep::orphans(store).expect("looked");
        assert_eq!(files(dir.path()).len(), usize::from(is_there), "at {verified_us}");
    }
}

/// A backup has an older database beside newer photos: the limit of space is no reason to lose them.
#[tokio::test]
async fn photos_that_an_older_database_does_not_know_come_back_with_their_records() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    ana.core.set_photos_unmetered(true).expect("set");
    ana.core.engine().expect("signed in").set_metered(Some(true));
    ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
    ana.sync().await.expect("the record and the thumbnail");
    let engine = ana.core.engine().expect("signed in");
    let sql = "DELETE FROM campo_photo; DELETE FROM articulo_fotos; DELETE FROM campo_mutation;
               DELETE FROM campo_meta WHERE name = 'cursor'";
    engine.store().write(|db| Ok(db.execute_batch(sql)?)).expect("as it was before");
    ana.core.set_photo_space(10).expect("set");
    assert_eq!(files(dir.path()).len(), 2, "nothing is removed that is not understood");
    engine.set_metered(Some(false));
    drop(engine);
    let clock = Arc::clone(&ana.clock);
    drop(ana);
    let ana = Phone::open(&server, dir.path(), 2, clock);
    ana.sync().await.expect("the record comes, and its line");
    ana.sync().await.expect("sent");
    server.with(|state| assert_eq!(state.uploads.stored.len(), 2));
}

#[tokio::test]
async fn a_damaged_line_beside_one_that_shares_its_file_is_mended() {
    for sql in [
        "UPDATE campo_photo SET record = 'x' WHERE record = (SELECT max(record) FROM campo_photo)",
        "DELETE FROM campo_photo WHERE record = (SELECT max(record) FROM campo_photo)",
        "UPDATE campo_photo SET failure = 'x', state = 'x'",
        "UPDATE articulo_fotos SET sha256 = 'f' || substr(sha256, 2)",
    ] {
        let dir = tempfile::tempdir().expect("dir");
        let (server, ana) = ana(dir.path()).await;
        let record = article(&ana, "puerta");
        ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
        ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
        damage_and_verify(&ana, sql).await;
        ana.sync().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(server.with(|state| state.uploads.stored.len()), 4, "{sql}");
        assert_eq!(waiting(&ana), 0, "{sql}");
    }
}

/// Also pictures that the server has: without a line they would outlive their record here.
#[tokio::test]
async fn a_stored_picture_whose_line_was_lost_leaves_with_its_record() {
    for sql in [
        "DELETE FROM campo_photo",
        "UPDATE campo_photo SET sha256 = '§' || sha256",
        "DELETE FROM campo_photo WHERE variant = 'thumbnail'",
    ] {
        let dir = tempfile::tempdir().expect("dir");
        let (_, ana) = ana(dir.path()).await;
        let record = article(&ana, "puerta");
        let made = ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
        for _ in 0..2 {
            ana.sync().await.expect("it is stored, and that is known");
        }
        damage_and_verify(&ana, sql).await;
        assert_eq!((views(&ana).len(), waiting(&ana)), (2, 0), "{sql}");
        ana.core.delete("articulo_fotos", made).expect("deleted");
        ana.sync().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(files(dir.path()).is_empty(), "{sql}");
    }
}

/// A role that no longer shows a collection hides it also from insertions that wait.
#[tokio::test]
async fn a_photo_whose_collection_is_hidden_waits_for_its_insertion() {
    let dir = tempfile::tempdir().expect("dir");
    let (_, ana) = ana(dir.path()).await;
    let record = article(&ana, "puerta");
    ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
    let engine = ana.core.engine().expect("signed in");
    let store = engine.store();
    let look = || {
        store.write(|db| {
            let mut schema = Schema::clone(&*store.schema_in(db)?);
            schema.collections.retain(|_, collection| !collection.photos);
            let wrong = mend::queue(db, &schema, store.photos())?;
            let mut adrift = db.prepare("SELECT adrift FROM campo_photo")?;
            let adrift: Vec<bool> =
                adrift.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok((wrong, adrift))
        })
    };
    assert_eq!(look().expect("looked"), (0, vec![false, false]));
    // Without one nobody knows whose they are.
    let sql = "UPDATE campo_outbox SET state = 'applied'; DELETE FROM campo_mutation";
    store.write(|db| Ok(db.execute_batch(sql)?)).expect("settled");
    assert_eq!(look().expect("looked"), (2, vec![true, true]));
    assert_eq!(look().expect("looked"), (0, vec![true, true]));
}

/// Found by the simulator: nobody looked at insertions of a collection that a role hides, nor at rows whose deletion
/// waits.
#[tokio::test]
async fn lines_of_hidden_collections_and_of_rows_out_of_the_view_are_written_anew() {
    for sql in [
        "DELETE FROM campo_photo",
        "UPDATE campo_photo SET variant = '§' || variant",
        "UPDATE campo_photo SET sha256 = '§' || sha256",
        "UPDATE campo_photo SET record = '§' || record",
    ] {
        for deleted in [false, true] {
            let dir = tempfile::tempdir().expect("dir");
            let (_, ana) = ana(dir.path()).await;
            let record = article(&ana, "puerta");
            let made = ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
            if deleted {
                for _ in 0..2 {
                    ana.sync().await.expect("it is stored, and that is known");
                }
                ana.core.delete("articulo_fotos", made).expect("deleted");
            }
            let engine = ana.core.engine().expect("signed in");
            let store = engine.store();
            let lines = store.write(|db| {
                db.execute_batch(sql)?;
                let mut schema = Schema::clone(&*store.schema_in(db)?);
                schema.collections.retain(|_, collection| deleted || !collection.photos);
                mend::queue(db, &schema, store.photos())?;
                let mut lines = db.prepare(
                    "SELECT collection || ' ' || (record = ?1) || ' ' || variant || ' ' || adrift
                     FROM campo_photo ORDER BY variant",
                )?;
                let lines = lines.query_map([made.to_string()], |row| row.get(0))?;
                Ok(lines.collect::<Result<Vec<String>, _>>()?)
            });
            let whole = ["articulo_fotos 1 photo 0", "articulo_fotos 1 thumbnail 0"];
            assert_eq!(lines.expect("looked"), whole, "{sql}, deleted: {deleted}");
        }
    }
}

#[tokio::test]
async fn photos_of_a_database_that_is_set_aside_stay_with_it_until_they_are_exported() {
    let server = Server::new();
    let dir = tempfile::tempdir().expect("dir");
    let (path, clock) = {
        let ana = Phone::signed_in(&server, dir.path(), 1).await;
        let record = article(&ana, "puerta");
        ana.core.add_photo("articulos", record, &photo(1, 500)).expect("added");
        let path = ana.core.engine().expect("signed in").store().path().to_owned();
        (path, Arc::clone(&ana.clock))
    };
    std::fs::write(&path, b"no database").expect("damaged");
    let registry = Registry::load(dir.path(), &SystemRandom).expect("a registry");
    let person = registry.active.clone().expect("somebody is active");
    aside::set_aside(&registry, dir.path(), &person).expect("renamed").expect("it is damaged");
    // The one that begins anew has photos of its own, and removes none that it does not know.
    let ana = Phone::open(&server, dir.path(), 2, clock);
    ana.login().await;
    ana.sync().await.expect("a sync");
    let record = article(&ana, "ventana");
    ana.core.add_photo("articulos", record, &photo(2, 700)).expect("added");
    ana.sync().await.expect("a sync");
    ana.core.set_photo_space(0).expect("swept");
    assert_eq!(files(dir.path()).len(), 4);
    assert_eq!(ana.core.logout().await.expect_err("not exported").code(), "set_aside_not_exported");
    let to = dir.path().join("rescue.json");
    ana.core.export(&to).expect("exported");
    let copies = dir.path().join("rescue.json.1.db.photos");
    assert_eq!(std::fs::read_dir(copies).expect("a folder").count(), 2);
    ana.core.logout().await.expect("what was exported may go");
    let left: Vec<String> =
        files(dir.path()).into_iter().filter(|name| !name.ends_with(".jpg")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!path.with_extension("photos").exists());
}
