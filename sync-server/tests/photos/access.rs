//! Who may send and see what: whoever sees the record, now.

use reqwest::Method;
use serde_json::json;
use sync_protocol::Scope;

use crate::World;
use crate::company::{Company, id, insert, person, transaction};
use crate::shot::{COLLECTION, PIECE, Shot, fields, metadata, picture, tus};

/// What every request about this photo answers to somebody: statuses and, where there is a body, codes.
async fn tried(world: &World, shot: &Shot, token: &str) -> Vec<(u16, String)> {
    let path = shot.path("photo");
    let answers = [
        shot.begin(world, token, "photo").await,
        shot.begin_with(world, token, "photo", &[("content-type", PIECE)], &shot.photo).await,
        shot.head(world, token, "photo").await,
        shot.patch(world, token, "photo", 0, &shot.photo, &[]).await,
        tus(world, Method::DELETE, &path, token, &[], vec![]).await,
        shot.get(world, token, "photo", &[]).await,
        shot.get(world, token, "thumbnail", &[]).await,
        shot.get(world, token, "photo", &[("range", "bytes=0-0")]).await,
        shot.get(world, token, "photo", &[("if-none-match", "*")]).await,
    ];
    answers.iter().map(|answer| (answer.status, answer.text())).collect()
}

fn all_unknown(answers: &[(u16, String)], whose: &str) {
    for (n, (status, text)) in answers.iter().enumerate() {
        assert_eq!(*status, 404, "{whose}, request {n}: {text}");
        assert!(text.is_empty() || text.contains("\"unknown_photo\""), "{whose}, {n}: {text}");
    }
}

pub async fn only_who_sees_the_record_has_to_do_with_its_photo(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let other = Company::new(&world, &["admin"]).await.phone(&world).await;
    person(&world, company.tenant, "eva", &["foreman"]).await;
    let eva = company.phone_of(&world, "eva").await;
    let ivan = person(&world, company.tenant, "ivan", &["installer"]).await;
    let scope = Scope::entity("project", shot.project.parse().expect("an id"));
    let store = world.store.shared();
    store.grant(company.tenant, ivan, &scope).await.expect("granted");
    let ivan = company.phone_of(&world, "ivan").await;
    let not_there = Shot { id: id(), ..Shot::new(&world, &phone).await };
    for stored in [false, true] {
        if stored {
            shot.store(&world, &phone.token).await;
        }
        let missing = tried(&world, &not_there, &phone.token).await;
        all_unknown(&missing, "a record that is not there");
        for (whose, token) in [
            ("another company", &other.token),
            ("without the scope", &eva.token),
            ("without the permission", &ivan.token),
        ] {
            let answers = tried(&world, &shot, token).await;
            all_unknown(&answers, whose);
            assert_eq!(answers, missing, "{whose}: what is hidden looks like what is not there");
        }
    }
    assert_eq!(shot.get(&world, &phone.token, "photo", &[]).await.ok().body, shot.photo);
}

pub async fn who_may_only_read_sends_nothing(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let keeper = person(&world, company.tenant, "luis", &["warehouse_keeper"]).await;
    let scope = Scope::entity("project", shot.project.parse().expect("an id"));
    world.store.shared().grant(company.tenant, keeper, &scope).await.expect("granted");
    let keeper = company.phone_of(&world, "luis").await;
    let refused = shot.begin(&world, &keeper.token, "photo").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    assert!(refused.text().contains("project:write"), "{}", refused.text());
    shot.store(&world, &phone.token).await;
    assert_eq!(shot.get(&world, &keeper.token, "photo", &[]).await.ok().body, shot.photo);
}

pub async fn an_upload_does_not_outlive_its_grant(world: World) {
    let company = Company::new(&world, &["admin"]).await;
    let phone = company.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let eva = person(&world, company.tenant, "eva", &["foreman"]).await;
    let scope = Scope::entity("project", shot.project.parse().expect("an id"));
    let store = world.store.shared();
    store.grant(company.tenant, eva, &scope).await.expect("granted");
    let token = company.phone_of(&world, "eva").await.token;
    shot.begin(&world, &token, "photo").await.ok();
    let half = shot.photo.len() / 2;
    shot.patch(&world, &token, "photo", 0, &shot.photo[..half], &[]).await.ok();
    store.revoke(company.tenant, eva, &scope).await.expect("revoked");
    let rest = shot.patch(&world, &token, "photo", half, &shot.photo[half..], &[]).await;
    assert_eq!((rest.status, rest.code().as_str()), (404, "unknown_photo"));
    assert_eq!(shot.head(&world, &token, "photo").await.status, 404);
    assert_eq!(shot.state(&world, &phone.token).await, "pending");
    // Taken away while the last piece is on its way: it is not stored either.
    store.grant(company.tenant, eva, &scope).await.expect("granted");
    assert_eq!(shot.offset(&world, &token, "photo").await, half, "nothing more was kept");
    let (pieces, body) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    let body = futures::stream::unfold(body, async |mut body| Some((body.recv().await?, body)));
    let request = world
        .client
        .patch(world.url(&shot.path("photo")))
        .bearer_auth(&token)
        .header("tus-resumable", "1.0.0")
        .header("content-type", PIECE)
        .header("upload-offset", half)
        .body(reqwest::Body::wrap_stream(Box::pin(body)));
    let revoke = async {
        pieces.send(Ok(shot.photo[half..half + 1].to_vec())).await.expect("sent");
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        store.revoke(company.tenant, eva, &scope).await.expect("revoked");
        pieces.send(Ok(shot.photo[half + 1..].to_vec())).await.expect("sent");
        drop(pieces);
    };
    let (answer, ()) = tokio::join!(world.send(request), revoke);
    assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_photo"));
    assert_eq!(shot.state(&world, &phone.token).await, "pending");
    let nothing = shot.get(&world, &phone.token, "photo", &[]).await;
    assert_eq!(nothing.code(), "photo_not_stored");
}

pub async fn a_colleague_spoils_nobodys_upload(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let eva = person(&world, company.tenant, "eva", &["foreman"]).await;
    let scope = Scope::entity("project", shot.project.parse().expect("an id"));
    world.store.shared().grant(company.tenant, eva, &scope).await.expect("granted");
    let eva = company.phone_of(&world, "eva").await.token;
    let half = shot.photo.len() / 2;
    shot.begin(&world, &phone.token, "photo").await.ok();
    shot.patch(&world, &phone.token, "photo", 0, &shot.photo[..half], &[]).await.ok();
    // She does not see how far it is, gives up what is not hers, and sends something else.
    assert_eq!(shot.head(&world, &eva, "photo").await.status, 404);
    let path = shot.path("photo");
    let given_up = tus(&world, Method::DELETE, &path, &eva, &[], vec![]).await;
    assert_eq!((given_up.status, given_up.code().as_str()), (404, "unknown_upload"));
    let begun = shot.begin(&world, &eva, "photo").await.ok();
    assert_eq!(begun.header("upload-offset"), "0");
    let other = vec![7; shot.photo.len()];
    let sent = shot.patch(&world, &eva, "photo", 0, &other, &[]).await;
    assert_eq!((sent.status, sent.code().as_str()), (422, "photo_mismatch"));
    assert_eq!(shot.offset(&world, &phone.token, "photo").await, half);
    // What she has sent of the right one is not needed any more when his is whole.
    shot.patch(&world, &eva, "photo", 0, &shot.photo[..1_000], &[]).await.ok();
    shot.patch(&world, &phone.token, "photo", half, &shot.photo[half..], &[]).await.ok();
    assert_eq!(shot.offset(&world, &eva, "photo").await, shot.photo.len());
    let rest = shot.patch(&world, &eva, "photo", 1_000, &shot.photo[1_000..], &[]).await;
    assert_eq!(
        (rest.status, rest.header("upload-offset")),
        (409, shot.photo.len().to_string().as_str())
    );
    shot.send(&world, &eva, "thumbnail").await;
    assert_eq!(shot.get(&world, &phone.token, "photo", &[]).await.ok().body, shot.photo);
}

pub async fn a_known_hash_gives_nobody_bytes(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    shot.store(&world, &phone.token).await;
    person(&world, company.tenant, "eva", &["foreman"]).await;
    let eva = company.phone_of(&world, "eva").await;
    // Her own record, with the hashes of a photo that she must not see.
    let hers = Shot::of(&world, &eva, shot.photo.clone(), shot.thumbnail.clone()).await;
    let began = hers.begin(&world, &eva.token, "photo").await;
    assert_eq!(began.header("upload-offset"), "0", "she has to send it herself");
    let nothing = hers.get(&world, &eva.token, "photo", &[]).await;
    assert_eq!(nothing.code(), "photo_not_stored");
}

pub async fn a_record_cannot_be_pointed_at_another_photo(world: World) {
    let company = Company::new(&world, &["foreman"]).await;
    let phone = company.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let other = Shot::of(&world, &phone, picture(60, 3), picture(50, 4)).await;
    other.store(&world, &phone.token).await;
    let described = fields(&other.report, &other.photo, &other.thumbnail);
    for field in ["sha256", "bytes", "miniatura_sha256", "miniatura_bytes"] {
        let edit = json!([{ "collection": COLLECTION, "record": shot.id, "kind": "update",
            "set": { field: described[field] }, "base": { field: 1 } }]);
        let code = phone.codes(&world, &[transaction(edit)]).await.remove(0);
        assert_ne!(code, "applied", "{field} was changed");
    }
    let state = json!([{ "collection": COLLECTION, "record": shot.id, "kind": "update",
        "set": { "estado": "stored" }, "base": { "estado": 1 } }]);
    let code = phone.codes(&world, &[transaction(state)]).await.remove(0);
    assert_ne!(code, "applied", "a device said that it is stored");
    // Nor may it be born stored.
    let mut born = fields(&shot.report, &shot.photo, &shot.thumbnail);
    born["estado"] = json!("stored");
    let edit = transaction(json!([insert(COLLECTION, &id(), born)]));
    assert_ne!(phone.codes(&world, &[edit]).await, ["applied"]);
    assert_eq!(shot.get(&world, &phone.token, "photo", &[]).await.code(), "photo_not_stored");
}

pub async fn a_deleted_record_has_no_photo(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    shot.store(&world, &phone.token).await;
    let half = Shot::of(&world, &phone, picture(60, 3), picture(50, 4)).await;
    half.begin(&world, &phone.token, "photo").await.ok();
    for (photo, version) in [(&shot, 3), (&half, 1)] {
        let delete = json!([{ "collection": COLLECTION, "record": photo.id, "kind": "delete",
                              "row_base": version }]);
        phone.apply(&world, delete).await;
        all_unknown(&tried(&world, photo, &phone.token).await, "a deleted record");
    }
    let restore = json!([{ "collection": COLLECTION, "record": shot.id, "kind": "restore" }]);
    phone.apply(&world, restore).await;
    assert_eq!(shot.get(&world, &phone.token, "photo", &[]).await.ok().body, shot.photo);
}

pub async fn what_is_no_photo_collection_has_no_photos(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    for (collection, id) in
        [("avances", &shot.report), ("nothing", &shot.id), ("../fotos", &shot.id)]
    {
        let named = metadata(collection, id, "photo");
        let headers = [("upload-metadata", named.as_str())];
        let begun = shot.begin_with(&world, &phone.token, "photo", &headers, b"").await;
        assert_eq!(begun.code(), "unknown_photo");
        let collection = collection.replace('/', "%2F");
        let path = format!("photos/{collection}/{id}");
        assert_eq!(world.get(&path, Some(&phone.token)).await.code(), "unknown_photo");
    }
}

pub async fn what_has_photos_is_deleted_after_them(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let (_, report, item) = crate::company::report(&world, &phone).await;
    let photo = id();
    let set = fields(&report, &picture(60, 3), &picture(50, 4));
    phone.apply(&world, json!([insert(COLLECTION, &photo, set)])).await;
    let delete = |collection: &str, id: &str| json!({ "collection": collection, "record": id, "kind": "delete", "row_base": 1 });
    let refused = |receipts: Vec<serde_json::Value>, children: &[&str]| {
        let problem = &receipts[0]["problem"];
        assert_eq!(problem["code"], "has_children", "{receipts:?}");
        assert_eq!(problem["more"]["collections"], json!(children));
        let words = problem["detail"].as_str().expect("words");
        assert!(children.iter().all(|name| words.contains(name)), "{words}");
    };
    let alone = json!([delete("avances", &report)]);
    let receipts = phone.push(&world, &[transaction(alone)]).await;
    refused(receipts, &["avance_fotos", "avance_items"]);
    let with_photo = json!([delete(COLLECTION, &photo), delete("avances", &report)]);
    refused(phone.push(&world, &[transaction(with_photo)]).await, &["avance_items"]);
    phone
        .apply(
            &world,
            json!([
                delete(COLLECTION, &photo),
                delete("avance_items", &item),
                delete("avances", &report)
            ]),
        )
        .await;
}
