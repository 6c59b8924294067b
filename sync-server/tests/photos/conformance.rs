//! What photos ask of an object store, on each that can be had.

use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use sync_server::photos::objects::{ObjectError, Objects};
use sync_server::photos::{PhotoLocation, PhotoSettings, Photos};

use crate::World;
use crate::company::Company;
use crate::shot::Shot;

async fn conforms(store: Arc<dyn ObjectStore>) {
    objects_conform(Objects::new(store)).await;
}

async fn objects_conform(objects: Objects) {
    let root = format!("conformance/{}", uuid::Uuid::new_v4());
    let path = |name: &str| Path::from(format!("{root}/{name}"));
    let names = async |folder: &str| {
        let listed: Vec<_> = objects.list(&path(folder)).try_collect().await.expect("listed");
        let mut names: Vec<_> = listed.into_iter().map(|o| (o.path.to_string(), o.bytes)).collect();
        names.sort();
        names
    };
    // What is not there.
    assert!(matches!(objects.get(&path("a/1")).await, Err(ObjectError::Missing)));
    assert!(matches!(objects.range(&path("a/1"), 0..1).await, Err(ObjectError::Missing)));
    assert!(matches!(objects.stream(&path("a/1"), 0..1).await, Err(ObjectError::Missing)));
    assert_eq!(objects.length(&path("a/1")).await.expect("asked"), None);
    objects.remove(&path("a/1")).await.expect("removing nothing is no error");
    assert_eq!(names("a").await, []);
    // Making has one winner, and what it made stays.
    let bodies = ["first", "other", "third", "forth"];
    let makes = bodies.map(|body| {
        let (objects, path) = (objects.clone(), path("a/1"));
        async move { objects.create(&path, body.into()).await }
    });
    let made = futures::future::join_all(makes).await;
    let winners: Vec<usize> = (0..4).filter(|n| made[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{made:?}");
    assert!(
        made.iter().flat_map(|made| made.as_ref().err()).all(|e| matches!(e, ObjectError::Exists))
    );
    assert_eq!(objects.get(&path("a/1")).await.expect("there"), bodies[winners[0]]);
    // Putting replaces.
    objects.put(&path("a/1"), "0123456789".into()).await.expect("put");
    assert_eq!(objects.get(&path("a/1")).await.expect("there"), "0123456789");
    assert_eq!(objects.length(&path("a/1")).await.expect("asked"), Some(10));
    assert_eq!(objects.range(&path("a/1"), 2..5).await.expect("there"), "234");
    let part: Vec<_> = objects
        .stream(&path("a/1"), 7..10)
        .await
        .expect("there")
        .try_collect()
        .await
        .expect("read");
    assert_eq!(part.concat(), b"789");
    // A listing shows what was written before, with lengths, and not what only begins alike.
    objects.put(&path("a/2"), "xy".into()).await.expect("put");
    objects.put(&path("ab/3"), "z".into()).await.expect("put");
    assert_eq!(names("a").await, [(format!("{root}/a/1"), 10), (format!("{root}/a/2"), 2)]);
    let listed: Vec<_> = objects.list(&path("a")).try_collect().await.expect("listed");
    let now = sync_server::clock::Clock::now_us(&sync_server::clock::SystemClock);
    assert!(listed.iter().all(|o| (o.written_us - now).abs() < 600_000_000), "{listed:?}");
    objects.remove(&path("a/1")).await.expect("removed");
    objects.remove(&path("a/1")).await.expect("again");
    assert_eq!(names("a").await, [(format!("{root}/a/2"), 2)]);
    objects.create(&path("a/1"), "new".into()).await.expect("what was removed can be made");
    for name in ["a/1", "a/2", "ab/3"] {
        objects.remove(&path(name)).await.expect("removed");
    }
}

#[tokio::test]
async fn a_folder_conforms() {
    let folder = tempfile::tempdir().expect("a folder");
    let local = LocalFileSystem::new_with_prefix(folder.path()).expect("a store");
    conforms(Arc::new(local.with_fsync(true).with_automatic_cleanup(true))).await;
}

#[tokio::test]
async fn memory_conforms() {
    conforms(Arc::new(InMemory::new())).await;
}

/// A store by URL: `CAMPO_TEST_PHOTOS_URL=s3://bucket`, with `AWS_*` for the rest (`docs/photos.md`). `cargo xtask
/// test` starts moto for it; MinIO can be named as well.
fn by_url() -> Option<PhotoSettings> {
    let url = std::env::var("CAMPO_TEST_PHOTOS_URL").ok()?;
    let unique = format!("{}/{}", url.trim_end_matches('/'), uuid::Uuid::new_v4());
    Some(PhotoSettings::at(PhotoLocation::Url(unique)))
}

#[tokio::test]
async fn a_store_by_url_conforms() {
    let Some(settings) = by_url() else { return };
    objects_conform(Photos::open(&settings).expect("a store").objects).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn photos_are_stored_by_url() {
    let Some(settings) = by_url() else { return };
    let world = World::on_sqlite().await.restarted(|config| config.photos = settings).await;
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    shot.begin(&world, &phone.token, "photo").await.ok();
    shot.patch_cut(&world, &phone.token, "photo", (0, 300_001), "").await;
    assert_eq!(shot.offset(&world, &phone.token, "photo").await, 300_001);
    let rest = &shot.photo[300_001..];
    shot.patch(&world, &phone.token, "photo", 300_001, rest, &[]).await.ok();
    shot.send(&world, &phone.token, "thumbnail").await;
    assert_eq!(shot.state(&world, &phone.token).await, "stored");
    assert_eq!(shot.get(&world, &phone.token, "photo", &[]).await.ok().body, shot.photo);
    let part = shot.get(&world, &phone.token, "photo", &[("range", "bytes=100-199")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &shot.photo[100..200]));
}
