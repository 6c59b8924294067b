//! Identifiers that must not be mixed up, each a type of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

uuid_id! {
    /// One company. Comes from the token only, never from a request's body.
    TenantId
}
uuid_id! {
    /// One person of a tenant.
    UserId
}
uuid_id! {
    /// One installation of an app, as registered at login.
    DeviceId
}
uuid_id! {
    /// The history of edits of one device database. A database that was restored from a backup
    /// draws a new one, so that its edits are never taken for those of the copy that lives on.
    StreamId
}
uuid_id! {
    /// One row of a collection: a UUIDv7 made where the row was made. Never used again.
    RecordId
}
uuid_id! {
    /// A transaction of edits and, by the same id, its receipt. Drawn by the device.
    ReceiptId
}
uuid_id! {
    /// One attempt of a device to push, drawn anew for each.
    PushId
}
uuid_id! {
    /// One open or decided conflict.
    ConflictId
}

impl StreamId {
    /// The writer of changes that came by plain SQL.
    pub const SQL: Self = Self(Uuid::nil());
}

/// How often a row has changed: 1 after its insertion, and one more with each change.
pub type RowVersion = i64;
