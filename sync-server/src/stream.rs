//! Whose streams are whose.
//!
//! A stream is the history of one database of one person on one device. Edits of one stream are never
//! concurrent with each other, and its receipts are told to whoever pulls for it: so nobody may use
//! somebody else's.

use sync_protocol::problem::Problem;
use sync_protocol::{StreamId, UserId};
use uuid::Builder;

use crate::auth::caller::Caller;
use crate::store::{ReadTx, StoreError};

/// UUIDs of this version are streams of decisions; devices draw others.
const DECISIONS_VERSION: usize = 8;

/// The stream in which a person's decisions of reviews are recorded: no device's.
pub(crate) fn of_decisions(user: UserId) -> StreamId {
    StreamId(Builder::from_custom_bytes(user.0.into_bytes()).into_uuid())
}

/// Whether a device may write in this stream at all.
pub(crate) fn is_devices(stream: StreamId) -> bool {
    stream != StreamId::SQL && stream.0.get_version_num() != DECISIONS_VERSION
}

/// Whether somebody else has written in the stream.
pub(crate) async fn is_foreign(
    tx: &mut dyn ReadTx,
    caller: &Caller,
    stream: StreamId,
) -> Result<bool, StoreError> {
    let author = tx.author_of(stream).await?;
    Ok(author.and_then(|author| author.user).is_some_and(|user| user != caller.user))
}

/// The answer to who uses somebody else's.
pub(crate) fn foreign() -> Problem {
    Problem::new(403, "stream_foreign", "The stream is somebody else's")
        .detail("each device database of each user draws a stream id of its own, a UUIDv4")
}
