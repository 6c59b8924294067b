//! What housekeeping removes, and what it leaves.

use sync_server::photos::tidy::{deleted, leftovers, uploads};
use sync_server::photos::{PhotoKey, Photos, Variant};
use sync_server::store::Retention;
use tokio_util::sync::CancellationToken;

use crate::World;
use crate::company::{Company, id};
use crate::shot::{COLLECTION, Shot};

const DAY_S: i64 = 24 * 3600;

pub async fn an_upload_that_nobody_touches_is_given_up(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = phone.token.clone();
    shot.begin(&world, &token, "photo").await.ok();
    shot.patch(&world, &token, "photo", 0, &shot.photo[..1_000], &[]).await.ok();
    let photos = Photos::open(&world.config.photos).expect("the photos");
    let going = CancellationToken::new();
    let now = || sync_server::clock::Clock::now_us(&*world.clock);
    let tidied = uploads(&photos.objects, now() + 6 * DAY_S * 1_000_000, &going).await;
    assert_eq!(tidied.expect("tidied"), 0);
    assert_eq!(shot.offset(&world, &token, "photo").await, 1_000);
    world.clock.push(7 * DAY_S + 60);
    let token = company.phone(&world).await.token;
    assert_eq!(shot.head(&world, &token, "photo").await.status, 404, "before housekeeping comes");
    let late = shot.patch(&world, &token, "photo", 1_000, &shot.photo[1_000..], &[]).await;
    assert_eq!(late.code(), "unknown_upload");
    assert_eq!(uploads(&photos.objects, now(), &going).await.expect("tidied"), 1);
    assert_eq!(uploads(&photos.objects, now(), &going).await.expect("tidied"), 0);
}

pub async fn photos_of_records_that_are_long_deleted_go_and_no_others(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let (kept, gone) = (Shot::new(&world, &phone).await, Shot::new(&world, &phone).await);
    for shot in [&kept, &gone] {
        shot.store(&world, &phone.token).await;
    }
    let delete = serde_json::json!([{ "collection": COLLECTION, "record": gone.id,
                                      "kind": "delete", "row_base": 3 }]);
    phone.apply(&world, delete).await;
    let photos = Photos::open(&world.config.photos).expect("the photos");
    let key = |id: &str| PhotoKey {
        tenant: company.tenant,
        collection: COLLECTION.to_owned(),
        record: id.parse().expect("an id"),
        variant: Variant::Photo,
    };
    // An object whose record an older database does not know.
    let orphan = id();
    let path = format!("photos/{}/{COLLECTION}/{orphan}/photo", company.tenant);
    photos.objects.put(&path.as_str().into(), "x".into()).await.expect("put");
    let store = world.store.shared();
    let going = CancellationToken::new();
    deleted(&photos.objects, &*store, &going).await.expect("tidied");
    let length = async |id: &str| photos.objects.photo_length(&key(id)).await.expect("asked");
    assert!(length(&gone.id).await.is_some(), "it can still be restored");
    let retention = Retention {
        tombstones_before_us: i64::MAX / 2,
        ..Retention::at(sync_server::clock::Clock::now_us(&*world.clock))
    };
    while store.tidy(retention).await.expect("tidied").more {}
    deleted(&photos.objects, &*store, &going).await.expect("tidied");
    assert_eq!(length(&gone.id).await, None);
    assert_eq!(length(&kept.id).await, Some(kept.photo.len() as u64));
    assert_eq!(length(&orphan).await, Some(1));
}

#[test]
fn what_a_killed_server_was_writing_goes_after_a_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (old, other) = ("uploads/t/fotos/r/photo/0000000000#1", "elsewhere/0000000000#1");
    let kept = ["photos/t/fotos/r/photo", "photos/t/fotos/r/photo#x", "campo.json", other];
    for name in kept.iter().chain([&old, &"photos/t/fotos/r/thumbnail#12"]) {
        std::fs::create_dir_all(path(name).parent().expect("a folder")).expect("made");
        std::fs::write(path(name), "x").expect("written");
    }
    let going = CancellationToken::new();
    let now = std::time::SystemTime::now();
    let after = |hours: u64| now + std::time::Duration::from_secs(3600 * hours);
    assert_eq!(leftovers(folder.path(), after(23), &going).expect("tidied"), 0);
    assert_eq!(leftovers(folder.path(), after(25), &going).expect("tidied"), 2);
    assert!(!path(old).exists());
    assert!(kept.iter().all(|name| path(name).exists()));
    assert_eq!(leftovers(&path("none"), after(25), &going).expect("nothing"), 0);
}
