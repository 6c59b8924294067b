//! People, for administrators: `users/{id}/view`.

use serde_json::json;

use super::shape::{Named, boolean, integer, list, map, object, text, to, uuid};

/// The schemas of these answers.
pub(super) fn schemas() -> Vec<Named> {
    vec![
        ("UserView", json!({ "oneOf": [to("SeenAs"), to("WhySeen")] })),
        (
            "SeenAs",
            object(
                "What a phone of somebody's holds when it is in step",
                &[
                    ("user", uuid("Who")),
                    ("login", text("What they type at login")),
                    ("roles", list(text("Role"))),
                    ("disabled", boolean("May not log in any more")),
                    ("permissions", list(text("Permission"))),
                    ("visibility", text("Hash of the collections and fields that they may see")),
                    ("rows", integer("Rows in all; one in two scopes counts once")),
                    ("bytes", integer("About how many bytes these take")),
                    ("photos", integer("Photos in all whose pictures the server has")),
                    ("photo_bytes", integer("Bytes of their pictures and thumbnails")),
                    ("scopes", list(to("ScopeSeen"))),
                    ("hidden_collections", map(text("The permission that they lack"), "By name")),
                    (
                        "hidden_fields",
                        map(text("The permission that they lack"), "By `collection.field`"),
                    ),
                ],
            ),
        ),
        (
            "ScopeSeen",
            object(
                "What a scope holds",
                &[("scope", text("The scope")), ("collections", list(to("CollectionSeen")))],
            ),
        ),
        (
            "CollectionSeen",
            object(
                "What a scope holds of a collection",
                &[
                    ("collection", text("Collection name")),
                    ("rows", integer("How many rows")),
                    ("bytes", integer("About how many bytes they take")),
                    ("photos", integer("Photos among them whose pictures the server has")),
                    ("photo_bytes", integer("Bytes of their pictures and thumbnails")),
                    ("digest", text("As checkpoints tell it, 32 hexadecimal digits")),
                ],
            ),
        ),
        (
            "WhySeen",
            object(
                "Whether somebody sees a record, and why",
                &[
                    ("user", uuid("Who")),
                    ("collection", text("Collection name")),
                    ("record", uuid("The record")),
                    ("visible", boolean("Whether they see it")),
                    ("reason", text("Stable, in snake case")),
                    ("text", text("The same in a sentence")),
                    ("version?", integer("Its version, if it is there")),
                    ("scopes", list(text("A scope that it is in"))),
                    ("held", list(text("One of them that they hold"))),
                    ("hidden_fields", list(text("A field that they may not see"))),
                ],
            ),
        ),
    ]
}
