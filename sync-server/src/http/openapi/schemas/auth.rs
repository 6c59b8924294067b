//! Bodies and answers of `auth/…`.

use serde_json::json;

use super::shape::{Named, integer, list, object, or_null, short_text, text, time_us, uuid};
use crate::auth::password::PASSWORD_BYTES_MAX;
use crate::auth::session::{DEVICE_NAME_CHARS_MAX, NAME_CHARS_MAX};

/// The schemas.
pub(super) fn schemas() -> Vec<Named> {
    vec![
        (
            "LoginRequest",
            object(
                "Who logs in, and where",
                &[
                    ("tenant", short_text("The company's short name", NAME_CHARS_MAX)),
                    ("user", short_text("The person's user name", NAME_CHARS_MAX)),
                    (
                        "password",
                        json!({ "type": "string", "format": "password", "maxLength": PASSWORD_BYTES_MAX,
                        "description": "At most 1024 bytes" }),
                    ),
                    ("device", uuid("Drawn by the installation, once")),
                    (
                        "device_name?",
                        or_null(short_text(
                            "What the device calls itself, for people",
                            DEVICE_NAME_CHARS_MAX,
                        )),
                    ),
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
