//! What a photo must be to be stored.

use crate::World;
use crate::company::{Company, Phone};
use crate::shot::{PIECE, Shot, picture};

/// Sends content whose hash is right, and answers how it is refused.
async fn refused(world: &World, phone: &Phone, content: Vec<u8>) -> (u16, String) {
    let shot = Shot::of(world, phone, content, picture(40, 8)).await;
    let answer = shot
        .begin_with(world, &phone.token, "photo", &[("content-type", PIECE)], &shot.photo)
        .await;
    assert_eq!(shot.state(world, &phone.token).await, "pending");
    assert_eq!(shot.offset(world, &phone.token, "photo").await, 0, "it can begin again");
    (answer.status, answer.code())
}

pub async fn other_bytes_than_the_records_are_not_kept(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let shot = Shot::new(&world, &phone).await;
    let token = &phone.token;
    let mut other = shot.photo.clone();
    other[1_000] ^= 1;
    shot.begin(&world, token, "photo").await.ok();
    let answer = shot.patch(&world, token, "photo", 0, &other, &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "photo_mismatch"));
    assert_eq!(shot.offset(&world, token, "photo").await, 0);
    assert_eq!(shot.state(&world, token).await, "pending");
    shot.patch(&world, token, "photo", 0, &shot.photo, &[]).await.ok();
    shot.send(&world, token, "thumbnail").await;
    assert_eq!(shot.get(&world, token, "photo", &[]).await.ok().body, shot.photo);
}

pub async fn what_is_no_picture_is_refused_also_with_the_right_hash(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let html = b"<html><script>alert(1)</script></html>".to_vec();
    let mut svg = b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec();
    svg.resize(5_000, b' ');
    let mut gif = b"GIF89a".to_vec();
    gif.resize(500, 0);
    let cut = picture(100, 1)[..40].to_vec();
    for content in [html, svg, gif, cut, vec![0; 100]] {
        let refused = refused(&world, &phone, content).await;
        assert_eq!(refused, (422, "photo_not_an_image".to_owned()));
    }
}

/// A PNG of one colour: few bytes, and as many pixels as wanted.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let row = vec![0_u8; width as usize / 8];
    let mut pixels = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..height {
        std::io::Write::write_all(&mut pixels, &[0]).expect("written");
        std::io::Write::write_all(&mut pixels, &row).expect("written");
    }
    let pixels = pixels.finish().expect("packed");
    out.extend_from_slice(b"\x89PNG\r\n\x1a\n");
    let mut header = Vec::new();
    header.extend_from_slice(&width.to_be_bytes());
    header.extend_from_slice(&height.to_be_bytes());
    // One bit for each pixel, grey.
    header.extend_from_slice(&[1, 0, 0, 0, 0]);
    for (name, data) in [(b"IHDR", &header), (b"IDAT", &pixels), (b"IEND", &Vec::new())] {
        out.extend_from_slice(&u32::try_from(data.len()).expect("short").to_be_bytes());
        let mut sum = flate2::Crc::new();
        sum.update(name);
        sum.update(data);
        out.extend_from_slice(name);
        out.extend_from_slice(data);
        out.extend_from_slice(&sum.sum().to_be_bytes());
    }
    out
}

pub async fn a_decompression_bomb_is_refused(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let small = Shot::of(&world, &phone, bomb(800, 600), picture(40, 8)).await;
    small.store(&world, &phone.token).await;
    assert_eq!(
        small.get(&world, &phone.token, "photo", &[]).await.header("content-type"),
        "image/png"
    );
    let large = bomb(32_000, 32_000);
    assert!(large.len() < 1_000_000, "{} bytes", large.len());
    let refused = refused(&world, &phone, large).await;
    assert_eq!(refused, (422, "photo_too_large".to_owned()));
}

/// A lossless WebP of one colour: 30 bytes, and as many pixels as wanted.
fn flat_webp(width: u32, height: u32) -> Vec<u8> {
    // Width and height less one, no alpha, version 0; no transformation, no cache, one group; five codes
    // of one symbol.
    let mut bits = u64::from(width - 1) | u64::from(height - 1) << 14;
    for code in 0..5 {
        bits |= 1 << (35 + 4 * code);
    }
    let mut chunk = vec![0x2f];
    chunk.extend_from_slice(&bits.to_le_bytes());
    chunk.push(0);
    let mut out = b"RIFF".to_vec();
    let length = u32::try_from(chunk.len()).expect("short");
    out.extend_from_slice(&(12 + length).to_le_bytes());
    out.extend_from_slice(b"WEBPVP8L");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&chunk);
    out
}

/// A progressive JPEG of one grey: one bit for each block.
fn flat_jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut out = vec![0xff, 0xd8];
    let mut segment = |marker: u8, data: &[u8]| {
        out.extend_from_slice(&[0xff, marker]);
        out.extend_from_slice(&u16::try_from(data.len() + 2).expect("short").to_be_bytes());
        out.extend_from_slice(data);
    };
    segment(0xdb, &[&[0][..], &[1; 64]].concat());
    let ([h1, h2], [w1, w2]) = (height.to_be_bytes(), width.to_be_bytes());
    segment(0xc2, &[8, h1, h2, w1, w2, 1, 1, 0x11, 0]);
    // One code for "no difference", of one bit.
    segment(0xc4, &[&[0, 1][..], &[0; 15], &[0]].concat());
    segment(0xda, &[1, 1, 0, 0, 0, 0]);
    let blocks = usize::from(width.div_ceil(8)) * usize::from(height.div_ceil(8));
    out.resize(out.len() + blocks.div_ceil(8), 0);
    out.extend_from_slice(&[0xff, 0xd9]);
    out
}

pub async fn a_picture_has_so_many_pixels(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    for largest in [flat_webp(4_000, 4_000), flat_jpeg(4_000, 4_000)] {
        let shot = Shot::of(&world, &phone, largest, picture(40, 8)).await;
        shot.store(&world, &phone.token).await;
    }
    for larger in [flat_webp(4_001, 4_000), flat_jpeg(4_000, 4_001)] {
        let refused = refused(&world, &phone, larger).await;
        assert_eq!(refused, (422, "photo_too_large".to_owned()));
    }
    let shot = Shot::of(&world, &phone, picture(40, 8), flat_webp(2_001, 2_000)).await;
    let piece = [("content-type", PIECE)];
    let small = shot.begin_with(&world, &phone.token, "thumbnail", &piece, &shot.thumbnail).await;
    assert_eq!((small.status, small.code().as_str()), (422, "photo_too_large"));
}

pub async fn a_picture_has_the_size_that_its_record_says(world: World) {
    let phone = Company::new(&world, &["foreman"]).await.phone(&world).await;
    let (project, report, _) = crate::company::report(&world, &phone).await;
    let (photo, thumbnail) = (picture(60, 1), picture(40, 2));
    let mut set = crate::shot::fields(&report, &photo, &thumbnail);
    set["alto"] = serde_json::json!(61);
    let id = crate::company::id();
    let insert = crate::company::insert(crate::shot::COLLECTION, &id, set);
    phone.apply(&world, serde_json::json!([insert])).await;
    let shot = Shot { project, report, id, photo, thumbnail };
    shot.send(&world, &phone.token, "thumbnail").await;
    let piece = [("content-type", PIECE)];
    let wrong = shot.begin_with(&world, &phone.token, "photo", &piece, &shot.photo).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (422, "photo_mismatch"));
    assert!(wrong.text().contains("60 × 60"), "{}", wrong.text());
    assert_eq!(shot.offset(&world, &phone.token, "photo").await, 0);
}

pub async fn a_company_has_so_much_room(mut world: World) {
    for role in ["foreman", "admin"] {
        let phone = Company::new(&world, &[role]).await.phone(&world).await;
        let token = &phone.token;
        let (first, second) = (Shot::new(&world, &phone).await, Shot::new(&world, &phone).await);
        let third = Shot::new(&world, &phone).await;
        let room = (2 * first.photo.len() + first.thumbnail.len()) as u64;
        world = world.restarted(|config| config.photos.quota_bytes = room).await;
        // A picture whose thumbnail is not there counts, and what is only announced.
        first.send(&world, token, "photo").await;
        second.begin(&world, token, "photo").await.ok();
        for restart in [false, true] {
            if restart {
                // The object store says it, not the process.
                world = world.restarted(|_| {}).await;
            }
            let full = third.begin(&world, token, "photo").await;
            assert_eq!((full.status, full.code().as_str()), (413, "photo_quota"));
            let told = full.text().contains(&room.to_string());
            assert_eq!(told, role == "admin", "{}", full.text());
        }
        // What was announced has its room.
        second.patch(&world, token, "photo", 0, &second.photo, &[]).await.ok();
        first.send(&world, token, "thumbnail").await;
        assert_eq!(second.begin(&world, token, "thumbnail").await.code(), "photo_quota");
        // So do photos of deleted records, until their objects go.
        let delete = serde_json::json!([{ "collection": crate::shot::COLLECTION,
            "record": first.id, "kind": "delete", "row_base": 2 }]);
        phone.apply(&world, delete).await;
        world = world.restarted(|_| {}).await;
        assert_eq!(third.begin(&world, token, "photo").await.code(), "photo_quota");
        let other = Company::new(&world, &["foreman"]).await.phone(&world).await;
        Shot::new(&world, &other).await.store(&world, &other.token).await;
    }
}
