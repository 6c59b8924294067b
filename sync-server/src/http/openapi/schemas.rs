//! The schemas of bodies and answers, as JSON Schema 2020-12.

use serde_json::{Map, Value as Json, json};

/// All schemas by name.
#[must_use]
pub fn schemas() -> Map<String, Json> {
    let mut all = Map::new();
    for (name, schema) in [about(), auth(), push(), receipts(), pull(), review()].concat() {
        all.insert(name.to_owned(), schema);
    }
    all
}

type Named = (&'static str, Json);

/// An object with these members; those whose name ends in `?` may be missing.
fn object(description: &str, members: &[(&str, Json)]) -> Json {
    let required: Vec<&str> =
        members.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('?')).collect();
    let properties: Map<String, Json> = members
        .iter()
        .map(|(name, schema)| (name.trim_end_matches('?').to_owned(), schema.clone()))
        .collect();
    json!({
        "type": "object", "description": description,
        "properties": properties, "required": required, "additionalProperties": false,
    })
}

fn text(description: &str) -> Json {
    json!({ "type": "string", "description": description })
}

fn uuid(description: &str) -> Json {
    json!({ "type": "string", "format": "uuid", "description": description })
}

fn integer(description: &str) -> Json {
    json!({ "type": "integer", "description": description })
}

fn time_us(description: &str) -> Json {
    json!({ "type": "integer", "format": "int64",
            "description": format!("{description}, in microseconds since 1970") })
}

fn boolean(description: &str) -> Json {
    json!({ "type": "boolean", "description": description })
}

fn word(description: &str, words: &[&str]) -> Json {
    json!({ "type": "string", "enum": words, "description": description })
}

fn list(of: Json) -> Json {
    json!({ "type": "array", "items": of })
}

fn map(of: Json, description: &str) -> Json {
    json!({ "type": "object", "additionalProperties": of, "description": description })
}

fn any(description: &str) -> Json {
    json!({ "description": description })
}

fn to(schema: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
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

fn auth() -> Vec<Named> {
    vec![
        (
            "LoginRequest",
            object(
                "Who logs in, and where",
                &[
                    ("tenant", text("The company's short name")),
                    ("user", text("The person's user name")),
                    ("password", json!({ "type": "string", "format": "password" })),
                    ("device", uuid("Drawn by the installation, once")),
                    ("device_name?", text("What the device calls itself, for people")),
                ],
            ),
        ),
        (
            "RefreshRequest",
            object(
                "A refresh token and who holds it",
                &[
                    ("refresh_token", text("Opaque")),
                    ("device", uuid("The device that it was issued to")),
                ],
            ),
        ),
        (
            "LogoutRequest",
            object("The session to end", &[("refresh_token", text("Any token of the session"))]),
        ),
        (
            "Session",
            object(
                "A session",
                &[
                    ("access_token", text("For the header `Authorization: Bearer`")),
                    ("expires_in_s", integer("How long the access token is good for, in seconds")),
                    ("refresh_token", text("For `auth/refresh`; keep it durably before using it")),
                    ("tenant", uuid("The company")),
                    ("user", uuid("The person")),
                    ("user_name", text("The person's name")),
                    ("permissions", list(text("Such as `project:write`"))),
                    ("server_time_us", time_us("The server's clock")),
                ],
            ),
        ),
    ]
}

fn push() -> Vec<Named> {
    let values = |description: &str| map(any("Canonical JSON"), description);
    vec![
        (
            "PushRequest",
            object(
                "Edits of one device database",
                &[
                    ("stream", uuid("The history that these edits belong to")),
                    ("transactions", list(to("Transaction"))),
                    ("withdraw?", list(uuid("A transaction that its author takes back"))),
                    ("seen?", list(uuid("A receipt whose outcome the device has made durable"))),
                    ("mark?", to("PushMark")),
                ],
            ),
        ),
        (
            "PushMark",
            object(
                "Tells a database from its copies",
                &[
                    ("id", uuid("This attempt; drawn anew for each")),
                    (
                        "after?",
                        list(uuid(
                            "The last attempt that was answered, or one since without answer",
                        )),
                    ),
                ],
            ),
        ),
        (
            "Transaction",
            object(
                "Edits that take effect together or not at all",
                &[
                    ("id", uuid("Drawn by the device; the receipt's id as well")),
                    ("edited", to("EditTime")),
                    ("wall_clock_us", time_us("The phone's own clock at that moment")),
                    ("replaces?", uuid("The refused transaction that this one corrects")),
                    ("builds_on?", list(uuid("An earlier transaction that this one uses"))),
                    ("position?", to("Position")),
                    ("mutations", list(to("Mutation"))),
                ],
            ),
        ),
        (
            "EditTime",
            object(
                "When an edit was made",
                &[
                    ("at_us", time_us("Corrected by the server's clock")),
                    ("uncertain?", boolean("Only bounded: the phone had not met the server")),
                ],
            ),
        ),
        (
            "Position",
            object(
                "A place on earth",
                &[
                    ("latitude", json!({ "type": "number", "minimum": -90, "maximum": 90 })),
                    ("longitude", json!({ "type": "number", "minimum": -180, "maximum": 180 })),
                    ("accuracy_m?", json!({ "type": "number" })),
                ],
            ),
        ),
        (
            "Mutation",
            object(
                "A change of one row",
                &[
                    ("collection", text("The collection")),
                    ("record", uuid("The row; a UUIDv7 made where the row was made")),
                    ("kind", word("What is done", &["insert", "update", "delete", "restore"])),
                    ("set?", values("New values")),
                    ("add?", values("Differences to counters")),
                    ("elements?", map(to("ElementsEdit"), "Changes of sets")),
                    (
                        "base?",
                        map(integer("A row version"), "The version that the author saw, by field"),
                    ),
                    (
                        "seen?",
                        values("Values that the author saw in fields with the rule `review`"),
                    ),
                    ("row_base?", integer("The row version that the author saw (delete, restore)")),
                ],
            ),
        ),
        (
            "ElementsEdit",
            object(
                "A change of a set",
                &[("add?", list(text("Comes"))), ("remove?", list(text("Goes")))],
            ),
        ),
        (
            "PushAnswer",
            object(
                "One receipt for each transaction, in order",
                &[
                    ("receipts", list(to("Receipt"))),
                    ("withdrawn?", list(to("Receipt"))),
                    ("server_time_us", time_us("The server's clock")),
                ],
            ),
        ),
    ]
}

fn receipts() -> Vec<Named> {
    let states =
        ["applied", "superseded", "in_review", "refused", "parked", "handed_over", "discarded"];
    vec![
        (
            "Receipt",
            object(
                "What became of a transaction",
                &[
                    ("id", uuid("The transaction")),
                    ("state", word("The one state that it is in", &states)),
                    ("problem?", to("Problem")),
                    ("mutations?", list(to("MutationOutcome"))),
                    ("held?", boolean("Waits as a whole; nothing of it has taken effect yet")),
                    ("settled_at_us", time_us("When the server settled it")),
                ],
            ),
        ),
        (
            "MutationOutcome",
            object(
                "What became of a mutation",
                &[
                    ("collection", text("The collection")),
                    ("record", uuid("The record that the mutation named")),
                    ("version?", integer("The row's version after the transaction")),
                    ("fields?", map(to("FieldOutcome"), "Fields that did not simply take effect")),
                    ("row?", to("FieldOutcome")),
                    ("alias?", uuid("The record into which this insertion was merged")),
                    ("flags?", list(text("A field that left its limits by this edit"))),
                ],
            ),
        ),
        (
            "FieldOutcome",
            object(
                "What became of a field",
                &[
                    ("outcome", word("Which", &["superseded", "in_review", "decided"])),
                    ("value?", any("The value that this edit wanted (superseded)")),
                    ("by_version?", integer("The version that won (superseded)")),
                    ("conflict?", uuid("The conflict (in_review, decided)")),
                    ("question?", text("What the author is asked (in_review)")),
                    ("kept?", boolean("Whether this edit's value was chosen (decided)")),
                ],
            ),
        ),
    ]
}

fn pull() -> Vec<Named> {
    vec![
        (
            "PullRequest",
            object(
                "What the device has",
                &[
                    ("stream", uuid("The stream whose edits are to be settled")),
                    ("cursor?", text("Where the last page ended; none at the first sync")),
                    ("schema_hash?", text("Hash of the schema that the device has")),
                    ("page_rows_max?", integer("Most rows in a page, 1 to 5000")),
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
                },
                "required": ["cursor", "checkpoint", "server_time_us"],
            }),
        ),
    ]
}

fn review() -> Vec<Named> {
    vec![
        (
            "Conflict",
            object(
                "Edits that a person decides about",
                &[
                    ("id", uuid("Its id")),
                    ("revision", integer("Grows with each change")),
                    (
                        "status",
                        word("Where it stands", &["open", "claimed", "resolved", "informational"]),
                    ),
                    ("severity", word("Whether it has to be decided", &["merged", "collision"])),
                    ("collection", text("The collection")),
                    ("record", uuid("The record")),
                    ("field?", text("The field; none where the row as a whole is meant")),
                    ("base?", any("The value that both sides started from")),
                    ("current", any("The value on the server")),
                    ("current_by?", to("Authorship")),
                    ("candidates", list(to("Candidate"))),
                    ("row", map(any("Canonical JSON"), "The record around it")),
                    ("opened_at_us", time_us("When it arose")),
                    ("claimed_by?", uuid("Who is on it")),
                    ("notes?", list(to("Note"))),
                    ("resolution?", to("Resolution")),
                ],
            ),
        ),
        (
            "Authorship",
            object(
                "Who made an edit, when and where",
                &[
                    ("user?", uuid("The person; none for plain SQL")),
                    ("user_name?", text("The person's name")),
                    ("device?", uuid("The device")),
                    ("device_name?", text("What the device is called")),
                    ("edited_at_us", time_us("When, corrected")),
                    ("uncertain?", boolean("The time is only bounded")),
                    (
                        "offline_us?",
                        integer("From the edit until it reached the server, in microseconds"),
                    ),
                    ("position?", to("Position")),
                ],
            ),
        ),
        (
            "Candidate",
            object(
                "One edit that wants another value",
                &[
                    ("receipt", uuid("The transaction, which names it in a decision")),
                    ("value", any("The wanted value")),
                    ("base_version?", integer("The version that its author saw")),
                    ("by", to("Authorship")),
                ],
            ),
        ),
        (
            "Note",
            object(
                "A question or an answer",
                &[
                    ("user", uuid("Who wrote it")),
                    ("text", text("What")),
                    ("at_us", time_us("When")),
                ],
            ),
        ),
        (
            "Resolution",
            object(
                "What was decided",
                &[
                    ("keep", to("Keep")),
                    ("reason", text("Why")),
                    ("user", uuid("By whom")),
                    ("at_us", time_us("When")),
                    ("previous", any("The value that was in force before")),
                ],
            ),
        ),
        (
            "Keep",
            json!({
                "description": "Which value stays",
                "oneOf": [
                    { "const": "server" },
                    object("A candidate's", &[("candidate", uuid("Its receipt"))]),
                    object("Another one", &[("value", any("Canonical JSON"))]),
                ],
            }),
        ),
        (
            "ConflictList",
            object(
                "A page of conflicts",
                &[
                    ("conflicts", list(to("Conflict"))),
                    ("next?", text("Pass as `after` for the next page")),
                ],
            ),
        ),
        (
            "ClaimRequest",
            object(
                "Taking or giving back",
                &[
                    ("release?", boolean("Gives it back instead")),
                    ("take_over?", boolean("Takes it from whoever has it")),
                ],
            ),
        ),
        (
            "NoteRequest",
            object("A question or an answer", &[("text", text("1 to 2000 characters"))]),
        ),
        (
            "ResolveRequest",
            object(
                "A decision",
                &[
                    ("revision", integer("The revision that the decision was taken on")),
                    ("keep", to("Keep")),
                    ("reason", text("1 to 2000 characters; kept in the audit trail")),
                ],
            ),
        ),
        (
            "UndoRequest",
            object(
                "Opening it again",
                &[
                    ("revision", integer("The revision that the caller saw")),
                    ("reason", text("1 to 2000 characters; kept in the audit trail")),
                ],
            ),
        ),
        (
            "ResolveManyRequest",
            object("Many decisions", &[("conflicts", map(to("ResolveRequest"), "By conflict"))]),
        ),
        (
            "ResolveManyAnswer",
            object("What became of them", &[("results", map(to("ResolveResult"), "By conflict"))]),
        ),
        (
            "ResolveResult",
            json!({
                "oneOf": [
                    object("Decided", &[("resolved", to("Conflict"))]),
                    object("Not decided", &[("failed", to("Problem"))]),
                ],
            }),
        ),
    ]
}
