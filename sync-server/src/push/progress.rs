//! How far a push has come: what its chunks so far mean for the next ones.

use std::collections::HashMap;

use sync_protocol::ReceiptId;
use sync_protocol::schema::Schema;
use sync_protocol::wire::push::Transaction;
use sync_protocol::wire::receipt::Receipt;

use super::claims::Claims;
use super::outcome::is_put_off;
use super::patience::Patience;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Receipts of earlier chunks.
    pub receipts: HashMap<ReceiptId, Receipt>,
    /// What the transactions touch that were put off because another session holds a row.
    put_off: Claims,
    /// How long locks are still waited for.
    pub patience: Patience,
}

impl Progress {
    /// Notes what became of the transactions of a chunk that is committed.
    pub fn note(&mut self, schema: &Schema, chunk: &[Transaction], receipts: &[Receipt]) {
        for (transaction, receipt) in chunk.iter().zip(receipts) {
            self.receipts.insert(receipt.id, receipt.clone());
            if is_put_off(receipt) {
                self.put_off.extend(Claims::of(schema, transaction));
            }
        }
    }

    /// Whether a transaction touches what an earlier one of this push, which was put off, touches
    /// too. It may not overtake it.
    pub fn follows_one_put_off(&self, schema: &Schema, transaction: &Transaction) -> bool {
        !self.put_off.is_empty() && self.put_off.collide(&Claims::of(schema, transaction))
    }
}
