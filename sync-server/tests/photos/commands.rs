//! `sync-server photo …`, beside the running server.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value as Json, json};
use sync_server::Database;

use crate::World;
use crate::company::Company;
use crate::missing::{folder, object};
use crate::shot::{Shot, picture};

/// The program on the world's data: what it prints.
fn run(world: &World, arguments: &[&str]) -> String {
    let output = start(world, &folder(world), arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn start(world: &World, photos: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sync-server"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CAMPO_")) {
        command.env_remove(name);
    }
    match &world.config.database {
        Database::Postgres(url) => command.env("CAMPO_DATABASE", url),
        Database::Sqlite(folder) => command.env("CAMPO_DATA", folder),
    };
    if arguments.contains(&"check") {
        command.env("CAMPO_PHOTOS", photos);
    }
    command.args(arguments).output().expect("started")
}

fn in_json(world: &World, arguments: &[&str]) -> Json {
    serde_json::from_str(&run(world, &[&["--json"], arguments].concat())).expect("JSON")
}

pub async fn support_sees_what_is_missing_and_asks_for_what_was_lost(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let of = ["--tenant", company.slug.as_str()];
    let missing = || in_json(&world, &[&["photo", "missing"], &of[..]].concat());
    let listed = missing();
    assert_eq!(listed["photos"][0]["id"], shot.id.as_str(), "{listed}");
    assert_eq!(listed["photos"][0]["user_name"], "juan");
    let words = run(&world, &[&["photo", "missing"], &of[..]].concat());
    assert!(words.contains(&shot.id) && words.contains("juan"), "{words}");
    shot.store(&world, &phone.token).await;
    assert_eq!(missing(), json!({ "photos": [] }));
    assert!(
        run(&world, &[&["photo", "missing"], &of[..]].concat()).contains("no photo is missing")
    );

    let check = |more: &[&str]| in_json(&world, &[&["photo", "check"], &of[..], more].concat());
    assert_eq!(check(&["--content"]), json!({ "records": 1, "corrected": [] }));
    std::fs::remove_file(object(&world, &company, &shot, "photo")).expect("removed");
    let corrected = check(&[]);
    assert_eq!(
        corrected["corrected"],
        json!([{ "collection": "avance_fotos", "id": shot.id, "said": "stored", "says": "thumbnail" }])
    );
    assert_eq!(shot.state(&world, &phone.token).await, "thumbnail");
    let words = run(&world, &[&["photo", "check"], &of[..]].concat());
    assert!(words.contains("1 records, 0 of them corrected"), "{words}");
    shot.send(&world, &phone.token, "photo").await;
    assert_eq!(shot.state(&world, &phone.token).await, "stored");
}

pub async fn much_is_not_given_up_unasked(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let (photo, thumbnail) = (picture(30, 1), picture(20, 2));
    let mut shots = Vec::new();
    for _ in 0..22 {
        let shot = Shot::of(&world, &phone, photo.clone(), thumbnail.clone()).await;
        shot.send(&world, &phone.token, "thumbnail").await;
        shot.send(&world, &phone.token, "photo").await;
        shots.push(shot);
    }
    let check = |photos: &Path, yes: &[&str]| {
        let of = ["photo", "check", "--tenant", company.slug.as_str()];
        let output = start(&world, photos, &[&of[..], yes].concat());
        (output.status.success(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let refused = |(done, words): (bool, String), what: &str| {
        assert!(!done && words.contains(what), "{words}");
    };
    // Somewhere else.
    let elsewhere = folder(&world).with_file_name("elsewhere");
    refused(check(&elsewhere, &[]), "there is no folder");
    assert!(!elsewhere.exists(), "it was made");
    std::fs::create_dir(&elsewhere).expect("made");
    refused(check(&elsewhere, &[]), "nothing was changed");
    // Here, and nearly all is gone.
    for shot in &shots[..21] {
        std::fs::remove_file(object(&world, &company, shot, "photo")).expect("removed");
    }
    refused(check(&folder(&world), &[]), "21 of 22");
    assert_eq!(shots[0].state(&world, &phone.token).await, "stored");
    let (done, words) = check(&folder(&world), &["--yes"]);
    assert!(done, "{words}");
    assert_eq!(shots[0].state(&world, &phone.token).await, "thumbnail");
    assert_eq!(shots[21].state(&world, &phone.token).await, "stored");
    // All of it was lost, and somebody says so.
    let (done, words) = check(&elsewhere, &["--yes"]);
    assert!(done, "{words}");
    assert_eq!(shots[21].state(&world, &phone.token).await, "pending");
}
