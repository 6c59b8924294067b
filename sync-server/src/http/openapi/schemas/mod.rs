//! The schemas of bodies and answers, as JSON Schema 2020-12.
//!
//! A body that fits its schema is refused only for what a schema cannot say: a cursor that was not
//! given out, a value that does not fit the field that a conflict is about. `cargo xtask api-check`
//! holds the server to that.

mod auth;
mod events;
mod photos;
mod pull;
mod push;
mod receipts;
mod review;
pub(in crate::http) mod shape;
mod users;

use serde_json::{Map, Value as Json, json};
use shape::{Named, boolean, integer, map, object, text, time_us, to, uuid, word};

/// All schemas by name.
#[must_use]
pub fn schemas() -> Map<String, Json> {
    let mut all = Map::new();
    let rooms = [
        about(),
        auth::schemas(),
        push::schemas(),
        receipts::schemas(),
        pull::schemas(),
        events::schemas(),
        review::schemas(),
        users::schemas(),
        photos::schemas(),
    ];
    for (name, schema) in rooms.concat() {
        all.insert(name.to_owned(), schema);
    }
    all
}

fn about() -> Vec<Named> {
    vec![
        ("AnyObject", json!({ "type": "object" })),
        (
            "Health",
            object(
                "A server that can work",
                &[
                    ("status", word("Always `ok`", &["ok"])),
                    ("version", text("The server's version")),
                    ("server_time_us", time_us("The server's clock")),
                ],
            ),
        ),
        (
            "Problem",
            json!({
                "type": "object",
                "description": "RFC 9457. `code` is stable and for programs.",
                "properties": {
                    "type": text("An identifier of the code, not an address to fetch"),
                    "code": text("Stable, in snake case"),
                    "title": text("One line for people"),
                    "detail": text("What exactly was wrong and what to do"),
                    "status": integer("The HTTP status that goes with it"),
                    "retryable": boolean("The same request may succeed later"),
                    "at": to("Location"),
                    "more": json!({ "type": "object", "description": "Further members of this code" }),
                },
                "required": ["type", "code", "title", "status"],
            }),
        ),
        (
            "Location",
            object(
                "What a problem is about",
                &[
                    ("mutation?", integer("Position of the mutation in its transaction, from 0")),
                    ("collection?", text("Collection name")),
                    ("record?", uuid("Record id")),
                    ("field?", text("Field name")),
                ],
            ),
        ),
        (
            "VisibleSchema",
            object(
                "The part of the schema that the caller may see",
                &[("hash", text("Visibility hash")), ("schema", to("CollectionSchema"))],
            ),
        ),
        (
            "CollectionSchema",
            object(
                "Collections with their fields; `docs/schema.md` explains them",
                &[("collections", map(json!({ "type": "object" }), "By collection name"))],
            ),
        ),
    ]
}
