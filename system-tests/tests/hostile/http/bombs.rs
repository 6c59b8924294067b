//! Small bodies that unfold: zstd and gzip, many at once, by somebody who may push.

use std::io::{Read as _, Write as _};

use futures::future::join_all;

use crate::stage::{Attack, Stage};

pub const ATTACK: Attack = Attack { name: "bombs", run: |stage| Box::pin(run(stage)) };

/// What they unfold to, in bytes.
const UNFOLDED: usize = 24 * 1024 * 1024;
const AT_ONCE: usize = 9;
/// What a server may have in memory besides what it had before, in bytes: some bodies of the longest
/// length that is allowed, and what its allocator keeps.
const GROWTH_MAX: u64 = 300 * 1024 * 1024;

async fn run(stage: &Stage) {
    let before = stage.site.resident_bytes();
    let bombs = [("zstd", zstd_bomb()), ("gzip", gzip_bomb()), ("gzip", many_members())];
    let explosions = (0..AT_ONCE).map(|number| {
        let (encoding, bomb) = &bombs[number % bombs.len()];
        async move {
            let headers = [("content-type", "application/json"), ("content-encoding", *encoding)];
            let token = Some(stage.wolf.token.as_str());
            stage.attacker.post_bytes("sync/push", token, bomb.clone(), &headers).await
        }
    });
    for answer in join_all(explosions).await {
        assert!(answer.is_busy() || [400, 413].contains(&answer.status), "{answer:?}");
    }
    let grown = stage.site.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "the server grew by {} MiB", grown >> 20);
}

fn zstd_bomb() -> Vec<u8> {
    zstd::stream::encode_all(std::io::repeat(b' ').take(UNFOLDED as u64), 1).expect("packed")
}

fn gzip_bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..UNFOLDED / 0x1_0000 {
        encoder.write_all(&[b' '; 0x1_0000]).expect("packed");
    }
    encoder.finish().expect("packed")
}

/// Members without content, one after the other: long to read, and nothing in it.
fn many_members() -> Vec<u8> {
    let member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    member.finish().expect("packed").repeat(100_000)
}
