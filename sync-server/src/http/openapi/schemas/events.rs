//! The data of events.

use sync_protocol::wire::events::MOVED_SCOPES_MAX;

use super::shape::{Named, boolean, object, short_list, text, word};

pub(super) fn schemas() -> Vec<Named> {
    vec![
        (
            "EventMoved",
            object(
                "Data of the event `moved`: a pull would bring something",
                &[
                    (
                        "scopes",
                        short_list(
                            text(
                                "A scope that the user holds, in which rows came, changed or went",
                            ),
                            MOVED_SCOPES_MAX,
                        ),
                    ),
                    ("all", boolean("Anything may have moved")),
                    ("user", boolean("Grants, roles or the outcome of edits changed")),
                ],
            ),
        ),
        (
            "EventEnded",
            object(
                "Data of the event `ended`",
                &[(
                    "code",
                    word(
                        "Why the server ends the stream",
                        &[
                            "token_expired",
                            "token_invalid",
                            "device_revoked",
                            "account_disabled",
                            "server_stopping",
                            "replaced",
                        ],
                    ),
                )],
            ),
        ),
    ]
}
