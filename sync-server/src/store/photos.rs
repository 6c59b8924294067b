//! Photo records, as far as stores treat them apart from others.

use async_trait::async_trait;
use sync_protocol::RecordId;
use sync_protocol::schema::Collection;

use super::StoreError;

/// What a snapshot says of photos. A [`super::ReadTx`] answers it.
#[async_trait]
pub trait PhotoRows {
    /// Live records of a photo collection in the order of ids, after one, at most `limit`; or only those
    /// whose photo is not stored.
    async fn photo_ids(
        &mut self,
        collection: &Collection,
        missing_only: bool,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<RecordId>, StoreError>;

    /// Bytes of the pictures and thumbnails of a photo collection that are stored.
    async fn photo_bytes(&mut self, collection: &Collection) -> Result<u64, StoreError>;
}
