//! A good body for every schema that an endpoint takes. An endpoint with another one cannot be
//! tested without adding it here.

use serde_json::{Value as Json, json};
use sync_server::http::route::Route;

use crate::company::id;

/// A body that parses, with ids that do not exist.
pub fn body(schema: &str) -> Json {
    match schema {
        "LoginRequest" => {
            json!({ "tenant": "nobody", "user": "nobody", "password": "nothing", "device": id() })
        }
        "RefreshRequest" => json!({ "refresh_token": "AAAA", "device": id() }),
        "LogoutRequest" => json!({ "refresh_token": "AAAA" }),
        "PushRequest" => json!({ "stream": id(), "transactions": [] }),
        "PullRequest" => json!({ "stream": id() }),
        "CompareRequest" => json!({ "scope": "tenant", "collection": "proyectos" }),
        "ClaimRequest" => json!({}),
        "NoteRequest" => json!({ "text": "¿Con qué cinta se midió?" }),
        "ResolveRequest" => json!({ "revision": 1, "keep": "server", "reason": "visto en obra" }),
        "UndoRequest" => json!({ "revision": 1, "reason": "error" }),
        "ResolveManyRequest" => json!({ "conflicts": {
            id(): { "revision": 1, "keep": { "value": "2.60" }, "reason": "medido de nuevo" } } }),
        other => panic!("there is no sample of {other}: add one"),
    }
}

/// The path of a route with this id.
pub fn path(route: &Route, id: &str) -> String {
    place(route.path, id)
}

/// A path of a route, or of the document, with this id.
pub fn place(path: &str, id: &str) -> String {
    path.replace("{id}", id).replace("{collection}", "avance_fotos").replace("{variant}", "photo")
}

/// Headers of tus, with names that do not exist.
pub const TUS: [(&str, &str); 5] = [
    ("tus-resumable", "1.0.0"),
    ("upload-length", "1"),
    ("upload-offset", "0"),
    ("content-type", "application/offset+octet-stream"),
    // collection avance_fotos, id 0192f0c1-2a3b-7c4d-8e5f-60718293a4b5, variant photo.
    (
        "upload-metadata",
        "collection YXZhbmNlX2ZvdG9z,id MDE5MmYwYzEtMmEzYi03YzRkLThlNWYtNjA3MTgyOTNhNGI1,variant cGhvdG8=",
    ),
];
