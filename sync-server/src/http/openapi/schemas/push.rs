//! Body and answer of `sync/push`.

use super::shape::{
    Named, any, boolean, integer, list, map, number, object, or_null, short_list, text, time_us,
    to, uuid, word,
};
use sync_protocol::limits::{PUSH_AFTER_MAX, PUSH_TRANSACTIONS_MAX, TRANSACTION_MUTATIONS_MAX};

/// The schemas.
pub(super) fn schemas() -> Vec<Named> {
    let values = |description: &str| map(any("Canonical JSON"), description);
    vec![
        (
            "PushRequest",
            object(
                "Edits of one device database",
                &[
                    ("stream", uuid("The history that these edits belong to")),
                    ("transactions", short_list(to("Transaction"), PUSH_TRANSACTIONS_MAX)),
                    ("withdraw?", list(uuid("A transaction that its author takes back"))),
                    ("seen?", list(uuid("A receipt whose outcome the device has made durable"))),
                    ("mark?", or_null(to("PushMark"))),
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
                        short_list(
                            uuid("The last attempt that was answered, or one since without answer"),
                            PUSH_AFTER_MAX,
                        ),
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
                    ("replaces?", or_null(uuid("The refused transaction that this one corrects"))),
                    ("builds_on?", list(uuid("An earlier transaction that this one uses"))),
                    ("position?", or_null(to("Position"))),
                    ("mutations", short_list(to("Mutation"), TRANSACTION_MUTATIONS_MAX)),
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
                "A place on earth; another one refuses the transaction, not the request",
                &[
                    ("latitude", number("Degrees north, within ±90")),
                    ("longitude", number("Degrees east, within ±180")),
                    ("accuracy_m?", or_null(number("Radius of 68 % confidence, in metres"))),
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
                    (
                        "row_base?",
                        or_null(integer("The row version that the author saw (delete, restore)")),
                    ),
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
