//! Photos.

use super::shape::{Named, list, object, text, time_us, to, uuid, word};

/// The schemas.
pub(super) fn schemas() -> Vec<Named> {
    vec![
        (
            "MissingPhotos",
            object(
                "A page of photos that have not come",
                &[
                    ("photos", list(to("MissingPhoto"))),
                    ("next?", text("Where the next page begins; missing at the end")),
                ],
            ),
        ),
        (
            "MissingPhoto",
            object(
                "A photo that has not come",
                &[
                    ("collection", text("The photo collection")),
                    ("id", uuid("The record")),
                    ("parent?", to("ParentRecord")),
                    ("state", word("What is here", &["pending", "thumbnail"])),
                    ("user?", uuid("Who made the record")),
                    ("user_name?", text("Their name")),
                    ("device_name?", text("On which device")),
                    ("since_us", time_us("When the record was made")),
                ],
            ),
        ),
        (
            "ParentRecord",
            object(
                "The record that a photo belongs to",
                &[("collection", text("Its collection")), ("id", uuid("The record"))],
            ),
        ),
    ]
}
