//! Receipts.

use super::shape::{
    Named, any, boolean, integer, list, map, object, text, time_us, to, uuid, word,
};

/// The schemas.
pub(super) fn schemas() -> Vec<Named> {
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
