//! How operations of tus, which say all in headers, become OpenAPI.

use serde_json::{Map, Value as Json, json};
use sync_protocol::schema::photos::BYTES_MAX;

use crate::http::uploads::tus::PIECE_MEDIA_TYPE;

/// An operation of tus.
#[derive(Debug, Clone, Copy)]
pub struct Tus {
    /// The status when all is well.
    pub status: u16,
    /// Headers that it takes.
    pub sends: &'static [&'static str],
    /// Headers that it answers, besides `Tus-Resumable`.
    pub answers: &'static [&'static str],
    /// Its body is a piece of the upload.
    pub piece: bool,
}

impl Tus {
    /// The parameters.
    pub(super) fn parameters(&self) -> impl Iterator<Item = Json> + use<> {
        self.sends.iter().map(|name| {
            json!({ "name": name, "in": "header", "required": *name != "Upload-Checksum",
                    "schema": schema(name) })
        })
    }

    /// The answer.
    pub(super) fn answer(&self) -> Json {
        let header = |name: &&str| ((*name).to_owned(), json!({ "schema": schema(name) }));
        let headers: Map<String, Json> =
            ["Tus-Resumable"].iter().chain(self.answers).map(header).collect();
        json!({ "description": "Done.", "headers": headers })
    }

    /// The body, if it has one.
    pub(super) fn body(&self) -> Option<Json> {
        self.piece.then(|| {
            json!({
                "required": self.sends.contains(&"Upload-Offset"),
                "description": "Bytes of the picture.",
                "content": { PIECE_MEDIA_TYPE: {
                    "schema": { "type": "string", "format": "binary" } } },
            })
        })
    }
}

fn schema(header: &str) -> Json {
    let text = |description: &str| json!({ "type": "string", "description": description });
    match header {
        "Tus-Resumable" | "Tus-Version" => json!({ "type": "string", "enum": ["1.0.0"] }),
        "Upload-Offset" => json!({ "type": "integer", "minimum": 0,
            "description": "How far the upload is, in bytes" }),
        "Upload-Length" | "Tus-Max-Size" => json!({ "type": "integer", "minimum": 0,
            "maximum": BYTES_MAX, "description": "Length of the whole, in bytes" }),
        "Upload-Metadata" => {
            text("`collection`, `id` and `variant`, each with its value in base64")
        }
        "Upload-Checksum" => text("`sha1` or `sha256`, a space, and the piece's sum in base64"),
        "Upload-Expires" => text("When the upload will be given up, as HTTP writes dates"),
        "Location" => text("The upload's address"),
        _ => text(""),
    }
}
