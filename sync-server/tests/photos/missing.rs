//! What has not come, what was lost, and how it is asked for again.

use std::path::PathBuf;

use serde_json::Value as Json;
use sync_protocol::{EditTime, Fields, StreamId, TenantId, Value};
use sync_server::clock::SystemClock;
use sync_server::photos::compare::{Compared, compare};
use sync_server::photos::{PhotoLocation, Photos};
use sync_server::store::{RowWrite, WriteKind};

use crate::World;
use crate::company::Company;
use crate::shot::{COLLECTION, Shot};

async fn missing(world: &World, token: &str, query: &str) -> Json {
    world.get(&format!("photos/missing{query}"), Some(token)).await.ok().json()
}

pub async fn what_has_not_come_is_listed_with_who_is_to_send_it(world: World) {
    let company = Company::new(&world, &["admin"]).await;
    let phone = company.phone(&world).await;
    let mut shots = Vec::new();
    for _ in 0..5 {
        shots.push(Shot::new(&world, &phone).await);
    }
    shots[0].store(&world, &phone.token).await;
    shots[1].send(&world, &phone.token, "thumbnail").await;
    let listed = missing(&world, &phone.token, "").await;
    assert!(listed.get("next").is_none(), "{listed}");
    let photos = listed["photos"].as_array().expect("photos");
    let ids: Vec<&str> = photos.iter().filter_map(|photo| photo["id"].as_str()).collect();
    let expected: Vec<&str> = shots[1..].iter().map(|shot| shot.id.as_str()).collect();
    assert_eq!(ids, expected);
    let first = &photos[0];
    assert_eq!((&first["state"], &photos[1]["state"]), (&"thumbnail".into(), &"pending".into()));
    assert_eq!(first["collection"], COLLECTION);
    assert_eq!(first["parent"]["collection"], "avances");
    assert_eq!(first["parent"]["id"], shots[1].report.as_str());
    assert_eq!(first["user"], company.user.to_string());
    assert_eq!(first["user_name"], "juan", "{first}");
    assert!(first["since_us"].as_i64().is_some_and(|us| us > 0), "{first}");
    let mut paged = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let page = missing(&world, &phone.token, &query).await;
        paged.extend(page["photos"].as_array().expect("photos").clone());
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=3&after={next}");
    }
    assert_eq!(&paged, photos);
    for query in ["?limit=0", "?limit=501", "?after=x", "?before=x"] {
        let answer = world.get(&format!("photos/missing{query}"), Some(&phone.token)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_parameter"), "{query}");
    }
    let other = Company::new(&world, &["admin"]).await.phone(&world).await;
    assert_eq!(missing(&world, &other.token, "").await["photos"], serde_json::json!([]));
}

pub fn folder(world: &World) -> PathBuf {
    match &world.config.photos.location {
        PhotoLocation::Folder(folder) => folder.clone(),
        other => panic!("{other:?}"),
    }
}

pub fn object(world: &World, company: &Company, shot: &Shot, variant: &str) -> PathBuf {
    let names = ["photos", &company.tenant.to_string(), COLLECTION, &shot.id, variant];
    names.iter().fold(folder(world), |path, name| path.join(name))
}

async fn checked(world: &World, tenant: TenantId, content: bool) -> Compared {
    let photos = Photos::open(&world.config.photos).expect("the photos");
    let store = world.store.shared();
    compare(&photos, &*store, &SystemClock, tenant, content).await.expect("compared")
}

fn told(compared: &Compared) -> Vec<(String, &str, &str)> {
    let one = |c: &sync_server::photos::compare::Correction| {
        (c.id.to_string(), c.said.as_str(), c.says.as_str())
    };
    compared.corrected.iter().map(one).collect()
}

pub async fn what_was_lost_is_asked_for_again(world: World) {
    let company = Company::new(&world, &["admin"]).await;
    let phone = company.phone(&world).await;
    let token = &phone.token;
    let mut shots = Vec::new();
    for _ in 0..5 {
        let shot = Shot::new(&world, &phone).await;
        shot.store(&world, token).await;
        shots.push(shot);
    }
    let whole = checked(&world, company.tenant, true).await;
    assert_eq!((whole.records, whole.corrected.len()), (5, 0), "{whole:?}");
    let [photo_gone, small_gone, short, spoiled, _] = shots.as_slice() else { panic!() };
    let path = |shot, variant| object(&world, &company, shot, variant);
    std::fs::remove_file(path(photo_gone, "photo")).expect("removed");
    std::fs::remove_file(path(small_gone, "thumbnail")).expect("removed");
    std::fs::write(path(short, "photo"), &short.photo[..1_000]).expect("written");
    let mut other = spoiled.photo.clone();
    other[1_000] ^= 1;
    std::fs::write(path(spoiled, "photo"), other).expect("written");

    let lost = photo_gone.get(&world, token, "photo", &[]).await;
    assert_eq!(lost.code(), "photo_not_stored");
    assert_eq!(photo_gone.state(&world, token).await, "thumbnail", "who reads it asks for it");
    let quick = checked(&world, company.tenant, false).await;
    assert_eq!(
        told(&quick),
        [(small_gone.id.clone(), "stored", "pending"), (short.id.clone(), "stored", "thumbnail"),]
    );
    let thorough = checked(&world, company.tenant, true).await;
    assert_eq!(told(&thorough), [(spoiled.id.clone(), "stored", "thumbnail")]);
    assert_eq!(checked(&world, company.tenant, true).await.corrected, []);
    // Every device sees it with its next pull; whoever has the file sends it.
    for shot in &shots[..4] {
        assert_ne!(shot.state(&world, token).await, "stored");
        for variant in ["thumbnail", "photo"] {
            shot.send(&world, token, variant).await;
        }
        assert_eq!(shot.state(&world, token).await, "stored");
        assert_eq!(shot.get(&world, token, "photo", &[]).await.ok().body, shot.photo);
    }
    assert_eq!(checked(&world, company.tenant, true).await.corrected, []);
}

/// Other bytes of the same length, under a picture's final name.
fn rot(world: &World, company: &Company, shot: &Shot, variant: &str) -> PathBuf {
    let path = object(world, company, shot, variant);
    let mut other = shot.bytes(variant).to_vec();
    other[100] ^= 1;
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(&path, other).expect("written");
    path
}

pub async fn what_rotted_is_not_taken_for_the_photo(world: World) {
    let company = Company::new(&world, &["admin"]).await;
    let phone = company.phone(&world).await;
    let token = &phone.token;
    // A check that found it was killed after it had set the record back: every question of a phone.
    for back in ["HEAD", "POST", "other", "check"] {
        let shot = Shot::new(&world, &phone).await;
        shot.send(&world, token, if back == "other" { "photo" } else { "thumbnail" }).await;
        let variant = "photo";
        let rotten = rot(&world, &company, &shot, variant);
        match back {
            "HEAD" => assert_eq!(shot.head(&world, token, variant).await.status, 404),
            "POST" => {
                let begun = shot.begin(&world, token, variant).await;
                assert_eq!((begun.status, begun.header("upload-offset")), (201, "0"));
            }
            "check" => {
                let found = checked(&world, company.tenant, false).await;
                assert_eq!(found.corrected, []);
            }
            // The thumbnail comes, and what the picture's name holds is not believed.
            _ => shot.send(&world, token, "thumbnail").await,
        }
        assert_eq!(shot.state(&world, token).await, "thumbnail", "{back}");
        assert!(back == "other" || !rotten.exists(), "{back}: it stayed");
        shot.send(&world, token, variant).await;
        assert_eq!(shot.state(&world, token).await, "stored", "{back}");
        assert_eq!(shot.get(&world, token, variant, &[]).await.ok().body, shot.photo);
    }
}

pub async fn a_spoiled_photo_goes_before_its_record(world: World) {
    let company = Company::new(&world, &["admin"]).await;
    let phone = company.phone(&world).await;
    let token = &phone.token;
    let shot = Shot::new(&world, &phone).await;
    shot.store(&world, token).await;
    let rotten = rot(&world, &company, &shot, "photo");
    // The check is killed while it waits for the record.
    let store = world.store.shared();
    let collection = store.schema().collection(COLLECTION).expect("known").clone();
    let mut held = store.write(company.tenant, StreamId::SQL).await.expect("begun");
    let id = shot.id.parse().expect("an id");
    held.lock_rows(&collection, &[id]).await.expect("locked");
    let check = checked(&world, company.tenant, true);
    let patience = std::time::Duration::from_secs(3);
    assert!(tokio::time::timeout(patience, check).await.is_err(), "it did not wait");
    drop(held);
    assert!(!rotten.exists(), "the spoiled photo outlived the check");
    assert_eq!(shot.state(&world, token).await, "stored");
    let next = checked(&world, company.tenant, false).await;
    assert_eq!(told(&next), [(shot.id.clone(), "stored", "thumbnail")]);
    shot.send(&world, token, "photo").await;
    assert_eq!(shot.state(&world, token).await, "stored");
}

pub async fn what_an_older_database_does_not_know_is_found(world: World) {
    let company = Company::new(&world, &["admin"]).await;
    let phone = company.phone(&world).await;
    let token = &phone.token;
    let (shot, rotten) = (Shot::new(&world, &phone).await, Shot::new(&world, &phone).await);
    let store = world.store.shared();
    let collection = store.schema().collection(COLLECTION).expect("known").clone();
    for shot in [&shot, &rotten] {
        shot.store(&world, token).await;
        let write = RowWrite {
            record: shot.id.parse().expect("an id"),
            kind: WriteKind::Update,
            set: Fields::from_iter([("estado".to_owned(), Value::Text("pending".to_owned()))]),
            touched: Vec::new(),
            time: EditTime::certain(sync_server::clock::Clock::now_us(&SystemClock)),
        };
        let mut tx = store.write(company.tenant, StreamId::SQL).await.expect("begun");
        tx.write_rows(&collection, &[write]).await.expect("written");
        tx.commit().await.expect("committed");
    }
    rot(&world, &company, &rotten, "photo");
    let found = checked(&world, company.tenant, false).await;
    assert_eq!(
        told(&found),
        [(shot.id.clone(), "pending", "stored"), (rotten.id.clone(), "pending", "thumbnail")]
    );
    assert_eq!(shot.get(&world, token, "photo", &[]).await.ok().body, shot.photo);
    assert_eq!(rotten.get(&world, token, "photo", &[]).await.code(), "photo_not_stored");
}

pub async fn a_wrong_place_is_no_loss(mut world: World) {
    let company = Company::new(&world, &["admin"]).await;
    let phone = company.phone(&world).await;
    let token = &phone.token;
    let shot = Shot::new(&world, &phone).await;
    shot.store(&world, token).await;
    assert!(folder(&world).join("campo.json").exists(), "the place is marked");
    let right = world.config.photos.location.clone();
    let wrong = folder(&world).with_file_name("empty");
    world = world.restarted(|c| c.photos.location = PhotoLocation::Folder(wrong.clone())).await;
    let lost = shot.get(&world, token, "photo", &[]).await;
    assert_eq!((lost.status, lost.code().as_str()), (404, "photo_not_stored"));
    let next = Shot::new(&world, &phone).await;
    next.begin(&world, token, "photo").await.ok();
    assert!(!wrong.join("campo.json").exists(), "the wrong place is not marked");
    assert_eq!(shot.state(&world, token).await, "stored", "nothing is concluded");
    world = world.restarted(|c| c.photos.location = right).await;
    assert_eq!(shot.get(&world, token, "photo", &[]).await.ok().body, shot.photo);
}
