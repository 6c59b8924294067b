//! Bodies and answers of `conflicts…`.

use serde_json::json;

use super::shape::{
    Named, any, boolean, by_id, integer, list, map, object, text, time_us, to, uuid, word,
    written_text,
};
use crate::review::{CONFLICTS_MAX, NOTE_CHARS_MAX};

/// The schemas.
pub(super) fn schemas() -> Vec<Named> {
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
                    (
                        "current",
                        any("The value on the server; null for a record that is not there"),
                    ),
                    ("current_by?", to("Authorship")),
                    ("candidates", list(to("Candidate"))),
                    (
                        "row",
                        map(
                            any("Canonical JSON"),
                            "The record around it; as its author wants it, where it is not there",
                        ),
                    ),
                    (
                        "scopes?",
                        list(text(
                            "Of a record that a decision makes: its scopes, as far as the caller holds them",
                        )),
                    ),
                    ("belongs_to?", to("BelongsTo")),
                    ("opened_at_us", time_us("When it arose")),
                    ("claimed_by?", uuid("Who is on it")),
                    ("notes?", list(to("Note"))),
                    ("resolution?", to("Resolution")),
                ],
            ),
        ),
        (
            "BelongsTo",
            object(
                "The parent of a record that a decision makes",
                &[("collection", text("Its collection")), ("record", uuid("Its id"))],
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
                    (
                        "reason?",
                        word(
                            "Why it needs a decision, where nobody else changed the same",
                            &["scope_lost"],
                        ),
                    ),
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
                    ("version", integer("The row's version after the decision")),
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
            object("A question or an answer", &[("text", written_text("What", NOTE_CHARS_MAX))]),
        ),
        (
            "ResolveRequest",
            object(
                "A decision",
                &[
                    ("revision", integer("The revision that the decision was taken on")),
                    ("keep", to("Keep")),
                    ("reason", written_text("Kept in the audit trail", NOTE_CHARS_MAX)),
                ],
            ),
        ),
        (
            "UndoRequest",
            object(
                "Opening it again",
                &[
                    ("revision", integer("The revision that the caller saw")),
                    ("reason", written_text("Kept in the audit trail", NOTE_CHARS_MAX)),
                ],
            ),
        ),
        (
            "ResolveManyRequest",
            object(
                "Many decisions",
                &[("conflicts", by_id(to("ResolveRequest"), "By conflict", CONFLICTS_MAX))],
            ),
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
