//! The cursor of a pull, which a device hands back. The input is a cursor; and it is what one holds,
//! because a change of Base64 hardly ever leaves JSON behind.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sync_protocol::{TenantId, UserId};
use sync_server::auth::caller::Caller;
use sync_server::pull::cursor::Cursor;
use uuid::Uuid;

use crate::{Target, memory, promise};

/// The target.
pub(super) const TARGET: Target = Target { name: "cursor", input_bytes_max: 4096, run };

const VISIBILITY: &str = "0cc175b9c0f1b6a831c399e269772661";
const REFUSALS: &[(u16, &str)] =
    &[(400, "cursor_malformed"), (403, "cursor_foreign"), (410, "cursor_visibility_changed")];

fn run(input: &[u8]) {
    is_read(&String::from_utf8_lossy(input));
    is_read(&URL_SAFE_NO_PAD.encode(input));
}

fn is_read(text: &str) {
    let caller = Caller {
        tenant: TenantId(Uuid::from_u128(2)),
        user: UserId(Uuid::from_u128(1)),
        user_name: "Juan".to_owned(),
        device: None,
        device_name: None,
        permissions: BTreeSet::new(),
        expires_at_us: i64::MAX,
    };
    let read = |text: &str| Cursor::read(text, &caller, VISIBILITY);
    let taken = memory::at_most(memory::FREE_BYTES + 200 * text.len(), || read(text));
    match taken {
        Ok(cursor) => match read(&cursor.write()) {
            Ok(again) => assert_eq!(again, cursor, "another cursor came back"),
            Err(problem) => panic!("a cursor cannot be handed back: {problem}\n{cursor:?}"),
        },
        Err(problem) => promise::refusal_is_documented(&problem, REFUSALS),
    }
}
