//! How a photo is read.

use crate::World;
use crate::company::Company;
use crate::shot::{Shot, picture, sha256};

pub async fn a_photo_is_kept_by_who_has_it(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    shot.store(&world, &phone.token).await;
    let whole = shot.get(&world, &phone.token, "photo", &[]).await.ok();
    let tag = format!("\"{}\"", sha256(&shot.photo));
    for (name, value) in [
        ("etag", tag.as_str()),
        ("cache-control", "private, no-cache"),
        ("vary", "authorization"),
        ("content-type", "image/jpeg"),
        ("x-content-type-options", "nosniff"),
        ("content-disposition", "inline"),
        ("accept-ranges", "bytes"),
        ("content-encoding", ""),
    ] {
        assert_eq!(whole.header(name), value, "{name}");
    }
    assert_eq!(whole.header("content-length"), shot.photo.len().to_string());
    for tags in [tag.as_str(), &format!("W/{tag}"), &format!("\"x\", {tag}"), "*"] {
        let same = shot.get(&world, &phone.token, "photo", &[("if-none-match", tags)]).await;
        assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, tag.as_str()));
        assert_eq!(same.header("cache-control"), "private, no-cache");
    }
    let other = shot.get(&world, &phone.token, "photo", &[("if-none-match", "\"x\"")]).await;
    assert_eq!(other.status, 200);
    let small = shot.get(&world, &phone.token, "thumbnail", &[("if-none-match", &tag)]).await.ok();
    assert_eq!(small.body, shot.thumbnail);
    let path = format!("photos/avance_fotos/{}", shot.id);
    assert_eq!(
        world.get(&path, Some(&phone.token)).await.ok().body,
        shot.photo,
        "without a variant"
    );
    for query in ["variant=picture", "size=1", "variant=photo&variant=photo"] {
        let answer = world.get(&format!("{path}?{query}"), Some(&phone.token)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_parameter"), "{query}");
    }
    let webp = {
        let mut out = Vec::new();
        image::codecs::webp::WebPEncoder::new_lossless(&mut out)
            .encode(&[9; 30], 10, 3, image::ExtendedColorType::L8)
            .expect("a picture");
        out
    };
    let webp = Shot::of(&world, &phone, webp, picture(40, 8)).await;
    webp.store(&world, &phone.token).await;
    let answer = webp.get(&world, &phone.token, "photo", &[]).await.ok();
    assert_eq!(answer.header("content-type"), "image/webp");
}

pub async fn a_picture_without_its_thumbnail_can_be_seen(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = &phone.token;
    let half = shot.photo.len() / 2;
    shot.begin(&world, token, "photo").await.ok();
    shot.patch(&world, token, "photo", 0, &shot.photo[..half], &[]).await.ok();
    let none = shot.get(&world, token, "photo", &[]).await;
    assert_eq!((none.status, none.code().as_str()), (404, "photo_not_stored"), "half is here");
    shot.patch(&world, token, "photo", half, &shot.photo[half..], &[]).await.ok();
    assert_eq!(shot.state(&world, token).await, "pending", "the record waits for both");
    assert_eq!(shot.get(&world, token, "photo", &[]).await.ok().body, shot.photo);
    let none = shot.get(&world, token, "thumbnail", &[]).await;
    assert_eq!((none.status, none.code().as_str()), (404, "photo_not_stored"));
}

pub async fn a_part_of_a_photo_can_be_had(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    shot.store(&world, &phone.token).await;
    let (token, photo) = (&phone.token, &shot.photo);
    let length = photo.len();
    let tag = format!("\"{}\"", sha256(photo));
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=100-299999", 100..300_000),
        ("bytes=400000-", 400_000..length),
        ("bytes=-7", length - 7..length),
        ("bytes=0-99999999", 0..length),
    ] {
        let answer =
            shot.get(&world, token, "photo", &[("range", range), ("if-range", &tag)]).await;
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.body, photo[part.clone()], "{range}");
        let said = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        assert_eq!(answer.header("content-range"), said);
        assert_eq!(
            (answer.header("content-type"), answer.header("etag")),
            ("image/jpeg", tag.as_str())
        );
    }
    for ignored in ["bytes=0-1,5-6", "lines=0-1", "bytes=5-1"] {
        let answer = shot.get(&world, token, "photo", &[("range", ignored)]).await;
        assert_eq!((answer.status, answer.body.len()), (200, length), "{ignored}");
    }
    let other = [("range", "bytes=0-0"), ("if-range", "\"x\"")];
    assert_eq!(shot.get(&world, token, "photo", &other).await.status, 200);
    let outside = shot.get(&world, token, "photo", &[("range", "bytes=99999999-")]).await;
    assert_eq!((outside.status, outside.code().as_str()), (416, "range_not_satisfiable"));
    assert_eq!(outside.header("content-range"), format!("bytes */{length}"));
}
