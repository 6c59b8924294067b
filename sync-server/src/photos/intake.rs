//! Taking in the bytes of an upload as they come.
//!
//! They become parts of [`PART_BYTES`], so a server that is killed loses no more than that, and the rest
//! when they end, *however they end*: a cut connection leaves what it brought. Only a piece with a
//! checksum is kept whole or not at all.
//!
//! A part is made only if there is none at its offset. Of two who send at one offset, one wins each
//! part; the other is told where the upload is.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use sync_protocol::fault::{self, Point};
use sync_protocol::problem::Problem;

use super::ObjectError;
use super::key::UploadKey;
use super::objects::Objects;

/// Bytes of a part, but for the last of each request.
pub const PART_BYTES: usize = 256 * 1024;

/// What a piece must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-1, as tus has it.
    Sha1(Vec<u8>),
    /// SHA-256.
    Sha256(Vec<u8>),
}

impl Checksum {
    fn is_of(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Sha1(sum) => Sha1::digest(bytes)[..] == sum[..],
            Self::Sha256(sum) => Sha256::digest(bytes)[..] == sum[..],
        }
    }
}

/// Where bytes go.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The object store.
    pub objects: &'a Objects,
    /// The upload.
    pub upload: &'a UploadKey,
    /// Where they begin.
    pub offset: u64,
    /// The length of the whole.
    pub length: u64,
}

/// Takes in bytes until they end, and answers how far the upload is then.
///
/// # Errors
/// What ended them early; all that came before is kept. `upload_offset` if somebody else sends as well,
/// `upload_too_long` if more comes than was announced.
pub async fn take(
    place: Place<'_>,
    body: impl Stream<Item = Result<Bytes, Problem>>,
) -> Result<u64, Problem> {
    let mut body = std::pin::pin!(body);
    let mut offset = place.offset;
    let mut buffer = BytesMut::new();
    loop {
        let ended = match body.next().await {
            Some(Ok(bytes)) => {
                if offset + buffer.len() as u64 + bytes.len() as u64 > place.length {
                    return Err(too_long(place.length));
                }
                buffer.extend_from_slice(&bytes);
                while buffer.len() >= PART_BYTES {
                    let part = buffer.split_to(PART_BYTES).freeze();
                    offset += keep(place, offset, part).await?;
                }
                continue;
            }
            Some(Err(problem)) => Err(problem),
            None => Ok(()),
        };
        offset += keep(place, offset, buffer.freeze()).await?;
        return ended.map(|()| offset);
    }
}

/// Takes in a piece with a checksum, and answers how far the upload is then. Of a piece that is cut or does
/// not fit its checksum nothing is kept.
///
/// # Errors
/// As [`take`]; `upload_checksum`.
pub async fn take_checked(
    place: Place<'_>,
    body: impl Stream<Item = Result<Bytes, Problem>>,
    checksum: &Checksum,
) -> Result<u64, Problem> {
    let mut body = std::pin::pin!(body);
    let mut buffer = BytesMut::new();
    while let Some(bytes) = body.next().await {
        let bytes = bytes?;
        if place.offset + buffer.len() as u64 + bytes.len() as u64 > place.length {
            return Err(too_long(place.length));
        }
        buffer.extend_from_slice(&bytes);
    }
    if !checksum.is_of(&buffer) {
        return Err(Problem::new(460, "upload_checksum", "The bytes do not fit their checksum")
            .detail("they were changed on the way and are not kept; send them again"));
    }
    Ok(place.offset + keep(place, place.offset, buffer.freeze()).await?)
}

async fn keep(place: Place<'_>, offset: u64, bytes: Bytes) -> Result<u64, Problem> {
    let length = bytes.len() as u64;
    if length == 0 {
        return Ok(0);
    }
    match place.objects.create(&place.upload.part(offset), bytes).await {
        Ok(()) => {
            fault::reached(Point::PhotoPartKept);
            Ok(length)
        }
        Err(ObjectError::Exists) => Err(elsewhere()),
        Err(error) => Err(error.into()),
    }
}

/// The answer to who sends from another offset than the upload's. The header `Upload-Offset` says it.
#[must_use]
pub fn elsewhere() -> Problem {
    Problem::new(409, "upload_offset", "The upload is not at this offset").detail(
        "go on at the offset of the header `Upload-Offset`; somebody may send the same photo",
    )
}

/// The answer to who sends more than the whole.
#[must_use]
pub fn too_long(length: u64) -> Problem {
    Problem::new(413, "upload_too_long", "More came than was announced")
        .detail(format!("the whole has {length} bytes; what came too much was not kept"))
}
