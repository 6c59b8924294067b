//! A photo that somebody took: its record, its bytes, and how they are sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use reqwest::Method;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::World;
use crate::company::{Phone, id, insert, report};
use crate::world::Answer;

pub const COLLECTION: &str = "avance_fotos";
pub const PIECE: &str = "application/offset+octet-stream";

/// A JPEG of noise: it does not compress, so its size goes with its pixels.
pub fn picture(edge: u32, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let noise = (0..edge * edge).map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    });
    let noise: Vec<u8> = noise.collect();
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, 80)
        .write_image(&noise, edge, edge, ExtendedColorType::L8)
        .expect("a picture");
    out
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub struct Shot {
    pub project: String,
    pub report: String,
    pub id: String,
    pub photo: Vec<u8>,
    pub thumbnail: Vec<u8>,
}

/// The fields of a record that describes these pictures.
pub fn fields(report: &str, photo: &[u8], thumbnail: &[u8]) -> Json {
    let (width, height) = size(photo).unwrap_or((640, 640));
    json!({
        "avance_id": report,
        "sha256": sha256(photo), "bytes": photo.len(),
        "miniatura_sha256": sha256(thumbnail), "miniatura_bytes": thumbnail.len(),
        "ancho": width, "alto": height,
    })
}

/// Width and height that a picture says.
fn size(photo: &[u8]) -> Option<(u32, u32)> {
    let reader = image::ImageReader::new(std::io::Cursor::new(photo)).with_guessed_format().ok()?;
    reader.into_dimensions().ok().filter(|(width, _)| *width < 65_535)
}

impl Shot {
    /// Of noise: about 480 KB and 2 KB.
    pub async fn new(world: &World, phone: &Phone) -> Self {
        Self::of(world, phone, picture(900, 7), picture(40, 8)).await
    }

    /// Of these bytes, in a new project.
    pub async fn of(world: &World, phone: &Phone, photo: Vec<u8>, thumbnail: Vec<u8>) -> Self {
        let (project, report, _) = report(world, phone).await;
        let record = id();
        let set = fields(&report, &photo, &thumbnail);
        phone.apply(world, json!([insert(COLLECTION, &record, set)])).await;
        Self { project, report, id: record, photo, thumbnail }
    }

    pub fn bytes(&self, variant: &str) -> &[u8] {
        if variant == "photo" { &self.photo } else { &self.thumbnail }
    }

    pub fn path(&self, variant: &str) -> String {
        format!("uploads/{COLLECTION}/{}/{variant}", self.id)
    }

    pub fn metadata(&self, variant: &str) -> String {
        metadata(COLLECTION, &self.id, variant)
    }

    /// POST with more headers and a body.
    pub async fn begin_with(
        &self,
        world: &World,
        token: &str,
        variant: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let length = self.bytes(variant).len().to_string();
        let metadata = self.metadata(variant);
        let mut all = vec![("upload-length", length.as_str()), ("upload-metadata", &metadata)];
        all.retain(|(name, _)| !headers.iter().any(|(other, _)| other == name));
        all.extend_from_slice(headers);
        tus(world, Method::POST, "uploads", token, &all, body.to_vec()).await
    }

    pub async fn begin(&self, world: &World, token: &str, variant: &str) -> Answer {
        self.begin_with(world, token, variant, &[], b"").await
    }

    pub async fn head(&self, world: &World, token: &str, variant: &str) -> Answer {
        tus(world, Method::HEAD, &self.path(variant), token, &[], Vec::new()).await
    }

    /// How far the server says that the upload is.
    pub async fn offset(&self, world: &World, token: &str, variant: &str) -> usize {
        let answer = self.head(world, token, variant).await;
        assert_eq!(answer.status, 200, "{:?}", answer.headers);
        answer.header("upload-offset").parse().expect("an offset")
    }

    /// PATCH with these bytes.
    pub async fn patch(
        &self,
        world: &World,
        token: &str,
        variant: &str,
        offset: usize,
        bytes: &[u8],
        headers: &[(&str, &str)],
    ) -> Answer {
        let offset = offset.to_string();
        let mut all = vec![("content-type", PIECE), ("upload-offset", offset.as_str())];
        all.extend_from_slice(headers);
        tus(world, Method::PATCH, &self.path(variant), token, &all, bytes.to_vec()).await
    }

    /// PATCH that announces all that is left and is cut after so many bytes.
    pub async fn patch_cut(
        &self,
        world: &World,
        token: &str,
        variant: &str,
        (offset, bytes): (usize, usize),
        more: &str,
    ) {
        let whole = self.bytes(variant);
        let head = format!(
            "PATCH /mobile/api/v1/{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             tus-resumable: 1.0.0\r\ncontent-type: {PIECE}\r\nupload-offset: {offset}\r\n\
             content-length: {}\r\n{more}\r\n",
            self.path(variant),
            whole.len() - offset
        );
        let mut line = tokio::net::TcpStream::connect(world.server.address).await.expect("a line");
        line.write_all(head.as_bytes()).await.expect("sent");
        line.write_all(&whole[offset..offset + bytes]).await.expect("sent");
        line.shutdown().await.expect("cut");
        // The answer comes when all is kept; nobody reads it.
        let _ = tokio::time::timeout(
            std::time::Duration::from_secs(5),
            line.read_to_end(&mut Vec::new()),
        )
        .await;
    }

    /// Sends a picture in one request, and asserts that it is stored.
    pub async fn send(&self, world: &World, token: &str, variant: &str) {
        let answer = self
            .begin_with(world, token, variant, &[("content-type", PIECE)], self.bytes(variant))
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.header("upload-offset"), self.bytes(variant).len().to_string());
    }

    /// Sends both.
    pub async fn store(&self, world: &World, token: &str) {
        self.send(world, token, "thumbnail").await;
        self.send(world, token, "photo").await;
        assert_eq!(self.state(world, token).await, "stored");
    }

    /// The `estado` that a phone of this token pulls.
    pub async fn state(&self, world: &World, token: &str) -> String {
        let page =
            world.post("sync/pull", Some(token), &json!({ "stream": id() })).await.ok().json();
        let mut tables = page["tables"].as_array().expect("tables").iter();
        let table = tables.find(|t| t["collection"] == COLLECTION).expect("photos");
        let rows = table["rows"].as_array().expect("rows");
        let row = rows.iter().find(|row| row["id"] == self.id).expect("the record");
        row["fields"]["estado"].as_str().expect("a state").to_owned()
    }

    pub async fn get(
        &self,
        world: &World,
        token: &str,
        variant: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let path = format!("photos/{COLLECTION}/{}?variant={variant}", self.id);
        let mut request = world.client.get(world.url(&path)).bearer_auth(token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        world.send(request).await
    }
}

pub fn metadata(collection: &str, id: &str, variant: &str) -> String {
    let [collection, id, variant] = [collection, id, variant].map(|text| STANDARD.encode(text));
    format!("collection {collection},id {id},variant {variant}")
}

/// A request of tus.
pub async fn tus(
    world: &World,
    method: Method,
    path: &str,
    token: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Answer {
    let mut request = world.client.request(method, world.url(path)).bearer_auth(token);
    if !headers.iter().any(|(name, _)| *name == "tus-resumable") {
        request = request.header("tus-resumable", "1.0.0");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_empty() {
        request = request.body(body);
    }
    world.send(request).await
}
