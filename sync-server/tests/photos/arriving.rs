//! How the bytes of a photo come.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::World;
use crate::company::Company;
use crate::shot::{PIECE, Shot, tus};

pub async fn a_photo_comes_and_others_see_it(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = &phone.token;
    assert_eq!(shot.head(&world, token, "photo").await.status, 404, "never begun");
    let begun = shot.begin(&world, token, "thumbnail").await;
    assert_eq!((begun.status, begun.header("upload-offset")), (201, "0"), "{}", begun.text());
    assert_eq!(begun.header("location"), format!("/mobile/api/v1/{}", shot.path("thumbnail")));
    assert!(begun.header("upload-expires").ends_with(" GMT"), "{:?}", begun.headers);
    assert_eq!(begun.header("tus-resumable"), "1.0.0");

    let sent = shot.patch(&world, token, "thumbnail", 0, &shot.thumbnail, &[]).await;
    assert_eq!(sent.status, 204, "{}", sent.text());
    assert_eq!(sent.header("upload-offset"), shot.thumbnail.len().to_string());
    assert_eq!(shot.state(&world, token).await, "thumbnail");
    assert_eq!(shot.get(&world, token, "thumbnail", &[]).await.ok().body, shot.thumbnail);
    let not_yet = shot.get(&world, token, "photo", &[]).await;
    assert_eq!((not_yet.status, not_yet.code().as_str()), (404, "photo_not_stored"));

    shot.begin(&world, token, "photo").await.ok();
    let half = shot.photo.len() / 2 + 1;
    let sent = shot.patch(&world, token, "photo", 0, &shot.photo[..half], &[]).await;
    assert_eq!((sent.status, sent.header("upload-offset")), (204, half.to_string().as_str()));
    let head = shot.head(&world, token, "photo").await;
    assert_eq!(head.header("upload-offset"), half.to_string());
    assert_eq!(head.header("upload-length"), shot.photo.len().to_string());
    assert_eq!(head.header("cache-control"), "no-store");
    assert!(head.header("upload-expires").ends_with(" GMT"), "{:?}", head.headers);
    assert_eq!(shot.state(&world, token).await, "thumbnail");
    let sent = shot.patch(&world, token, "photo", half, &shot.photo[half..], &[]).await;
    assert_eq!(sent.status, 204, "{}", sent.text());
    assert_eq!(shot.state(&world, token).await, "stored");
    assert_eq!(shot.get(&world, token, "photo", &[]).await.ok().body, shot.photo);

    assert_eq!(shot.offset(&world, token, "photo").await, shot.photo.len());
    let again = shot.begin(&world, token, "photo").await;
    assert_eq!(
        (again.status, again.header("upload-offset")),
        (201, shot.photo.len().to_string().as_str())
    );
    let again = shot.patch(&world, token, "photo", shot.photo.len(), b"", &[]).await;
    assert_eq!(again.status, 204, "{}", again.text());
}

pub async fn a_picture_in_the_first_request_is_stored_at_once(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    // The picture before its thumbnail: nobody sees it until both are here.
    shot.send(&world, &phone.token, "photo").await;
    assert_eq!(shot.state(&world, &phone.token).await, "pending");
    assert_eq!(shot.offset(&world, &phone.token, "photo").await, shot.photo.len());
    shot.send(&world, &phone.token, "thumbnail").await;
    assert_eq!(shot.state(&world, &phone.token).await, "stored");
    assert_eq!(shot.get(&world, &phone.token, "photo", &[]).await.ok().body, shot.photo);
}

pub async fn who_begins_again_goes_on(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = &phone.token;
    shot.begin(&world, token, "photo").await.ok();
    shot.patch(&world, token, "photo", 0, &shot.photo[..1_000], &[]).await.ok();
    let again = shot.begin(&world, token, "photo").await;
    assert_eq!((again.status, again.header("upload-offset")), (201, "1000"));
    // A whole picture that comes for one that is half here.
    shot.send(&world, token, "photo").await;
    shot.send(&world, token, "thumbnail").await;
    assert_eq!(shot.get(&world, token, "photo", &[]).await.ok().body, shot.photo);
}

pub async fn a_wrong_offset_is_told_the_right_one(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = &phone.token;
    let none = shot.patch(&world, token, "photo", 0, b"x", &[]).await;
    assert_eq!((none.status, none.code().as_str()), (404, "unknown_upload"));
    shot.begin(&world, token, "photo").await.ok();
    shot.patch(&world, token, "photo", 0, &shot.photo[..1_000], &[]).await.ok();
    for offset in [0, 999, 1_001, shot.photo.len()] {
        let wrong = shot.patch(&world, token, "photo", offset, b"x", &[]).await;
        assert_eq!((wrong.status, wrong.code().as_str()), (409, "upload_offset"), "{offset}");
        assert_eq!(wrong.header("upload-offset"), "1000");
    }
}

pub async fn two_who_send_at_one_offset_do_not_both_win(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = &phone.token;
    for round in 0..4 {
        shot.begin(&world, token, "photo").await.ok();
        let from = shot.offset(&world, token, "photo").await;
        let part = &shot.photo[from..from + 10_000 + round];
        let send = || shot.patch(&world, token, "photo", from, part, &[]);
        let (a, b, c) = tokio::join!(send(), send(), send());
        let mut statuses = [a.status, b.status, c.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409, 409], "{} {} {}", a.text(), b.text(), c.text());
        assert_eq!(shot.offset(&world, token, "photo").await, from + part.len());
    }
    // Whole pictures at once, with the rest of one that is half here: it is stored, and right.
    let all = || shot.begin_with(&world, token, "photo", &[("content-type", PIECE)], &shot.photo);
    tokio::join!(all(), all(), all());
    shot.send(&world, token, "photo").await;
    shot.send(&world, token, "thumbnail").await;
    assert_eq!(shot.get(&world, token, "photo", &[]).await.ok().body, shot.photo);
}

pub async fn a_cut_leaves_what_it_brought(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = &phone.token;
    shot.begin(&world, token, "photo").await.ok();
    let mut at = 0;
    for bytes in [1, 7, 4_097, 65_537, 262_143, 300_001] {
        let bytes = bytes.min(shot.photo.len() - at - 1);
        shot.patch_cut(&world, token, "photo", (at, bytes), "").await;
        at += bytes;
        assert_eq!(shot.offset(&world, token, "photo").await, at, "after {bytes} bytes more");
    }
    shot.patch(&world, token, "photo", at, &shot.photo[at..], &[]).await.ok();
    shot.send(&world, token, "thumbnail").await;
    assert_eq!(shot.get(&world, token, "photo", &[]).await.ok().body, shot.photo);
}

pub async fn a_piece_with_a_checksum_is_kept_whole_or_not_at_all(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = &phone.token;
    shot.begin(&world, token, "photo").await.ok();
    let piece = &shot.photo[..300_000];
    let sha1 = format!("sha1 {}", STANDARD.encode(Sha1::digest(piece)));
    let wrong =
        shot.patch(&world, token, "photo", 0, &piece[1..], &[("upload-checksum", &sha1)]).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (460, "upload_checksum"));
    assert_eq!(shot.offset(&world, token, "photo").await, 0);
    shot.patch_cut(&world, token, "photo", (0, 299_000), &format!("upload-checksum: {sha1}\r\n"))
        .await;
    assert_eq!(shot.offset(&world, token, "photo").await, 0, "of a cut piece nothing is kept");
    shot.patch(&world, token, "photo", 0, piece, &[("upload-checksum", &sha1)]).await.ok();
    let rest = &shot.photo[300_000..];
    let sha256 = format!("sha256 {}", STANDARD.encode(Sha256::digest(rest)));
    shot.patch(&world, token, "photo", 300_000, rest, &[("upload-checksum", &sha256)]).await.ok();
    assert_eq!(shot.offset(&world, token, "photo").await, shot.photo.len());
}

pub async fn more_than_was_announced_is_refused(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = &phone.token;
    let wrong = shot.begin_with(&world, token, "photo", &[("upload-length", "1")], b"").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (422, "photo_mismatch"));
    shot.begin(&world, token, "thumbnail").await.ok();
    let mut long = shot.thumbnail.clone();
    long.push(0);
    let refused = shot.patch(&world, token, "thumbnail", 0, &long, &[]).await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "upload_too_long"));
    // Nobody announces how much a stream brings.
    let stream = futures::stream::iter([Ok::<_, std::io::Error>(long)]);
    let request = world
        .client
        .patch(world.url(&shot.path("thumbnail")))
        .bearer_auth(token)
        .header("tus-resumable", "1.0.0")
        .header("content-type", PIECE)
        .header("upload-offset", "0")
        .body(reqwest::Body::wrap_stream(stream));
    let refused = world.send(request).await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "upload_too_long"));
    assert_eq!(shot.state(&world, token).await, "pending");
    shot.patch(&world, token, "thumbnail", 0, &shot.thumbnail, &[]).await.ok();
}

pub async fn headers_that_make_no_sense_have_codes(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = &phone.token;
    let options = world.client.request(Method::OPTIONS, world.url("uploads"));
    let options = world.send(options).await;
    assert_eq!((options.status, options.header("tus-version")), (204, "1.0.0"));
    assert!(options.header("tus-extension").contains("creation-with-upload"));
    assert_eq!(options.header("tus-max-size"), "16777216");
    let old = shot.begin_with(&world, token, "photo", &[("tus-resumable", "0.2.2")], b"").await;
    assert_eq!((old.status, old.code().as_str()), (412, "tus_version"));
    assert_eq!(old.header("tus-version"), "1.0.0");
    for (name, value) in [
        ("upload-length", "many"),
        ("upload-length", "-1"),
        ("upload-metadata", "collection"),
        ("upload-checksum", "md5 AAAA"),
    ] {
        let answer = shot.begin_with(&world, token, "photo", &[(name, value)], b"").await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_header"), "{name}: {value}");
    }
    let none = tus(&world, Method::HEAD, "uploads/avance_fotos/7/photo", token, &[], vec![]).await;
    assert_eq!(none.status, 400);
    let path = shot.path("picture");
    assert_eq!(tus(&world, Method::HEAD, &path, token, &[], vec![]).await.status, 404);
    shot.begin(&world, token, "photo").await.ok();
    let json = [("content-type", "application/json"), ("upload-offset", "0")];
    let answer =
        tus(&world, Method::PATCH, &shot.path("photo"), token, &json, b"{}".to_vec()).await;
    assert_eq!((answer.status, answer.code().as_str()), (415, "unsupported_media_type"));
    let packed = [("content-type", PIECE), ("upload-offset", "0"), ("content-encoding", "gzip")];
    let answer =
        tus(&world, Method::PATCH, &shot.path("photo"), token, &packed, b"x".to_vec()).await;
    assert_eq!((answer.status, answer.code().as_str()), (415, "unsupported_encoding"));
}

pub async fn an_upload_that_is_given_up_is_gone(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = &phone.token;
    let path = shot.path("photo");
    let give_up = || tus(&world, Method::DELETE, &path, token, &[], vec![]);
    let none = give_up().await;
    assert_eq!((none.status, none.code().as_str()), (404, "unknown_upload"));
    shot.begin(&world, token, "photo").await.ok();
    shot.patch(&world, token, "photo", 0, &shot.photo[..1_000], &[]).await.ok();
    assert_eq!(give_up().await.status, 204);
    assert_eq!(shot.head(&world, token, "photo").await.status, 404);
    shot.store(&world, token).await;
    assert_eq!(give_up().await.status, 404, "what is stored stays");
    assert_eq!(shot.get(&world, token, "photo", &[]).await.ok().body, shot.photo);
}

pub async fn a_proxy_may_let_only_post_through(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = &phone.token;
    let path = shot.path("photo");
    let post = async |method: &str, headers: &[(&str, &str)], body: &[u8]| {
        let mut all = vec![("x-http-method-override", method)];
        all.extend_from_slice(headers);
        tus(&world, Method::POST, &path, token, &all, body.to_vec()).await
    };
    shot.begin(&world, token, "photo").await.ok();
    let piece = |offset| [("content-type", PIECE), ("upload-offset", offset)];
    assert_eq!(post("PATCH", &piece("0"), &shot.photo[..1_000]).await.status, 204);
    let head = post("HEAD", &[], b"").await;
    assert_eq!((head.status, head.header("upload-offset")), (200, "1000"));
    assert_eq!(post("DELETE", &[], b"").await.status, 204);
    assert_eq!(shot.head(&world, token, "photo").await.status, 404, "it was given up");
    for method in ["PUT", "patch", "", "two words"] {
        let refused = post(method, &[], b"").await;
        let told = (refused.status, refused.code());
        assert_eq!(told, (405, "method_not_allowed".to_owned()), "{method}");
    }
    // What is public by one method is so by its name only.
    let none =
        tus(&world, Method::OPTIONS, &path, "x", &[("x-http-method-override", "HEAD")], vec![]);
    assert_eq!(none.await.status, 401);
    // It is no way around the methods of anything else.
    let elsewhere = world.client.get(world.url("photos/missing")).bearer_auth(token);
    let elsewhere = world.send(elsewhere.header("x-http-method-override", "DELETE")).await;
    assert_ne!(elsewhere.status, 405);
}

pub async fn every_answer_about_uploads_says_which_tus(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let (token, own) = (&phone.token, shot.path("photo"));
    for (method, path, token, status) in [
        (Method::OPTIONS, own.as_str(), "", 204),
        (Method::OPTIONS, "uploads", "", 204),
        (Method::POST, "uploads", "x", 401),
        (Method::HEAD, &own, "x", 401),
        (Method::PUT, &own, token, 405),
        (Method::GET, "uploads", token, 405),
        (Method::HEAD, "uploads/none", token, 404),
    ] {
        let answer = tus(&world, method.clone(), path, token, &[], vec![]).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("tus-resumable"), "1.0.0", "{method} {path}: {status}");
    }
    let elsewhere = world.get("photos/missing", Some(token)).await;
    assert_eq!(elsewhere.header("tus-resumable"), "");
    for (length, expected) in [
        ("16777216", (422, "photo_mismatch")),
        ("16777217", (413, "upload_too_long")),
        ("18446744073709551615", (413, "upload_too_long")),
    ] {
        let long = shot.begin_with(&world, token, "photo", &[("upload-length", length)], b"").await;
        assert_eq!((long.status, long.code().as_str()), expected, "{length}");
    }
}
