//! What is known of transactions before anything is loaded for them: the receipts of what was settled
//! before, in this push or an earlier one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use sync_protocol::schema::Schema;
use sync_protocol::wire::push::Transaction;
use sync_protocol::wire::receipt::{Receipt, ReceiptState};
use sync_protocol::{ReceiptId, RecordId};

use super::alias;
use super::apply::Sender;
use super::outcome::{content_hash, reused};
use super::progress::Progress;
use crate::store::{StoreError, StoredReceipt, WriteTx};

/// Receipts that were settled before.
pub(super) struct Known<'a> {
    stored: BTreeMap<ReceiptId, StoredReceipt>,
    /// What this push has settled so far.
    pub progress: &'a Progress,
}

/// The answer for a transaction whose id has a receipt.
pub(super) struct Before {
    /// The receipt, or the refusal of other content.
    pub receipt: Receipt,
    /// Whether the receipt is known by another stream of this user, and told to this one as well from
    /// now on.
    pub echo: bool,
}

impl<'a> Known<'a> {
    /// Receipts that matter for the transactions: their own, if they were settled before, and those
    /// that they build on.
    pub async fn load(
        tx: &mut dyn WriteTx,
        transactions: &[Transaction],
        progress: &'a Progress,
    ) -> Result<Self, StoreError> {
        let ids: BTreeSet<ReceiptId> = transactions
            .iter()
            .flat_map(|t| t.builds_on.iter().copied().chain([t.id]).chain(t.replaces))
            .collect();
        let ids: Vec<ReceiptId> = ids.into_iter().collect();
        let stored = tx.receipts(&ids).await?;
        Ok(Self { stored: stored.into_iter().map(|s| (s.receipt.id, s)).collect(), progress })
    }

    /// What a transaction whose id has a receipt is answered; nothing if it has none. `renamed` is as
    /// [`Self::renamed`] says.
    pub fn settled(
        &self,
        sender: Sender<'_>,
        transaction: &Transaction,
        renamed: &Transaction,
        now_us: i64,
    ) -> Option<Before> {
        let stored = self.stored.get(&transaction.id)?;
        // Another user's receipt is no different from other content. Another stream of the same user's
        // is that of a copied database, which is told what became of its transaction.
        let same = stored.user == sender.context.caller.user
            && (is_withdrawn(stored)
                || [transaction, renamed].iter().any(|t| stored.content_hash == content_hash(t)));
        Some(Before {
            receipt: if same { stored.receipt.clone() } else { reused(transaction, now_us) },
            echo: same && stored.stream != sender.stream,
        })
    }

    /// The refused, parked or held transaction that this one builds on.
    pub fn refused_base(&self, transaction: &Transaction) -> Option<&Receipt> {
        transaction.builds_on.iter().filter_map(|id| self.receipt(id)).find(|receipt| {
            receipt.held || matches!(receipt.state, ReceiptState::Refused | ReceiptState::Parked)
        })
    }

    /// The transaction with the present ids of records that natural keys merged into others.
    pub fn renamed<'t>(
        &self,
        schema: &Schema,
        transaction: &'t Transaction,
    ) -> Cow<'t, Transaction> {
        alias::rename(schema, transaction, self.aliases(transaction))
    }

    /// Where records of earlier transactions went by adoption.
    fn aliases(&self, transaction: &Transaction) -> BTreeMap<(&str, RecordId), RecordId> {
        let receipts = transaction.builds_on.iter().filter_map(|id| self.receipt(id));
        receipts
            .flat_map(|receipt| &receipt.mutations)
            .filter_map(|m| m.alias.map(|alias| ((m.collection.as_str(), m.record), alias)))
            .collect()
    }

    fn receipt(&self, id: &ReceiptId) -> Option<&Receipt> {
        self.progress.receipts.get(id).or_else(|| self.stored.get(id).map(|stored| &stored.receipt))
    }
}

/// Whether it was withdrawn before it came, so that its content is not known.
fn is_withdrawn(stored: &StoredReceipt) -> bool {
    stored.receipt.state == ReceiptState::Discarded && stored.content_hash.is_empty()
}
