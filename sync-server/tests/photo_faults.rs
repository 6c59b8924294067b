//! A server that dies between any two steps of an upload loses nothing that was kept, and stores nothing
//! twice. It has a process to itself, for which the points are armed; run with `--features fault-points`,
//! as `cargo xtask test` does.
#![cfg(feature = "fault-points")]

#[path = "http/company.rs"]
#[allow(dead_code, reason = "the tests of HTTP use all of it")]
mod company;
#[path = "fresh/mod.rs"]
mod fresh;
#[path = "http/samples.rs"]
#[allow(dead_code, reason = "the tests of HTTP use all of it")]
mod samples;
#[path = "photos/shot.rs"]
#[allow(dead_code, reason = "the tests of photos use all of it")]
mod shot;
#[path = "http/world.rs"]
#[allow(dead_code, reason = "the tests of HTTP use all of it")]
mod world;

use company::Company;
use futures::TryStreamExt as _;
use object_store::path::Path;
use shot::{PIECE, Shot};
use sync_protocol::fault::{self, Point};
use sync_server::photos::Photos;
use world::World;

const POINTS: [Point; 6] = [
    Point::PhotoPartKept,
    Point::PhotoChecked,
    Point::PhotoKept,
    Point::ServerBeforeCommit,
    Point::ServerAfterCommit,
    Point::PhotoMarked,
];

/// What whoever comes back asks first.
#[derive(Clone, Copy, Debug)]
enum Back {
    Head,
    Begin,
    Patch,
}

/// Sends a picture to a server that dies on the way, and goes on with one that was started again.
async fn dies_and_goes_on(mut world: World, point: Point, visit: u32, back: Back) -> World {
    let at = format!("{point:?}, visit {visit}, then {back:?}");
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = &phone.token;
    shot.send(&world, token, "thumbnail").await;
    shot.begin(&world, token, "photo").await.ok();
    fault::arm(point, visit, 1);
    let died = shot.patch(&world, token, "photo", 0, &shot.photo, &[]).await;
    let fired = fault::fired();
    fault::disarm();
    // The SQLite store has the points of a commit, the other one not.
    if fired == 0 {
        assert!(matches!(point, Point::ServerBeforeCommit | Point::ServerAfterCommit), "{at}");
        died.ok();
        return world;
    }
    assert_eq!((died.status, died.code().as_str()), (500, "internal"), "{at}");
    world = world.restarted(|_| {}).await;
    let kept = match back {
        Back::Head => shot.offset(&world, token, "photo").await,
        Back::Begin => {
            let begun = shot.begin(&world, token, "photo").await;
            assert_eq!(begun.status, 201, "{at}: {}", begun.text());
            begun.header("upload-offset").parse().expect("an offset")
        }
        Back::Patch => {
            let wrong = shot.patch(&world, token, "photo", 0, &shot.photo[..1], &[]).await;
            assert_eq!(wrong.code(), "upload_offset", "{at}");
            wrong.header("upload-offset").parse().expect("an offset")
        }
    };
    match point {
        Point::PhotoPartKept => {
            let parts = usize::try_from(visit).expect("small") * 256 * 1024;
            assert_eq!(kept, parts.min(shot.photo.len()), "{at}");
        }
        _ => assert_eq!(kept, shot.photo.len(), "{at}"),
    }
    if kept < shot.photo.len() {
        let rest = shot.patch(&world, token, "photo", kept, &shot.photo[kept..], &[]).await;
        assert_eq!(rest.status, 204, "{at}: {}", rest.text());
    }
    assert_eq!(shot.state(&world, token).await, "stored", "{at}");
    assert_eq!(shot.get(&world, token, "photo", &[]).await.ok().body, shot.photo, "{at}");
    // What the record says already is not looked at again: housekeeping takes the parts.
    if !matches!(point, Point::PhotoMarked | Point::ServerAfterCommit) {
        let photos = Photos::open(&world.config.photos).expect("the photos");
        let folder = Path::from(format!("uploads/{}", company.tenant));
        let left: Vec<_> = photos.objects.list(&folder).try_collect().await.expect("listed");
        let left: Vec<_> = left.iter().map(|found| found.path.to_string()).collect();
        assert_eq!(left, [""; 0], "{at}");
    }
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_between_two_steps_loses_and_doubles_nothing() {
    for mut world in [World::on_sqlite().await, World::on_postgres().await] {
        for back in [Back::Head, Back::Begin, Back::Patch] {
            for point in POINTS {
                world = dies_and_goes_on(world, point, 1, back).await;
            }
            world = dies_and_goes_on(world, Point::PhotoPartKept, 2, back).await;
        }
        // A picture in the first request.
        let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
        let shot = Shot::new(&world, &phone).await;
        fault::arm(Point::PhotoChecked, 1, 1);
        let headers = [("content-type", PIECE)];
        let died = shot.begin_with(&world, &phone.token, "photo", &headers, &shot.photo).await;
        assert_eq!((died.status, fault::fired()), (500, 1));
        fault::disarm();
        world = world.restarted(|_| {}).await;
        assert_eq!(shot.offset(&world, &phone.token, "photo").await, shot.photo.len());
        assert_eq!(shot.state(&world, &phone.token).await, "pending", "the thumbnail is not here");
        shot.send(&world, &phone.token, "thumbnail").await;
        assert_eq!(shot.state(&world, &phone.token).await, "stored");
        world.server.shutdown().await;
    }
}
