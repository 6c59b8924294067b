//! Changes down: `sync/pull` and `sync/compare`.

use serde_json::{Value as Json, json};
use sync_protocol::digest::BUCKETS;
use sync_protocol::limits::{PAGE_ROWS_MAX, REFETCH_ROWS_MAX};

use super::shape::{
    Named, between, boolean, integer, list, object, or_null, short_list, text, time_us, to, uuid,
};

/// The schemas of these requests and answers.
pub(super) fn schemas() -> Vec<Named> {
    vec![
        (
            "PullRequest",
            object(
                "What the device has",
                &[
                    ("stream", uuid("The stream whose edits are to be settled")),
                    ("cursor?", or_null(text("Where the last page ended; none at the first sync"))),
                    ("schema_hash?", or_null(text("Hash of the schema that the device has"))),
                    ("page_rows_max?", or_null(between("Most rows in a page", 1, PAGE_ROWS_MAX))),
                    ("digests?", boolean("Whether the checkpoint is to bring digests")),
                    ("refetch?", short_list(to("Records"), REFETCH_ROWS_MAX)),
                ],
            ),
        ),
        (
            "Records",
            object(
                "Records of one collection",
                &[
                    ("collection", text("Collection name")),
                    ("ids", short_list(uuid("Record id"), REFETCH_ROWS_MAX)),
                ],
            ),
        ),
        (
            "PullPage",
            json!({
                "type": "object",
                "description": "A page; `docs/protocol.md` explains its tables",
                "properties": {
                    "cursor": text("Where the next pull begins"),
                    "checkpoint": boolean("Nothing more is to come from this page's snapshot"),
                    "server_time_us": time_us("The server's clock"),
                    "digests": list(to("ScopeDigest")),
                },
                "required": ["cursor", "checkpoint", "server_time_us"],
            }),
        ),
        (
            "ScopeDigest",
            object(
                "What a scope holds of a collection",
                &[
                    ("scope", text("The scope")),
                    ("collection", text("Collection name")),
                    ("rows", integer("How many rows")),
                    ("digest", digest("The exclusive or of the rows' digests")),
                ],
            ),
        ),
        (
            "CompareRequest",
            object(
                "What the device has of a scope",
                &[
                    ("scope", scope("A scope that the caller holds")),
                    ("collection", text("Collection name")),
                    (
                        "buckets?",
                        or_null(exactly(digest("Of the device's rows in a bucket"), BUCKETS)),
                    ),
                    ("content?", boolean("Whether digests of the content are wanted")),
                    ("after?", or_null(uuid("Continue after this record"))),
                ],
            ),
        ),
        (
            "CompareAnswer",
            object(
                "The server's rows in the buckets that differ, in the order of their ids",
                &[
                    ("buckets", list(between("Last byte of an id", 0, 255))),
                    ("rows", list(to("ComparedRow"))),
                    ("next?", uuid("Continue after this record")),
                ],
            ),
        ),
        (
            "ComparedRow",
            object(
                "A row",
                &[
                    ("id", uuid("Record id")),
                    ("version", integer("Its version")),
                    ("content?", digest("Of its content, as far as the caller may see it")),
                ],
            ),
        ),
    ]
}

/// A digest in hexadecimal.
fn digest(description: &str) -> Json {
    json!({ "type": "string", "pattern": "^[0-9a-f]{32}$", "description": description })
}

/// A scope.
fn scope(description: &str) -> Json {
    json!({ "type": "string", "description": description,
            "pattern": "^(tenant|[a-z][a-z_]{0,29}:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$" })
}

/// An array of so many.
fn exactly(of: Json, items: usize) -> Json {
    json!({ "type": "array", "items": of, "minItems": items, "maxItems": items })
}
